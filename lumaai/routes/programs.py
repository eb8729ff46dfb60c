"""Programs: plans kept under names, run as endpoints."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.asked import ProgramRun
from lumaai.routes.ask import answered
from lumaai.routes.events import EVENT_STREAM
from lumaai.routes.operation import Call, Operation, Reach, json_response

PATH = "/v1/programs/{program}"


async def list_programs(call: Call) -> Response:
    """All programs as of their last versions, by name."""
    found = await call.service.asks.run(call.database.programs.list)
    return json_response(msgspec.json.encode({"programs": [program.to_json() for program in found]}))


async def save_program(call: Call) -> Response:
    """201 for a new version, 200 where the plan is the one that there is already."""
    body = await call.body(wire.SaveProgram)
    keeper = call.database.program_keeper
    saved = await call.service.writes.run(
        keeper.save_program, call.path("program"), body.plan, body.params or {}, body.description
    )
    return json_response(msgspec.json.encode(saved[0].to_json()), 201 if saved[1] else 200)


async def get_program(call: Call) -> Response:
    """A program as of its last version, or of the one named."""
    version, programs = call.query(wire.ProgramQuery).version, call.database.programs
    found = await call.service.asks.run(lambda: programs.get(call.path("program"), version=version or None))
    return json_response(msgspec.json.encode(found.to_json()))


async def delete_program(call: Call) -> Response:
    """Forget a program with all its versions."""
    await call.service.writes.run(call.database.programs.delete, call.path("program"))
    return Response(status_code=204)


async def run_program(call: Call) -> Response:
    """The answer of a program with these values of its parameters."""
    body = await call.body(wire.RunProgram)
    run = ProgramRun.checked(call.path("program"), body.params, body.version)
    return await answered(call, run, stream=body.stream)


OPERATIONS = (
    Operation(
        id="list_programs",
        method="GET",
        path="/v1/programs",
        handler=list_programs,
        summary="List all programs",
        tag="questions",
        answers={200: wire.ProgramList},
    ),
    Operation(
        id="save_program",
        method="PUT",
        path=PATH,
        handler=save_program,
        summary="Keep a plan as a program",
        tag="questions",
        answers={200: wire.Program, 201: wire.Program},
        body=wire.SaveProgram,
        errors=(507,),
    ),
    Operation(
        id="get_program",
        method="GET",
        path=PATH,
        handler=get_program,
        summary="Show a program, with JSON Schemas of both its ends",
        tag="questions",
        answers={200: wire.Program},
        query=wire.ProgramQuery,
    ),
    Operation(
        id="delete_program",
        method="DELETE",
        path=PATH,
        handler=delete_program,
        summary="Forget a program",
        tag="questions",
        answers={204: None},
        errors=(507,),
    ),
    Operation(
        id="run_program",
        method="POST",
        path=f"{PATH}/run",
        handler=run_program,
        summary="Run a program",
        tag="questions",
        verb=Verb.ASK,
        reach=Reach.SOME,
        answers={200: wire.Answer},
        body=wire.RunProgram,
        needs_body=False,
        streams=EVENT_STREAM,
    ),
)

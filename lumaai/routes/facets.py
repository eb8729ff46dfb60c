"""Facets of the documents that match, and statistics of fields."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.routes.leaving import run_while_wanted
from lumaai.routes.operation import Call, Operation, json_response

PATH = "/v1/collections/{c}"


async def count_facets(call: Call) -> Response:
    """Values, ranges, steps and figures of fields, of the documents that match. Who leaves ends the counting."""
    body = await call.body(wire.FacetsRequest)
    given = body.model_dump(exclude_unset=True, by_alias=True)["facets"]
    collection = call.service.database.collection(call.path("c"))
    found = await run_while_wanted(
        call, call.service.searches, lambda gone: collection.facets_while(gone.is_set, given, body.filter)
    )
    return json_response(msgspec.json.encode({"facets": found}))


async def get_statistics(call: Call) -> Response:
    """What the values of each field are like."""
    collection = call.service.database.collection(call.path("c"))
    found = await call.service.searches.run(collection.statistics)
    return json_response(msgspec.json.encode({"fields": found}))


OPERATIONS = (
    Operation(
        id="count_facets",
        method="POST",
        path=f"{PATH}/facets",
        handler=count_facets,
        summary="Count values of fields of the documents that match",
        tag="documents",
        verb=Verb.READ,
        answers={200: wire.FacetsResponse},
        body=wire.FacetsRequest,
        errors=(404,),
    ),
    Operation(
        id="get_collection_statistics",
        method="GET",
        path=f"{PATH}/statistics",
        handler=get_statistics,
        summary="What the values of each field are like",
        tag="collections",
        verb=Verb.READ,
        answers={200: wire.StatisticsResponse},
        errors=(404,),
        query=wire.ReadQuery,
    ),
)

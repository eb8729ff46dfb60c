"""A scripted judge: reads the rows and questions out of a request and answers each by a function."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from models import JSON, ScriptedLLM, ScriptedRequest

_FENCED = re.compile(r"^<(\w+) ([0-9a-f]+)>\n(.*?)\n?^</\1 \2>$", re.DOTALL | re.MULTILINE)
_QUESTION = re.compile(r'^"([a-z])": (.*)$', re.MULTILINE)

Says = Callable[[str, Any], JSON]  # the question in words, the row's text → the answer


def data_of(request: ScriptedRequest) -> dict[str, list[Any]]:
    """What stands between the fences of a request, by name."""
    return {
        name: [json.loads(line) for line in body.splitlines()]
        for name, _, body in _FENCED.findall(request.messages[-1].content)
    }


def questions_of(request: ScriptedRequest) -> dict[str, str]:
    """What is asked of each row, by its letter."""
    return dict(_QUESTION.findall(request.messages[0].content))


def answered(request: ScriptedRequest, says: Says, sure: float = 0.9) -> dict[str, Any]:
    """The right reply to questions about rows."""
    rows = []
    for row in data_of(request)["rows"]:
        reply: dict[str, Any] = {"row": row["row"]}
        for name, question in questions_of(request).items():
            reply |= {name: says(question, row["text"]), f"{name}_confidence": sure}
        rows.append(reply)
    return {"rows": rows}


def judge(says: Says, *, name: str = "scripted") -> ScriptedLLM:
    """A model that answers every question about every row by `says`."""
    return ScriptedLLM(lambda request: answered(request, says), name=name)


def texts_asked(llm: ScriptedLLM) -> list[Any]:
    """The texts of all rows of all requests, in order."""
    return [row["text"] for request in llm.requests for row in data_of(request)["rows"]]

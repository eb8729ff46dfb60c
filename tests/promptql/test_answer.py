from __future__ import annotations

import json
import subprocess
import sys

from promptql.answer import Answer, Artifact, Band, Chart, Citation, Notice, PlannerName, Rewrite, StepReport
from promptql.plan import Assumption, Support


def full_answer() -> Answer:
    """An answer with something in every place."""
    return Answer(
        text="Two.",
        values=(("os", 2), ("re", None)),
        artifact="a1",
        confidence=0.87,
        band=Band.ASSUMPTIONS,
        completeness=0.5,
        plan={"steps": []},
        plan_hash="ab",
        planner=PlannerName.FALLBACK,
        steps=(StepReport("s1", "scan", 812, 97, 4.12),),
        artifacts=(Artifact("a1", ("module", "n"), ({"module": "os", "n": 2}, {"module": "re", "n": None})),),
        citations=(
            Citation("a1[0].n", "docs", ("x", "y"), 42, 2),
            Citation("a1[1]", "docs", ("z",), 42, 1, ((1, 4),), "t"),
        ),
        assumptions=(Assumption("'two' = 2", Support.INFERRED),),
        warnings=(Notice("ties_cut", "3 more"),),
        rewrites=(Rewrite("push_filters", "a", "b"),),
        usage={"llm": {"calls": 1}},
        alternatives=({"text": "other", "confidence": 0.4, "plan": {}},),
        charts=(Chart("c1", {"mark": {"type": "bar"}}, "a1"),),
        options=({"text": "as a number", "value": 2}, {"text": "as a name", "value": "two"}),
        conversation="c0ffee",
    )


def test_an_answer_comes_back_from_json_as_it_was() -> None:
    """from_json is the inverse of to_json, through text."""
    answer = full_answer()
    assert Answer.from_json(json.loads(json.dumps(answer.to_json()))) == answer


def test_the_json_has_the_designed_shape() -> None:
    """The names that clients rely on."""
    data = full_answer().to_json()
    assert data["answer"] == {"text": "Two.", "values": [["os", 2], ["re", None]], "artifact": "a1"}
    assert (data["band"], data["planner"]) == ("answer_with_assumptions", "fallback")
    assert data["citations"][1] == {
        "cell": "a1[1]",
        "collection": "docs",
        "ids": ["z"],
        "spans": [[1, 4]],
        "field": "t",
        "sequence": 42,
        "count": 1,
    }
    assert data["steps"] == [{"id": "s1", "op": "scan", "rows_in": 812, "rows_out": 97, "milliseconds": 4.12}]
    assert data["assumptions"] == [{"text": "'two' = 2", "support": "inferred"}]


def test_the_answers_classes_need_neither_engine_nor_models() -> None:
    """A client that only reads answers imports nothing heavy."""
    code = (
        "import sys, promptql; promptql.Answer; promptql.QuestionError; promptql.Plan;"
        "heavy = {'engine.schema', 'engine.snapshot', 'models', 'numpy', 'faiss', 'pyarrow', 'onnxruntime'};"
        "heavy &= set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

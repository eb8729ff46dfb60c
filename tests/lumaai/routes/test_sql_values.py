"""Values of SQL that JSON and Python cannot hold, over HTTP."""

from __future__ import annotations

from tests.lumaai.serving import Service

QUERY = """SELECT DATE '10000-01-01', 'infinity'::TIMESTAMP, [DATE '-1000-01-01'], TIMETZ '10:00:00+02',
    'NaN'::DOUBLE, ['-Infinity'::DOUBLE], 170141183460469231731687303715884105727, '01'::BIT"""


def test_every_value_has_a_form_in_json(service: Service) -> None:
    answer = service.post("/v1/sql", {"sql": QUERY})
    assert answer.status_code == 200
    assert answer.json()["rows"] == [
        ["10000-01-01", "infinity", ["-1000-01-01"], "10:00:00+02", "NaN", ["-Infinity"], 2**127 - 1, "01"]
    ]


def test_lists_of_several_types_are_refused(service: Service) -> None:
    answer = service.post("/v1/sql", {"sql": "SELECT ?", "params": [[1, "a"]]})
    assert answer.status_code in (400, 422)
    assert "one type" in answer.json()["detail"]

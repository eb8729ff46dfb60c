"""The embedded database and the two clients of a service, blocking and asynchronous, answer every script alike."""

from __future__ import annotations

import inspect
from typing import cast

import pytest

from lumaai import AsyncClient, AsyncCollection, Client, Collection, Database, RemoteCollection
from tests.congruence.agreement import differences, plain, ranked
from tests.congruence.blocked import Blocked
from tests.congruence.material import AnyDatabase, Scenario
from tests.congruence.scenarios import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_embedded_and_remote_agree(
    scenario: Scenario, embedded: Database, remote: Client, asynchronous: Blocked
) -> None:
    """Ids, documents, counts, passages, answers and errors are equal, scores to six decimals, also for coroutines."""
    expected = ranked(plain(scenario(embedded)))
    assert differences(expected, ranked(plain(scenario(remote)))) == []
    assert differences(expected, ranked(plain(scenario(cast("AnyDatabase", asynchronous))))) == []


# How the service itself reads: bytes that go into its answers undecoded.
OF_THE_SERVICE = frozenset(
    {
        "get_raw",
        "fetch_raw",
        "search_raw",
        "answer_raw",
        "answers_raw",
        "recall_told",
        "scroll_raw",
        "write_bounded",
        "snapshot_tar",
        "seen_by",
        "resolve",
        "answer_told",
        "list_models",
        "embedder_named",
        "search_batch_while",
        "facets_while",
        "infos_page",
        "records",
        "query_while",
        "sql_while",
        "question_figures",
    }
)


def public_methods(cls: type) -> dict[str, inspect.Signature]:
    """Signatures of public methods by name, annotations left to mypy."""
    found = {}
    for name, member in inspect.getmembers(cls, inspect.isfunction):
        if (not name.startswith("_") or name == "__getitem__") and name not in OF_THE_SERVICE:
            signature = inspect.signature(inspect.unwrap(member))
            plain_parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
            found[name] = signature.replace(parameters=plain_parameters, return_annotation=signature.empty)
    return found


@pytest.mark.parametrize(
    ("embedded_class", "remote_class"),
    [(Database, Client), (Collection, RemoteCollection), (Client, AsyncClient), (RemoteCollection, AsyncCollection)],
)
def test_both_have_the_same_methods(embedded_class: type, remote_class: type) -> None:
    """Names, parameters, kinds of parameters and defaults."""
    assert public_methods(embedded_class) == public_methods(remote_class)


def test_a_difference_is_seen() -> None:
    """The comparison itself: scores may differ by 1e-6, types and keys may not differ, times are left out."""
    left = plain({"ids": ["a"], "score": 0.5, "milliseconds": 3.0})
    assert differences(left, plain({"ids": ["a"], "score": 0.5000005, "milliseconds": 9.0})) == []
    assert differences(left, plain({"ids": ["a"], "score": 0.51})) == ["/score: 0.5 and 0.51"]
    done, nothing = {"sequence": 7, "added": 1}, {"sequence": 7, "added": 0}
    assert ranked([done, {"sequence": 9, "versions": [7, None]}]) == ranked(
        [{**done, "sequence": 2}, {"sequence": 3, "versions": [2, None]}]
    )
    assert ranked([done, {"sequence": 9}]) != ranked([{**done, "sequence": 9}, {"sequence": 7}])
    assert ranked([nothing]) == [{"added": 0}]
    assert differences({"n": 1}, {"n": 1.0}) == ["/n: 1 and 1.0"]
    assert differences({"n": [1]}, {"n": [1, 2], "m": 1}) == [": keys ['n'] and ['m', 'n']", "/n: 1 and 2 items"]

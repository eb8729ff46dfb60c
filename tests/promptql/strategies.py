"""Hypothesis strategies for predicates and plans over the films."""

from __future__ import annotations

from hypothesis import strategies as st

from promptql.expressions import And, Not, Operator, Or, Predicate
from promptql.plan import Plan
from promptql.predicate import compare, missing
from promptql.steps import (
    Aggregation,
    AnswerStep,
    Filter,
    Function,
    Group,
    Limit,
    Order,
    Project,
    Scan,
    Search,
    Sort,
    Step,
)

GENRES = ["action", "drama", "horror", "science fiction", "musical"]
_orders = st.sampled_from([Operator.LT, Operator.LE, Operator.GT, Operator.GE, Operator.EQ, Operator.NE])
_leaves: st.SearchStrategy[Predicate] = st.one_of(
    st.builds(lambda op, year: compare("year", op, year), _orders, st.integers(1975, 2015)),
    st.builds(lambda op, rating: compare("rating", op, rating), _orders, st.sampled_from([4.9, 8.0, 8.4, 8.8])),
    st.builds(lambda genre: compare("genre", "=", genre), st.sampled_from(GENRES)),
    st.builds(lambda genres: compare("genre", "in", genres), st.lists(st.sampled_from(GENRES), min_size=1, max_size=3)),
    st.just(missing("director")),
)
predicates: st.SearchStrategy[Predicate] = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda items: And(tuple(items)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda items: Or(tuple(items)), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=5,
)
_KEPT = ("title", "year", "genre", "rating", "director")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A valid plan over "movies": a source, up to six steps, an optional group, an answer."""
    k = draw(st.integers(1, 12))
    source: Step = Scan("s0", "movies") if draw(st.booleans()) else Search("s0", "movies", "a film by Scott", k)
    steps: list[Step] = [source]
    for index in range(draw(st.integers(0, 6))):
        name, last = f"m{index}", steps[-1].id
        kind = draw(st.sampled_from(["filter", "filter", "sort", "limit", "project"]))
        if kind == "filter":
            steps.append(Filter(name, last, draw(predicates)))
        elif kind == "sort":
            keys = draw(st.lists(st.sampled_from(["year", "rating", "director"]), min_size=1, max_size=2, unique=True))
            steps.append(Sort(name, last, tuple(Order(key, draw(st.booleans())) for key in keys)))
        elif kind == "limit":
            ties = isinstance(steps[-1], Sort) and draw(st.booleans())
            steps.append(Limit(name, last, draw(st.integers(1, 9)), ties))
        else:
            steps.append(Project(name, last, _KEPT))
    if draw(st.booleans()):
        aggregations = (Aggregation(Function.COUNT, None, "n"), Aggregation(Function.AVG, "rating", "average"))
        steps.append(
            Group("g", steps[-1].id, draw(st.sampled_from([(), ("genre",), ("year", "director")])), aggregations)
        )
    steps.append(AnswerStep("end", steps[-1].id))
    return Plan("a question", tuple(steps), "end")

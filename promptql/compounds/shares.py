"""Shares: "what percentage of customers are from France", "share of revenue by country"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from promptql.compounds.figures import Figure, counting, groups_of, together
from promptql.compounds.phrases import Phrase, phrase_of
from promptql.errors import QuestionError
from promptql.expressions import (
    Arithmetic,
    ArithmeticOperator,
    Call,
    Expression,
    FieldRef,
    ScalarFunction,
    Value,
)
from promptql.rules.linking import telling_words
from promptql.rules.words import name_words, tokenize
from promptql.shape import upwards
from promptql.steps import (
    Aggregation,
    AnswerStep,
    CompareStep,
    Comparison,
    Compute,
    Computed,
    Function,
    Order,
    Project,
    Sort,
    Step,
    Window,
    WindowFunction,
)

if TYPE_CHECKING:
    from promptql.catalog import Catalog
    from promptql.compounds.planning import Asking
    from promptql.plan import Plan
    from promptql.planned import Planned

PART, WHOLE, PERCENT, FIGURE = "part", "of", "percent", "figure_"
DECIMALS = 2
_CUES = frozenset({"share", "percentage", "percent", "proportion", "fraction"})
_SHARE = re.compile(
    r"^(?:(?:what(?:'s|\s+is|\s+are|\s+was|\s+were)?|which|how\s+(?:large|big|high|great)\s+(?:a|is|was)|give\s+me|tell\s+me|"
    r"show(?:\s+me)?|find|calculate|compute)\s+)?(?:the\s+|a\s+)?(?P<cue>share|percentage|percent|%|proportion|fraction)"
    r"\s+of\s+(?:all\s+)?(?:the\s+|our\s+|my\s+|these\s+)?(?P<rest>.+?)$",
    re.IGNORECASE,
)
_EACH = re.compile(r"\b(?:by|per|for\s+each|of\s+each|in\s+each)\b", re.IGNORECASE)
_OF_EACH = re.compile(r"^(?:each|every)\s+(?P<field>[\w\s]+)$", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|do|does|did|comes?|came|goes|went|gets?|got|lives?|lived|costs?|belongs?|falls?|"
    r"fell|contains?|includes?|uses?)\b",
    re.IGNORECASE,
)
_RELATIVE = re.compile(r"\b(?:who|that|which|whose|where)\b", re.IGNORECASE)
_PLACED = re.compile(
    r"\b(?:from|in|with|without|by|for|to|of|on|after|before|since|over|above|under|below|between|during|costing|"
    r"at\s+least|at\s+most|more\s+than|less\s+than)\b",
    re.IGNORECASE,
)
_MOVING = re.compile(r"^(?:that\s+|which\s+|who\s+)?(?:comes?|came|is|are|was|were|goes|went)\s+", re.IGNORECASE)


def plan_share(asking: Asking) -> Planned | None:
    """The part of a whole in percent, with both; None where no share is asked for, or it is not understood."""
    match = _SHARE.match(asking.question)
    if match is None or _is_held(asking.catalog):
        return None
    rest = match["rest"]
    each = None if _VERB.search(rest) else _EACH.search(rest)
    if each is not None:
        grouped = _by_group(asking, rest, each)
        if grouped is not None:
            return grouped
    of_each = _OF_EACH.match(rest)
    if of_each is not None:
        return _of_each(asking, of_each["field"])
    for noun, said in _splits(rest):
        planned = _of_whole(asking, noun, said)
        if planned is not None:
            return planned
    return None


def within_share(question: str, words: str) -> str | None:
    """The question of a share with more said of the whole: "share of orders in 2024 was cancelled"; None for others."""
    match = _SHARE.match(question)
    verb = None if match is None else _VERB.search(match["rest"])
    if match is None or verb is None:
        return None
    at = match.start("rest") + verb.start()
    return f"{question[:at].rstrip()} {words} {question[at:]}"


def _is_held(catalog: Catalog) -> bool:
    """Whether a field has shares of its own, which are looked up and not computed."""
    fields = (name for info in catalog.collections.values() for name in info.fields)
    return any(_CUES & set(name_words(name)) for name in fields)


def _splits(rest: str) -> list[tuple[str, str]]:
    """(whole, what is said of the part): at the verb, else at "who" or "that", else at a preposition; "paid orders"."""
    found = []
    relative, verb = _RELATIVE.search(rest), _VERB.search(rest)
    if relative is not None and (verb is None or relative.start() < verb.start()):
        found.append((rest[: relative.start()], rest[relative.start() :]))
    elif verb is not None:
        found.append((rest[: verb.start()], rest[verb.start() :]))
    if verb is None:
        found += [(rest[: at.start()], rest[at.start() :]) for at in _PLACED.finditer(rest)]
        words = tokenize(rest)
        found += [(rest[word.start :], rest[: word.start]) for word in words[1:]]  # "cancelled orders"
        found += [(rest[: word.start], rest[word.start :]) for word in words[1:]]  # "customers ordered in 2024"
    return [(noun.strip(), said.strip()) for noun, said in found if noun.strip() and said.strip()]


def _of_whole(asking: Asking, noun: str, said: str) -> Planned | None:
    phrase = phrase_of(noun, asking.catalog)
    if phrase is None:
        return None
    if phrase.fn is Function.AVG:  # an average is no whole that has parts
        phrase = Phrase(f"total {noun}", counted=False, fn=Function.SUM)
    whole = asking.figure(phrase.whole(), phrase.fn)
    if whole is None:
        return None
    for question in _questions(phrase, said, adjective=asking.question.endswith(noun)):
        part = asking.figure(question, phrase.fn)
        part = None if part is None else _comparable(part, whole)
        if part is not None:
            return _planned(asking, phrase, part, whole)
    return None


def _questions(phrase: Phrase, said: str, *, adjective: bool) -> list[str]:
    """How the part may be asked for."""
    if adjective:
        noun = phrase.text if phrase.counted else phrase.text.partition(" ")[2]
        figure = "" if phrase.counted else "average" if phrase.fn is Function.AVG else "total"
        return [f"How many {said} {noun} are there?" if phrase.counted else f"What is the {figure} {said} {noun}?"]
    bare = re.sub(r"^(?:who|that|which)\s+", "", said, flags=re.IGNORECASE)
    if not phrase.counted:
        return [f"What is the {phrase.text} {_MOVING.sub('', said)}?"]
    asked = [f"How many {phrase.text} {bare}?"]
    return asked if _VERB.match(bare) else [f"How many {phrase.text} are {bare}?", *asked]


def _comparable(part: Figure, whole: Figure) -> Figure | None:
    """The part, counted in what the whole is counted in; None where it is no part of it."""
    if not whole.conditions < part.conditions or whole.joins:
        return None
    if not part.joins:
        same = part.group.aggs[0].fn is whole.group.aggs[0].fn and part.collection == whole.collection
        return part if same else None
    item = part.group.aggs[0]
    if not counting(part):
        return part if item.fn is whole.group.aggs[0].fn and item.field == whole.group.aggs[0].field else None
    if item.fn is Function.COUNT_DISTINCT:
        return part
    if part.collection != whole.collection:
        return None
    once = Aggregation(Function.COUNT_DISTINCT, "id", item.alias)  # a join may find a document several times
    return part.changed(replace(part.group, aggs=(once,)))


def _planned(asking: Asking, phrase: Phrase, part: Figure, whole: Figure) -> Planned:
    one, all_ = part.renamed("part_"), whole.renamed("whole_")
    steps: list[Step] = [*one.steps, *all_.steps]
    for figure, id_ in ((one, PART), (all_, "whole")):
        steps.append(Compute(f"{id_}_named", figure.last, (Computed(FieldRef(figure.column), FIGURE),)))
        steps.append(Project(id_, f"{id_}_named", (FIGURE,)))
    told = (
        Computed(FieldRef(FIGURE), PART),
        Computed(FieldRef(f"right_{FIGURE}"), WHOLE),
        Computed(_percent(FieldRef("ratio")), PERCENT),
    )
    steps += [
        CompareStep("compared", PART, "whole", Comparison.RATIO, "ratio", field=FIGURE),
        Compute("told", "compared", told),
        Project("shown", "told", (PERCENT, PART, WHOLE)),
        AnswerStep("answer", "shown", (PERCENT,)),
    ]
    return together(asking.question, (part, whole), steps, phrase.assumptions)


def share_of(plan: Plan) -> CompareStep | None:
    """The comparison of a part with its whole that a plan answers with in percent; None for other plans."""
    answer = plan.by_id[plan.output]
    path = [] if not isinstance(answer, AnswerStep) or answer.fields != (PERCENT,) else [*upwards(plan, answer.input)]
    match path:
        case [Project(fields=shown), Compute(), CompareStep(comparison=Comparison.RATIO) as step, *_]:
            return step if shown == (PERCENT, PART, WHOLE) else None
        case _:
            return None


def _by_group(asking: Asking, rest: str, each: re.Match[str]) -> Planned | None:
    """As in "share of revenue by country": the part that each group has of all."""
    phrase = phrase_of(rest[: each.start()], asking.catalog)
    if phrase is None:
        return None
    by = rest[each.start() :]
    question = f"number of {phrase.text} {by}" if phrase.counted else f"{phrase.text} {by}"
    try:
        planned = asking.read(question)
    except QuestionError:
        return None
    found = groups_of(planned)
    if found is None:
        return None
    steps, group = found
    alias = group.aggs[0].alias
    window = Window("share", group.id, WindowFunction.SHARE, "share", alias)
    percent = Compute("percent", "share", (Computed(_percent(FieldRef("share")), PERCENT),))
    order = Sort("ordered", "percent", (Order(PERCENT, descending=True), *(Order(name) for name in group.names)))
    shown = Project("shown", "ordered", (*group.names, alias, PERCENT))
    answer = AnswerStep("answer", "shown", (*group.names, PERCENT))
    return _closed(asking, planned, (*steps, window, percent, order, shown, answer), phrase)


def _of_each(asking: Asking, field: str) -> Planned | None:
    """As in "share of each category": of the documents of the one collection that has such a field."""
    words = [token.forms for token in tokenize(field)]
    holders = [
        info.name
        for info in asking.catalog.collections.values()
        for name in info.fields
        if len(words) == len(name_words(name))
        and all(one in said for one, said in zip(name_words(name), words, strict=True))
    ]
    if len(holders) != 1:
        return None
    rest = f"{' '.join(telling_words(holders[0]))} by {field}"
    each = _EACH.search(rest)
    return None if each is None else _by_group(asking, rest, each)


def _closed(asking: Asking, planned: Planned, steps: Sequence[Step], phrase: Phrase) -> Planned:
    said = tuple(dict.fromkeys((*phrase.assumptions, *planned.plan.assumptions)))
    plan = replace(planned.plan, question=asking.question, steps=tuple(steps), output="answer", assumptions=said)
    return replace(planned, plan=plan, alternatives=())


def _percent(ratio: Expression) -> Expression:
    hundred = Arithmetic(ArithmeticOperator.MULTIPLY, Value(100), ratio)
    return Call(ScalarFunction.ROUND, (hundred, Value(DECIMALS)))

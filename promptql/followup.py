"""Follow-ups: a question that only makes sense after another one, as a change of that one's plan."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

from promptql.answer import Band
from promptql.catalog import Catalog, CollectionInfo, FieldInfo
from promptql.drawing import kind_named
from promptql.editing import COUNT_ALIAS, Parts, parts_of, parts_over
from promptql.errors import PlanError
from promptql.expressions import Compare, Operator, Predicate, Value, fields_of
from promptql.ground import Base, joined_info
from promptql.plan import IGNORED, Assumption, Plan, Support
from promptql.planned import Planned
from promptql.predicate import compare, describe
from promptql.rules.concepts import APPEARING, time_fields
from promptql.rules.conditions import PLACES_MAX, place_fields
from promptql.rules.figures import FUNCTIONS
from promptql.rules.linking import mentions_collection
from promptql.rules.measures import is_intensive
from promptql.rules.planning import read_question
from promptql.rules.reading import Reading
from promptql.rules.words import normalize, tokenize
from promptql.steps import LIMIT_MAX, Aggregation, Function, Limit, Order, Scan, Search, Visualize
from promptql.validation import validate

_BEGINS = re.compile(
    r"(?:ok(?:ay)?[,.]?\s+|so\s+|then\s+)?(?:and|only|just|but|now|what about|how about|what if|also|without|except|"
    r"excluding|instead|same|sort|order|rank|reverse|(?:the\s+)?(?:first|top|last|next)\b|per\b|by\b|in\s+(?:a|de)sc|"
    r"as an?\b|plot|chart|draw|visuali[sz]e|show|list|count|add|include|with)\b",
    re.IGNORECASE,
)
_FRAGMENT = re.compile(
    r"(?:in|from|during|since|before|after|for|until|between|within)\s+[\w\s.,'-]{1,60}\??", re.IGNORECASE
)
_BARE_YEAR = re.compile(r"\b(only|just|and|but|about|for|now)\s+([12]\d{3})\b", re.IGNORECASE)
_LISTS = re.compile(
    r"(?:(?:please|and|now|ok)\s+)?(?:list|show|name|give|tell)(?:\s+me)?\s+(?:them|those|these)(?:\s+all)?\s*[.?!]*"
    r"|which(?:\s+ones?)?(?:\s+(?:are|were)\s+(?:they|those|these))?\s*\?*",
    re.IGNORECASE,
)
_ASKS_WHICH = re.compile(
    r"(?:(?:and|but|so)\s+)?(?:(?:which|who|what)\s+(?:ones?\s+)?(?:of|among)\s+(?:them|those|these)|which\s+ones?)\b",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(r"\b(?:them|those|these|they|ones?|their|its|it)\b", re.IGNORECASE)
_LEANS = re.compile(r"(?:and|but|only|just|also|(?:what|how) about)\b", re.IGNORECASE)
_STANDS_FOR = re.compile(r"\b(?:it|they|them|of (?:these|those))\b", re.IGNORECASE)
_ASKS_OF_THEM = re.compile(
    r"(?:and\s+)?(?:who|whom|when|where|what|which)\b.*\b(?:they|them|it|its|their|those|these)\b", re.IGNORECASE
)
_HOW_MANY = re.compile(r"how many(?: (?:are|were) (?:there|they|those|it))?\s*\??", re.IGNORECASE)
_COUNTS = re.compile(r"(?:(?:and|but|so)\s+)?how\s+many\b", re.IGNORECASE)
_ELLIPTIC = re.compile(r"(?:and|but|now|(?:what|how) about|what if) (?:for |in |with )?[\w.,]+\s*\?*", re.IGNORECASE)
_INSTEAD = re.compile(
    r"(?:and|but|(?:what|how) about)\s+(?:(?:for|of|with|in|by|from)\s+)?(?P<name>[^?!]{1,100}?)\s*[?.!]*",
    re.IGNORECASE,
)
_NARROWS = re.compile(r"\b(?:only|just|those|these|ones?|them|without|except|excluding|but not|also)\b", re.IGNORECASE)
_ORDERS = re.compile(r"\b(?:sort|order|rank|sorted|ordered|ranked)\b", re.IGNORECASE)
_REVERSES = re.compile(r"\b(?:reversed?|other way round|backwards)\b", re.IGNORECASE)
_FALLING = re.compile(r"\bdesc(?:ending)?\b|\b(?:highest|largest|newest|latest|most) first\b", re.IGNORECASE)
_RISING = re.compile(r"\basc(?:ending)?\b|\b(?:lowest|smallest|oldest|earliest|least) first\b", re.IGNORECASE)
_CUTS = re.compile(r"\b(?P<which>first|top|last|next)\b(?:\s+(?P<digits>\d{1,5}))?", re.IGNORECASE)
_DRAWS = re.compile(r"\b(?:plot|draw|chart|graph|diagram|visuali[sz]e)\b", re.IGNORECASE)
_SHOWS = re.compile(r"\b(?:show|list|add|include|with|too|also|as well)\b", re.IGNORECASE)
_OF_FOLLOWUPS = frozenset(
    """sort order sorted ordered rank reverse reversed first top last next descending ascending desc asc bar line area
    scatter chart plot graph diagram draw heatmap too also instead same now only just ones round way backwards include
    add visualize visualise other highest lowest largest smallest newest oldest latest earliest most least""".split()
)


@dataclass(slots=True)
class _Edit:
    """The plan on its way to another one, with what was changed."""

    parts: Parts
    changed: bool = False

    def take(self, parts: Parts) -> None:
        """Go on with other parts."""
        self.changed = self.changed or parts != self.parts
        self.parts = parts


def follow_up(question: str, before: Planned, catalog: Catalog, asked_at: datetime | None = None) -> Planned | None:
    """The plan of a question that changes the one before; None where it is a question of its own.

    Conditions narrow what there was ("only those from France"), or take the place of those on the same field ("and in
    1999?"); the order, the number of rows, columns, groups, figures and charts can be changed as well.
    """
    found = _ground(before.plan, catalog)
    if found is None:
        return None
    parts, info = found
    reading = read_question(_BARE_YEAR.sub(r"\1 in \2", question), info, asked_at)
    if not _is_follow_up(question, reading):
        return None
    edit = _Edit(parts)
    _edit(edit, question, reading, info)
    if not edit.changed:
        return None
    if isinstance(edit.parts.source, Search) and (edit.parts.counted or edit.parts.group is not None):
        return None  # how many passages were looked for is no figure
    steps = edit.parts.steps()
    ignored = [word for word in dict.fromkeys(reading.unexplained()) if _is_ignored(word, reading)]
    assumptions = (
        Assumption(f"'{question[:200]}' goes on from '{before.plan.question[:200]}'", Support.EXACT),
        *_carried(before.plan, parts, edit.parts),
        *reading.assumptions,
        *(Assumption(f"{IGNORED}'{word}'", Support.INFERRED) for word in ignored),
    )
    plan = Plan(question, steps, steps[-1].id, assumptions=tuple(dict.fromkeys(assumptions)))
    try:
        validate(plan, catalog)
    except PlanError:
        return None
    sure = before.confidence * (1.0 if not ignored else 0.5)
    band = before.band if not ignored or before.band is Band.SEARCH else Band.ASSUMPTIONS
    return Planned(plan, sure, band, planner=before.planner)


def leans_back(question: str, catalog: Catalog) -> str | None:
    """The word of a question by which it leans on what was said before; None where it stands for itself."""
    found, infos = _STANDS_FOR.search(question), catalog.collections.values()
    if found is None and not any(mentions_collection(token, info) for token in tokenize(question) for info in infos):
        found = _LEANS.match(question.strip())
    return None if found is None else found[0].strip()


def _ground(plan: Plan, catalog: Catalog) -> tuple[Parts, CollectionInfo] | None:
    """The plan's parts, and what its questions are about: a collection, or what a join gives."""
    read = {step.collection for step in plan.steps if isinstance(step, (Scan, Search))}
    if not read or not read <= set(catalog.collections):
        return None
    parts = parts_of(plan)
    if parts is not None:
        assert not isinstance(parts.source, Base)
        return parts, catalog.collections[parts.source.collection]
    parts = parts_over(plan)
    if parts is None:
        return None
    assert isinstance(parts.source, Base)
    try:
        return parts, joined_info(plan, parts.source, catalog)
    except PlanError:  # made for other columns than there are now
        return None


def _is_follow_up(question: str, reading: Reading) -> bool:
    """Whether it leans on what was said: it points back, or begins like a change and names no documents of its own."""
    stripped = question.strip()
    if _HOW_MANY.fullmatch(stripped) or _POINTS_BACK.search(stripped):
        return True
    named = any(reading.names_collection(index) for index in range(len(reading.tokens)))
    begins = _BEGINS.match(stripped) or _LISTS.fullmatch(stripped) or _FRAGMENT.fullmatch(stripped)
    return begins is not None and not named


def _edit(edit: _Edit, question: str, reading: Reading, info: CollectionInfo) -> None:
    narrows = _NARROWS.search(question) is not None
    for condition in reading.conditions:
        instead = not narrows or _excludes(condition.predicate, edit.parts, info)
        edit.take(edit.parts.with_condition(condition.predicate, instead=instead))
    named = None if reading.conditions else _named_instead(question, edit.parts, info)
    if named is not None:
        reading.use(range(len(reading.tokens)))
        reading.assume(f"'{reading.raw(1, len(reading.tokens))}' = {describe(named)}", Support.EXACT)
        edit.take(edit.parts.with_condition(named, instead=True))
    if not reading.conditions and _ELLIPTIC.fullmatch(question.strip()) and len(reading.numbers) == 1:
        edit.take(edit.parts.with_number(reading.numbers[0].value))
    measured = _measured_instead(question, reading, edit.parts)
    if measured is not None:
        reading.use(range(len(reading.tokens)))
        edit.take(edit.parts.measured(*measured, info))
    elif reading.aggregate is not None and reading.ranking is None:
        fn, field = reading.aggregate
        edit.take(edit.parts.aggregated(Aggregation(fn, field.name, f"{fn.value}_{field.name}")))
    ranks = reading.ranking is not None and reading.ranking.field is not None and reading.aggregate is None
    if _ASKS_WHICH.match(question.strip()) or (ranks and not reading.counted and not _ORDERS.search(question)):
        edit.take(_listed(edit.parts, info))  # "which of those …", "only the heaviest" of what was counted
    if _LISTS.fullmatch(question.strip()):
        edit.take(_listed(edit.parts, info))
    elif not _ORDERS.search(question):
        _regroup(edit, question, reading)
    _reorder(edit, question, reading, info)
    _cut(edit, question, reading)
    _draw(edit, question)


def _excludes(predicate: Predicate, parts: Parts, info: CollectionInfo) -> bool:
    """Whether no document can be both: "and of French ones?" behind Japanese ones."""
    names = fields_of(predicate)
    if len(names) != 1 or not _is_value(predicate) or info.fields[next(iter(names))].many:
        return False
    return any(_is_value(part) and fields_of(part) == names and part != predicate for part in parts.where)


def _is_value(predicate: Predicate) -> bool:
    return isinstance(predicate, Compare) and predicate.op is Operator.EQ and isinstance(predicate.right, Value)


def _named_instead(question: str, parts: Parts, info: CollectionInfo) -> Predicate | None:
    """As in "and Max?": another value of a field that a condition of the plan before compares."""
    match = _INSTEAD.fullmatch(question.strip())
    if match is None:
        return None
    for part in parts.where:
        names = fields_of(part)
        field = info.fields.get(next(iter(names))) if len(names) == 1 else None
        value, _ = (None, 0) if field is None else field.index.get(normalize(match["name"]), (None, 0))
        if field is not None and isinstance(value, str):
            return compare(field.name, Operator.EQ, value)
    return None


def _measured_instead(question: str, reading: Reading, parts: Parts) -> tuple[Function, str] | None:
    """As in "and the revenue?", "and the maximum?": the same figure of another field, or another figure of the same."""
    match = _INSTEAD.fullmatch(question.strip())
    group = parts.group
    if match is None or group is None or len(group.aggs) != 1 or group.aggs[0].field is None:
        return None
    if reading.conditions or reading.groups or reading.ranking is not None or reading.counted:
        return None
    before = group.aggs[0]
    said = [FUNCTIONS[token.folded] for token in reading.tokens if token.folded in FUNCTIONS]
    fields = list(dict.fromkeys(link.field for link in reading.fields))
    linked = {index for link in reading.fields for index in range(link.start, link.end)}
    rest = {reading.word(index) for index in reading.content() - linked} - FUNCTIONS.keys()
    if rest or len(said) > 1 or len(fields) > 1 or not (said or fields):
        return None
    field = fields[0] if fields else reading.collection.fields.get(before.field or "")
    if field is None or not field.numeric or field.identifier:
        return None
    if said:
        return said[0], field.name
    if before.fn not in FUNCTIONS.values():
        return None
    adds_up = before.fn is not Function.SUM or not is_intensive(field.name)
    return before.fn if adds_up else Function.AVG, field.name


def _listed(parts: Parts, info: CollectionInfo) -> Parts:
    """The documents that were counted or summed; what was listed stays."""
    if parts.group is None and not parts.counted:
        return parts
    if parts.group is not None and parts.group.by:
        return parts
    label = (info.label,)
    return replace(parts, group=None, having=(), order=(), limit=None, counted=False, shown=label, values=label)


def _regroup(edit: _Edit, question: str, reading: Reading) -> None:
    fields = [*reading.groups, *reading.wanted]
    of_them = edit.parts.group is None and _ASKS_OF_THEM.match(question.strip()) is not None
    if of_them and not fields:
        fields = _asked_by_word(reading)
    if (_SHOWS.search(question) or of_them) and fields and not reading.counted:
        edit.take(edit.parts.showing(tuple(field.name for field in fields)))
    elif reading.groups:
        edit.take(edit.parts.grouped(tuple(field.name for field in reading.groups)))
    elif reading.counted and not reading.conditions and edit.parts.group is not None and not edit.parts.group.by:
        edit.take(edit.parts.aggregated(Aggregation(Function.COUNT, None, COUNT_ALIAS)))  # of what the figure is of
        edit.changed = True
    elif reading.counted and (not reading.conditions or (edit.parts.group is None and _COUNTS.match(question.strip()))):
        edit.take(replace(edit.parts, counted=True))


def _asked_by_word(reading: Reading) -> list[FieldInfo]:
    """What "when was it made" and "where are they" ask for: the one time, the places."""
    info = reading.collection
    if reading.word(0) == "when":
        times = time_fields(info)
        reading.use(index for index in range(len(reading.tokens)) if reading.word(index) in APPEARING)
        return times if len(times) == 1 else []
    places = place_fields(info) if reading.word(0) == "where" else []
    return places if len(places) <= PLACES_MAX else []


def _reorder(edit: _Edit, question: str, reading: Reading, info: CollectionInfo) -> None:
    parts, group = edit.parts, edit.parts.group
    field = _ordered_by(question, reading, info)
    if field is not None:
        column = _column_of(field, parts)
        if column is not None:
            ordered = replace(parts, order=(Order(column, bool(_FALLING.search(question))),))
            edit.take(ordered.showing((column,), asked=False))
    elif reading.ranking is not None and reading.ranking.field is not None and (group is None or not group.by):
        ranking, parts = reading.ranking, _listed(parts, info)  # "which is the best of them" behind an average
        limit = Limit("", "", reading.limit or 1, ties=reading.limit is None)
        order = (Order(reading.ranking.field.name, ranking.descending),)
        ranked = replace(parts, order=order, limit=limit)
        edit.take(ranked.showing((reading.ranking.field.name,), asked=False))
    elif parts.order and (_REVERSES.search(question) or _FALLING.search(question) or _RISING.search(question)):
        first, *rest = parts.order
        falling = not first.descending if _REVERSES.search(question) else bool(_FALLING.search(question))
        edit.take(replace(parts, order=(replace(first, descending=falling), *rest)))


def _column_of(field: FieldInfo, parts: Parts) -> str | None:
    """The column of the answer with a field: of groups its figure, or what tells them apart; None where neither is."""
    if parts.group is None:
        return field.name
    if field.name in parts.group.names:
        return field.name
    return next((item.alias for item in parts.group.aggs if item.field == field.name), None)


def _ordered_by(question: str, reading: Reading, info: CollectionInfo) -> FieldInfo | None:
    """The field that is asked to be sorted by."""
    if not _ORDERS.search(question):
        return None
    linked = [link.field for link in reading.fields if info.fields[link.field.name].many is False]
    return linked[-1] if linked else None


def _cut(edit: _Edit, question: str, reading: Reading) -> None:
    """The first, next or last rows; the last ones are the first of the reversed order."""
    found = _CUTS.search(question)
    if found is None or _FALLING.search(question) or _RISING.search(question) or reading.ranking is not None:
        return
    place = next((i for i, token in enumerate(reading.tokens) if token.start == found.start("which")), 0)
    number = reading.number_at(place + 1)
    n = int(number.value) if number is not None and isinstance(number.value, int) else 1
    if not 1 <= n <= LIMIT_MAX:
        return
    parts, which = edit.parts, found["which"].lower()
    if which == "next" and parts.limit is not None:
        edit.take(replace(parts, limit=Limit("", "", n, offset=parts.limit.offset + parts.limit.n)))
    elif which == "last" and parts.order:
        turned = tuple(replace(key, descending=not key.descending) for key in parts.order)
        edit.take(replace(parts, order=turned, limit=Limit("", "", n)))
    elif which in {"first", "top"}:
        edit.take(replace(parts, limit=Limit("", "", n)))


def _draw(edit: _Edit, question: str) -> None:
    if _DRAWS.search(question):
        edit.take(replace(edit.parts, chart=Visualize("", "", kind_named(question))))


def _carried(before: Plan, past: Parts, parts: Parts) -> tuple[Assumption, ...]:
    """How words of the question before were read, as far as the plan still says so."""
    if isinstance(parts.source, Base):  # what is below the chain stays
        gone = {name for part in past.where if part not in parts.where for name in fields_of(part)}
        kept = (item for item in before.assumptions if " goes on from " not in item.text)
        return tuple(item for item in kept if not gone & set(item.text.replace("=", " ").split()))
    still = [describe(part) for part in (*parts.where, *parts.having)]
    return tuple(item for item in before.assumptions if any(item.text.endswith(f"= {text}") for text in still))


def _is_ignored(word: str, reading: Reading) -> bool:
    numbers = {reading.word(index) for mention in reading.numbers for index in range(mention.start, mention.end)}
    return word not in _OF_FOLLOWUPS and word not in numbers

"""Triggers: values and nouns ("functions in the os module", "dramas", "movies")."""

from __future__ import annotations

from datetime import datetime

from engine import FieldType
from promptql.catalog import STRING_TYPES, CollectionInfo, FieldInfo, SemanticType
from promptql.expressions import Operator, Scalar, fields_of
from promptql.plan import Support
from promptql.predicate import compare, describe
from promptql.rules.comparators import use_all_but
from promptql.rules.comparisons import negate, negation_before
from promptql.rules.concepts import APPEARING, COMPARATIVES, time_fields
from promptql.rules.cues import PERSON, PLACE, related
from promptql.rules.events import is_recorded, recorded_in
from promptql.rules.linking import EXACT, FieldLink
from promptql.rules.reading import Condition, Reading, begin_reading
from promptql.rules.values import Trust, ValueLink, is_category, is_subject
from promptql.rules.words import WHO, name_words, root, singular

_ONE_SHARE_MIN = 0.1  # of all names those that end with a noun in the singular, for it to mean them
_LABELS_MAX = 1_000  # names that are looked through for their last words
_JOINERS = frozenset({"and", "or", "nor"})
LISTED_MAX = 1_000
_LISTS = frozenset({"name", "list", "show", "give", "find", "tell"})
PLACES_MAX = 3  # that "where" asks for
_BEING = frozenset(
    {"live", "lives", "lie", "lies", "located", "situated", "found", "based", "stand", "stands", "kept", "be"}
)
_HELPING = frozenset({"has", "have", "had", "did", "does", "is", "was", "were", "are"})
_ASKS = frozenset({"which", "what", "list", "show", "find", "give", "name", "tell", "display", "who", "where", "when"})


def read_named_values(reading: Reading) -> None:
    """A value beside its field's own name takes that name with it: "the os module", "directed by X"."""
    for value in reading.values:
        for link in reading.fields:
            if (
                link.field.name == value.field.name
                and link.start != value.start
                and _beside(reading, link.start, link.end, value)
            ):
                reading.use(range(link.start, link.end))


def _beside(reading: Reading, start: int, end: int, value: ValueLink) -> bool:
    between = range(end, value.start) if end <= value.start else range(value.end, start)
    joined = {"the", "a", "an", "named", "called", "is", "of", "=", "by", "are", "not", "other", "than"}
    return len(between) <= 2 and all(reading.word(index) in joined for index in between)


def read_values(reading: Reading) -> None:
    """Values not yet explained become conditions; several of one field only where "and" or "or" joins them."""
    by_field: dict[str, list[ValueLink]] = {}
    for link in reading.values:
        if reading.used & set(range(link.start, link.end)) or _is_compared(reading, link):
            continue
        linked = by_field.setdefault(link.field.name, [])
        if not linked or _joined(reading, linked[-1], link):
            linked.append(link)
    for links in by_field.values():
        _add(reading, links)


def _is_compared(reading: Reading, link: ValueLink) -> bool:
    """As in "cheaper than Low Water": what is sought is not what it is compared with."""
    before = link.start - 2 if reading.word(link.start - 1) in {"the", "a", "an"} else link.start - 1
    adjective = {reading.word(before - 1), reading.word(before - 2)}
    return reading.word(before) == "than" and not adjective.isdisjoint(COMPARATIVES.keys() | {"more", "less", "fewer"})


def _joined(reading: Reading, left: ValueLink, right: ValueLink) -> bool:
    between = [reading.word(index) for index in range(left.end, right.start)]
    small = {"the", "in", "from", "by", "of", "at"}
    return all(word in _JOINERS | small for word in between) and len(between) <= 2


def _add(reading: Reading, links: list[ValueLink]) -> None:
    name = links[0].field.name
    between = {reading.word(index) for index in range(links[0].end, links[-1].start)}
    both = links[0].field.many and len(links) > 1 and "and" in between and not between & {"or", "nor"}
    if both and links[0].start > 0 and not is_subject(reading.tokens, links[0].start):
        for link in links:  # "films with A and B": a list holds both
            _add(reading, [link])
        before = links[0].start - 1
        reading.use(range(before if reading.word(before) == "both" else links[0].start, links[-1].end))
        return
    values: list[Scalar] = list(dict.fromkeys(link.value for link in links))
    op = Operator.EQ if len(values) == 1 else Operator.IN
    predicate = compare(name, op, values[0] if op is Operator.EQ else values)
    denial = negation_before(reading, links[0].start)
    condition = negate(predicate, when=denial is not None)
    reading.conditions.append(Condition(condition, min(link.trust for link in links)))
    reading.use(range(links[0].start if denial is None else denial, links[-1].end))
    if denial is not None:
        use_all_but(reading, denial)
    exact = all(link.exact for link in links)
    words = reading.raw(links[0].start, links[-1].end)
    guessed = any(link.trust is Trust.HINTED and not is_category(link.field) for link in links)
    guessed = guessed or any(link.rival is not None for link in links)
    support = Support.INFERRED if guessed else Support.EXACT if exact else Support.FUZZY
    reading.assume(f"'{words}' = {describe(condition)}", support)
    filled = links[0].field.filled
    if denial is not None and filled is not None and filled < reading.collection.rows:
        reading.assume(f"documents without {name} are not {words} either", Support.FUZZY)


def read_label_nouns(reading: Reading) -> None:
    """A noun that names of documents end with: of "lamps" those that are called "Desk Lamp" or "Floor Lamp"."""
    for index, field, named in _label_nouns(reading):
        predicate = compare(field.name, Operator.IN, named)
        reading.conditions.append(Condition(predicate, Trust.HINTED))
        reading.use((index,))
        reading.assume(f"'{reading.tokens[index].text}' = {describe(predicate)}", Support.FUZZY)


def speaks_of_labels(question: str, collection: CollectionInfo, asked_at: datetime) -> bool:
    """Whether a noun of a question is the last word of some documents' names, and nothing else."""
    reading = begin_reading(question, collection, asked_at)
    spans = [(link.start, link.end) for link in reading.fields] + [(link.start, link.end) for link in reading.values]
    reading.use(index for start, end in spans for index in range(start, end))
    return bool(_label_nouns(reading))


def _label_nouns(reading: Reading) -> list[tuple[int, FieldInfo, list[Scalar]]]:
    """The places of such nouns that nothing was made of, with the names that end with them."""
    field = reading.collection.fields.get(reading.collection.label)
    if field is None or field.many or not field.complete or not 1 < len(field.values) <= _LABELS_MAX:
        return []
    found: list[tuple[int, FieldInfo, list[Scalar]]] = []
    for index in sorted(reading.content() - reading.used):
        token = reading.tokens[index]
        plural = singular(token.folded) != token.folded
        asked = plural or is_subject(reading.tokens, index)
        if not asked or token.text != token.folded or not token.text.isalpha() or reading.names_collection(index):
            continue
        named = [value for key, (value, _) in field.index.items() if " " in key and key.split(" ")[-1] in token.forms]
        # Of "which lake" there are several, and not few; else all of them are lakes.
        least = 1 if plural else max(2, _ONE_SHARE_MIN * len(field.index))
        if least <= len(named) < len(field.index):
            found.append((index, field, named))
    return found


def read_when(reading: Reading) -> None:
    """As in "When was Jaws released?": the time of a document that is named."""
    if reading.word(0) != "when" or not any(link.field.identifier for link in reading.values):
        return
    times = time_fields(reading.collection)
    named = [link.field for link in reading.fields if link.field in times]
    verbs = [index for index in range(len(reading.tokens)) if reading.word(index) in APPEARING]
    if named or (verbs and len(times) == 1):
        reading.wanted.append(named[0] if named else times[0])
        reading.use(verbs)


def place_fields(collection: CollectionInfo) -> list[FieldInfo]:
    """Fields of texts that say where something is."""
    return [
        field
        for field in collection.fields.values()
        if field.type in STRING_TYPES and (field.semantic is SemanticType.PLACE or PLACE & set(name_words(field.name)))
    ]


def read_where(reading: Reading) -> None:
    """As in "where is the Skua": the places that a document that is named has."""
    if reading.word(0) != "where" or reading.wanted or not reading.conditions_name_one():
        return
    places = place_fields(reading.collection)
    if 0 < len(places) <= PLACES_MAX:
        reading.wanted += places
        reading.use(index for index in range(len(reading.tokens)) if reading.word(index) in _BEING)
        reading.assume(f"'where' = {', '.join(field.name for field in places)}", Support.FUZZY)


def read_who(reading: Reading) -> None:
    """As in "who makes the biggest boat": whom a verb names that one field's name is made of, which is shown."""
    if reading.word(0) not in WHO or reading.wanted:
        return
    place = next((i for i in range(1, len(reading.tokens)) if reading.word(i) not in _HELPING), 0)
    if place == 0 or place in reading.used or reading.value_at(place) is not None:
        return
    doers = [
        field
        for name, field in reading.collection.fields.items()
        if name != reading.collection.label and field.type in STRING_TYPES and _does(name_words(name), reading, place)
    ]
    if len(doers) == 1:
        most = reading.ranking is not None and reading.ranking.field is None  # "who built the most boats"
        (reading.groups if most and not reading.groups else reading.wanted).append(doers[0])
        reading.use((place,))
        reading.assume(f"'{reading.raw(0, place + 1)}' = {doers[0].name}", Support.FUZZY)


def _does(names: tuple[str, ...], reading: Reading, place: int) -> bool:
    """Whether a field's name is of whom does what a verb says: "builder" of "built", "author" of "wrote"."""
    token = reading.tokens[place]
    doer = any(name in PERSON or name.endswith(("er", "or", "ers", "ors")) for name in names)
    return doer and any(related(form, name) or token.root == root(name) for form in token.forms for name in names)


def read_how_many_listed(reading: Reading) -> None:
    """As in "name two boats in Oslo": how many documents are to be listed, where nothing orders or counts them."""
    told = reading.ranking is not None or reading.counted or reading.aggregate is not None or reading.groups
    if reading.word(0) not in _LISTS or told:
        return
    for mention in reading.numbers:
        whole = isinstance(mention.value, int) and 1 <= mention.value <= LISTED_MAX
        if whole and mention.start not in reading.used and reading.names_documents(mention.end):
            reading.limit = int(mention.value)
            reading.use(range(mention.start, mention.end))
            return


def _is_apart(reading: Reading, link: FieldLink) -> bool:
    """Whether a figure was asked for by each value of a field that cannot be grouped by, such as a long text."""
    figure = reading.aggregate is not None or reading.counted
    return figure and not link.field.groupable and reading.word(link.start - 1) in {"by", "per", "each", "every"}


def read_nouns(reading: Reading) -> None:
    """The collection's own name, what its documents record ("sold" of orders), and fields named only to be shown."""
    called = (reading.collection.name, *reading.collection.synonyms, *recorded_in(tuple(reading.collection.fields)))
    for index in range(len(reading.tokens)):
        if reading.names_collection(index) or is_recorded(reading.word(index), called):
            reading.use((index,))
    narrowed = {name for condition in reading.conditions for name in fields_of(condition.predicate)}
    for link in reading.fields:
        span = range(link.start, link.end)
        if reading.used & set(span) or link.field.type is FieldType.BOOLEAN or _is_apart(reading, link):
            continue
        if reading.word(0) in WHO and link.strength < EXACT and link.field.ordered:  # "who stars in": not the rating
            continue
        verb_of_condition = link.strength < EXACT and link.field.name in narrowed  # "films that Nolan directed"
        if link.field not in reading.wanted and not verb_of_condition:
            reading.wanted.append(link.field)
        reading.use(span)
    reading.use(index for index in range(len(reading.tokens)) if reading.word(index) in _ASKS)

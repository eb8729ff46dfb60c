"""Adjectives and what they measure: "longest" looks for a length, "newest" for a time."""

from __future__ import annotations

from dataclasses import dataclass

from engine import FieldType
from promptql.catalog import CollectionInfo, FieldInfo
from promptql.rules.words import name_words

LENGTH = ("length", "duration", "runtime", "minutes", "words", "characters", "pages", "size", "seconds", "hours")
TIME = ("year", "date", "released", "published", "created", "time", "day", "born", "founded", "built", "since")
PRICE = ("price", "cost", "fee", "fare", "amount", "rent")
SIZE = ("size", "area", "population", "volume", "revenue", "employees", "capacity", "seats", *LENGTH)
SCORE = ("rating", "score", "stars", "points", "votes", "grade", "rank")
POPULARITY = ("popularity", "votes", "views", "downloads", "followers", "sales", *SCORE)
AGE = ("age",)
BIRTH = ("born", "birth", "birthday", "birthdate", "dob")
HEIGHT = ("height", "elevation", "altitude")
WEIGHT = ("weight", "mass")
PAY = ("salary", "wage", "income", "earnings", "pay")
SPEED = ("speed", "velocity", "horsepower")

_AGED = frozenset({"older", "oldest", "younger", "youngest"})

# Verbs of coming to be, which every collection with a time uses of its documents: "released in 1999".
APPEARING = frozenset({"released", "published", "produced", "created", "made", "issued", "came", "come", "out"})
# Verbs that say no more than the field or value beside them: "movies that feature Tom Hanks".
LIGHT_VERBS = frozenset(
    """star stars starred starring speak speaks spoken live lives living appear appears appeared appearing feature
    features featured featuring play plays played act acts acted include includes including come comes came
    released published produced created located situated found held hold holds belong belongs use uses used using
    offer offers share shares people place placed happen happened occur occurred take took work works worked working
    assigned stand stands stood lie lies""".split()
)


@dataclass(frozen=True, slots=True)
class Adjective:
    """A direction along a measure: field names to look for, and whether more of it is meant."""

    measures: tuple[str, ...]
    descending: bool


_STEMS: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    # comparative, superlative, what it measures, whether it means more of it
    ("longer", "longest", LENGTH, True),
    ("shorter", "shortest", LENGTH, False),
    ("larger", "largest", SIZE, True),
    ("bigger", "biggest", SIZE, True),
    ("smaller", "smallest", SIZE, False),
    ("newer", "newest", TIME, True),
    ("later", "latest", TIME, True),
    ("older", "oldest", TIME, False),
    ("earlier", "earliest", TIME, False),
    ("cheaper", "cheapest", PRICE, False),
    ("pricier", "priciest", PRICE, True),
    ("dearer", "dearest", PRICE, True),
    ("costlier", "costliest", PRICE, True),
    ("higher", "highest", (*SCORE, *HEIGHT), True),
    ("better", "best", SCORE, True),
    ("lower", "lowest", (*SCORE, *HEIGHT), False),
    ("worse", "worst", SCORE, False),
    ("taller", "tallest", HEIGHT, True),
    ("heavier", "heaviest", WEIGHT, True),
    ("lighter", "lightest", WEIGHT, False),
    ("faster", "fastest", SPEED, True),
    ("slower", "slowest", SPEED, False),
    ("younger", "youngest", AGE, False),
    ("greater", "greatest", (), True),
)
COMPARATIVES = {word: Adjective(measures, more) for word, _, measures, more in _STEMS}
SUPERLATIVES = {word: Adjective(measures, more) for _, word, measures, more in _STEMS} | {
    "top": Adjective(SCORE, descending=True),
    "bottom": Adjective(SCORE, descending=False),
}
_TELLING = (PRICE, AGE, HEIGHT, WEIGHT, SPEED)  # what they measure is nothing else: "heaviest" is no length
AFTER_MOST = {  # "most expensive", "least popular"
    "recent": TIME,
    "populous": ("population",),
    "populated": ("population",),
    "expensive": PRICE,
    "popular": POPULARITY,
    "successful": ("revenue", "gross", "sales", *SCORE),
    "complex": ("complexity", "parameters", *LENGTH),
}


def is_unmeasured(word: str, name: str) -> bool:
    """Whether a superlative, such as "heaviest", speaks of another measure than a field of that name holds."""
    adjective = SUPERLATIVES.get(word)
    return (
        adjective is not None and adjective.measures in _TELLING and not set(adjective.measures) & set(name_words(name))
    )


def measured_by(collection: CollectionInfo, measures: tuple[str, ...], within: str | None = None) -> FieldInfo | None:
    """The ordered field named by the first of the measures that names one; `within`: only leaves of that object.

    Where times are meant, and none is named so, the one field of datetimes.
    """
    fields = [field for field in collection.fields.values() if within is None or field.name.startswith(f"{within}.")]
    for measure in measures:
        for field in fields:
            if field.ordered and measure in name_words(field.name):
                return field
    times = [field for field in fields if field.type is FieldType.DATETIME and not field.many]
    return times[0] if measures == TIME and len(times) == 1 else None


def measured_as(collection: CollectionInfo, word: str) -> tuple[FieldInfo, bool] | None:
    """What a comparative or superlative measures there, and whether more of it is meant; None where nothing.

    The old have a greater age, or an earlier time of birth, or else an earlier time of any kind.
    """
    adjective = SUPERLATIVES.get(word) or COMPARATIVES.get(word)
    if adjective is None:
        return None
    if word not in _AGED:
        field = measured_by(collection, adjective.measures)
        return None if field is None else (field, adjective.descending)
    old = word.startswith("old")
    age = measured_by(collection, AGE)
    if age is not None:
        return age, old
    born = measured_by(collection, BIRTH) or measured_by(collection, TIME)
    return None if born is None else (born, not old)


def time_fields(collection: CollectionInfo) -> list[FieldInfo]:
    """Fields that hold times: datetimes, and numbers called year or the like."""
    return [
        field
        for field in collection.fields.values()
        if not field.many
        and (
            field.type is FieldType.DATETIME or (field.numeric and any(word in TIME for word in name_words(field.name)))
        )
    ]

"""What texts are about: "What do customers complain about?", "main topics of the reviews"; as themes with counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from promptql.answer import Band
from promptql.catalog import Catalog, CollectionInfo, FieldInfo
from promptql.errors import PlanError
from promptql.expressions import Operator, Predicate
from promptql.plan import Assumption, Plan, Support
from promptql.planned import Planned
from promptql.predicate import compare, conjunction, describe
from promptql.rules.linking import mentions_collection
from promptql.rules.planning import read_question
from promptql.rules.values import Trust
from promptql.rules.words import name_words, tokenize
from promptql.steps import AnswerStep, ClassifyLocal, Cluster, Filter, Scan, Search, Step
from promptql.validation import validate

THEME = "theme"
TONE = "tone"
CONFIDENCE = 0.7  # themes are what texts have in common by their embeddings: a way to see them, not the only one
ROWS_MAX = 2_000  # of more documents those nearest to the question are read
NEAREST_MAX = 500


class Tone(Enum):
    """What kind of texts are asked for."""

    COMPLAINT = "complaint"
    PRAISE = "praise"


_COMPLAINT = (
    r"complain(?:s|ed|ing|ts?)?|dislikes?|disliked|hates?|hated|criticiz(?:e|es|ed)|criticis(?:e|es|ed|ms?)|unhappy|"
    r"dissatisfied|annoyed|frustrated|problems?|issues?|concerns?|pain\s+points?|grievances?"
)
_PRAISE = r"likes?|liked|loves?|loved|praises?|praised|enjoys?|enjoyed|happy|satisfied|compliments?"
_ABOUT = r"themes?|topics?|subjects?|opinions?|feedback"
_FORMS = (
    re.compile(
        rf"^what\s+(?:do|does|did|are|is|were)\s+(?P<who>[\w\s]+?)\s+(?:mostly\s+|most\s+|usually\s+|often\s+)?"
        rf"(?:(?P<bad>{_COMPLAINT})|(?P<good>{_PRAISE})|say(?:ing)?|talk(?:ing)?|mention|write|writing|think)"
        rf"(?:\s+(?:about|with|by|of|most|on|in))*(?:\s+(?:it|them|us|this|that|here))?(?P<rest>(?:\s+(?:in|from|since|during|after|before)\s+.+)?)$",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^(?:what\s+are|list|show|name|summari[sz]e|give\s+me|tell\s+me|what)\s+(?:me\s+)?(?:the\s+)?"
        rf"(?:(?:most\s+)?(?:main|common|frequent|top|biggest|major|usual|typical|recurring|key)\s+)?"
        rf"(?:(?P<bad>{_COMPLAINT})|(?P<good>{_PRAISE})|(?P<about>{_ABOUT}))(?:\s+(?:come\s+up|appear|occur|are\s+there))?"
        rf"(?P<rest>(?:\s+(?:in|of|from|by|since|during|after|before)\s+.+)?)$",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^why\s+(?:do|does|did|are|is|were)\s+(?P<who>[\w\s]+?)\s+(?:so\s+)?(?:(?P<bad>{_COMPLAINT})|(?P<good>{_PRAISE}))"
        rf"(?P<rest>(?:\s+(?:in|from|since|during|after|before)\s+.+)?)$",
        re.IGNORECASE,
    ),
    re.compile(r"^what\s+are\s+(?:the\s+|all\s+|these\s+)?(?P<who>[\w\s]+?)\s+about(?P<rest>)$", re.IGNORECASE),
)
_SCALES = frozenset("rating ratings stars score".split())
_SENTIMENTS = frozenset({"sentiment", "tone", "polarity"})
_LOW, _HIGH = 0.4, 0.6  # of a scale: up to there is bad, from there is good
# What texts of each kind sound like, for collections without a rating; English at large.
_EXAMPLES = (
    (
        Tone.COMPLAINT.value,
        (
            "It broke after a week and I want my money back.",
            "Nobody answered my messages.",
            "Far too slow and too expensive.",
            "It does not work as described.",
            "I am very disappointed.",
            "It arrived late and damaged.",
        ),
    ),
    (
        Tone.PRAISE.value,
        (
            "I love it, it works perfectly.",
            "Excellent quality at a fair price.",
            "Quick answer and friendly people.",
            "Exactly as described, thank you.",
            "I would recommend it to everybody.",
            "It arrived early and well packed.",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    who: str
    rest: str
    tone: Tone | None


def plan_themes(question: str, catalog: Catalog, asked_at: datetime | None = None) -> Planned | None:
    """Texts put together by what they are about; None where that is not asked, or it is not clear of which texts."""
    asked = _taken_apart(question)
    info = None if asked is None else _texts(asked, question, catalog)
    if asked is None or info is None:
        return None
    reading = read_question(asked.rest, info, asked_at)
    if reading.unexplained():
        return None
    where = [item.predicate for item in reading.conditions if item.trust is Trust.SURE]
    said = list(reading.assumptions)
    steps: list[Step] = []
    scale = None if asked.tone is None else _scale(info, asked.tone)
    if scale is not None and asked.tone is not None:
        where.append(scale)
        said.append(Assumption(f"'{asked.tone.value}' = {describe(scale)}", Support.INFERRED))
    narrowed = conjunction(*where)
    if info.rows > ROWS_MAX:
        steps.append(Search("s1", info.name, question, NEAREST_MAX, narrowed))
        said.append(Assumption(f"of {info.rows} texts the {NEAREST_MAX} nearest are read", Support.DEFAULT))
    else:
        steps.append(Scan("s1", info.name))
        steps += [] if narrowed is None else [Filter("s2", "s1", narrowed)]
    if asked.tone is not None and scale is None:
        steps.append(ClassifyLocal("tones", steps[-1].id, _embedded(info), _EXAMPLES, TONE))
        steps.append(Filter("toned", "tones", compare(TONE, "=", asked.tone.value)))
        said.append(Assumption(f"'{asked.tone.value}' = texts that sound like one", Support.INFERRED))
    steps.append(Cluster("themes", steps[-1].id, THEME, _embedded(info)))
    steps.append(AnswerStep("answer", "themes"))
    plan = Plan(question, tuple(steps), "answer", assumptions=tuple(dict.fromkeys(said)))
    try:
        validate(plan, catalog)
    except PlanError:
        return None
    return Planned(plan, CONFIDENCE, Band.ASSUMPTIONS)


def _taken_apart(question: str) -> _Asked | None:
    text = " ".join(question.split()).rstrip(" .?!")
    for form in _FORMS:
        match = form.match(text)
        if match is not None:
            found = match.groupdict()
            tone = Tone.COMPLAINT if found.get("bad") else Tone.PRAISE if found.get("good") else None
            return _Asked(found.get("who") or "", (found.get("rest") or "").strip(), tone)
    return None


def _texts(asked: _Asked, question: str, catalog: Catalog) -> CollectionInfo | None:
    """The collection of texts that is meant: the one that is named, else the only one.

    What names documents must be known where nothing else says that texts are meant.
    """
    searchable = [info for info in catalog.collections.values() if info.searchable and info.rows and _embedded(info)]
    tokens = tokenize(question)
    named = [info for info in searchable if any(mentions_collection(token, info) for token in tokens)]
    if len(named) == 1:
        return named[0]
    plain = asked.tone is None and not re.search(_ABOUT, question, re.IGNORECASE) and not asked.who
    return searchable[0] if len(searchable) == 1 and not plain and asked.tone is not None else None


def _embedded(info: CollectionInfo) -> tuple[str, ...]:
    """The field with the texts: the one that is prose."""
    from engine import FieldType

    fields = [field for field in info.fields.values() if not field.keys and field.name != info.label]
    return tuple(field.name for field in fields if field.type is FieldType.TEXT)[:1]


def _scale(info: CollectionInfo, tone: Tone) -> Predicate | None:
    """What tells bad from good texts: a rating, or a sentiment; None where the collection has neither."""
    for field in info.fields.values():
        words = set(name_words(field.name))
        if words & _SENTIMENTS and field.small and (found := _sentiment(field, tone)) is not None:
            return found
        least, greatest = field.least, field.greatest
        if words & _SCALES and field.numeric and isinstance(least, int | float) and isinstance(greatest, int | float):
            if greatest <= least:
                continue
            share, op = (_LOW, Operator.LE) if tone is Tone.COMPLAINT else (_HIGH, Operator.GE)
            return compare(field.name, op, round(least + share * (greatest - least), 2))
    return None


def _sentiment(field: FieldInfo, tone: Tone) -> Predicate | None:
    begins = ("neg", "bad", "compl") if tone is Tone.COMPLAINT else ("pos", "good", "prais")
    found = [value for value, _ in field.values if isinstance(value, str) and value.lower().startswith(begins)]
    return compare(field.name, Operator.EQ, found[0]) if len(found) == 1 else None

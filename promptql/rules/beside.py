"""Questions of a collection that is searched, and asked about what of it is no text: "Who built the Gannet?".

The words alone make a search of them; the tables' weights know more ways to ask. They know no texts, so only what
explains every word, and shows a field that the question speaks of, is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from promptql.answer import Band
from promptql.catalog import ID, Catalog, CollectionInfo, FieldInfo, SemanticType
from promptql.expressions import fields_of
from promptql.plan import ignored_words
from promptql.planned import Planned
from promptql.rules.cues import PLACE, related
from promptql.rules.doubts import SMALL_VERBS, is_misordered, leaves_out
from promptql.rules.tables import Tables
from promptql.rules.tabular import plan_by_tables
from promptql.rules.words import STOPWORDS, WHO, Token, name_words, root, tokenize
from promptql.steps import AnswerStep, Filter, Group

BESIDE_CONFIDENCE_MIN = 0.6  # of a reading by tables; that of what is nothing but a table may be less sure
_MEASURES = frozenset("many much old long often far tall high big large heavy fast deep wide expensive".split())


def plan_beside(question: str, tables: Tables, catalog: Catalog) -> Planned | None:
    """The likeliest reading of a question about one collection; None where it is a guess.

    Args:
        question: in English.
        tables: what of the collection is no text.
        catalog: it is in.
    """
    tokens = tokenize(question)
    if _asks_for_prose(tokens):
        return None
    planned = plan_by_tables(question, tables, catalog)
    if planned is None or planned.band is Band.CLARIFY or planned.confidence < BESIDE_CONFIDENCE_MIN:
        return None
    info = catalog.collections[tables.view.names[0]]
    ignored = ignored_words(planned.plan.assumptions)
    asks_who = any(token.folded in WHO for token in tokens)  # who "stars" has not directed
    if any(asks_who or word not in SMALL_VERBS for word in ignored) or leaves_out(question, planned, catalog):
        return None
    if is_misordered(question, planned, [info]) or not _shows_what_is_asked(tokens, planned, info):
        return None
    return replace(planned, band=Band.ASSUMPTIONS)


def _asks_for_prose(tokens: Sequence[Token]) -> bool:
    """As in "how do I sort a list", "why does it rust": ways and reasons stand in no field."""
    words = [token.folded for token in tokens[:2]]
    return words[:1] == ["why"] or (words[:1] == ["how"] and not _MEASURES.intersection(words))


def _shows_what_is_asked(tokens: Sequence[Token], planned: Planned, info: CollectionInfo) -> bool:
    """Whether each field that is shown is spoken of, or names the documents that are asked for."""
    steps, output = planned.plan.steps, planned.plan.by_id[planned.plan.output]
    if any(isinstance(step, Group) for step in steps):
        return True
    narrowed = {name for step in steps if isinstance(step, Filter) for name in fields_of(step.where)}
    one = any(name == ID or info.fields[name].identifier for name in narrowed)  # its text is asked for, not its name
    shown = output.fields or () if isinstance(output, AnswerStep) else ()
    return bool(shown) and all(
        name in info.fields  # "next_name" is a column of its own
        and name not in narrowed
        and ((name == info.label and not one) or _is_spoken_of(tokens, info.fields[name]))
        for name in shown
    )


def _is_spoken_of(tokens: Sequence[Token], field: FieldInfo) -> bool:
    """Whether a word of the question names the field, or asks for what it holds: "built" a builder, "where" a city."""
    names = name_words(field.name)
    said = [token for token in tokens if token.folded not in STOPWORDS]
    if any(token.root == root(name) or related(token.folded, name) for token in said for name in names):
        return True
    place = field.semantic is SemanticType.PLACE or bool(PLACE & set(names))
    return place and any(token.folded == "where" for token in tokens)

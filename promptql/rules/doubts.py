"""What speaks against a reading by tables: words passed over, an order by another measure than the question's."""

from __future__ import annotations

from collections.abc import Sequence

from promptql.catalog import Catalog, CollectionInfo, FieldInfo
from promptql.plan import ignored_words
from promptql.planned import Planned
from promptql.rules.concepts import APPEARING, LIGHT_VERBS, SUPERLATIVES, is_unmeasured, measured_as
from promptql.rules.cues import related
from promptql.rules.strays import is_astray
from promptql.rules.words import Token, name_words, root, tokenize
from promptql.steps import Group, Scan, Sort

_NAMING = frozenset("name title label who".split())
EACH = frozenset({"each", "every", "per"})
SMALL_VERBS = LIGHT_VERBS | APPEARING


def leaves_out(question: str, planned: Planned, catalog: Catalog) -> bool:
    """Whether a reading passes over a word that says more than the documents record, or orders by another measure."""
    read = {step.collection for step in planned.plan.steps if isinstance(step, Scan)}
    names = (name_words(name) for collection in read for name in catalog.collections[collection].fields)
    told = {root(word) for words in names for word in words}  # what the documents record: "borrowed" of loans
    if (
        unmeasured(question, planned)
        or is_astray(question, planned.plan, catalog)
        or _passes_over_each(question, planned)
    ):
        return True
    return any(word not in SMALL_VERBS and root(word) not in told for word in ignored_words(planned.plan.assumptions))


def calls_for_groups(question: str) -> bool:
    """As in "the average salary in each city"."""
    return not EACH.isdisjoint(token.folded for token in tokenize(question))


def _passes_over_each(question: str, planned: Planned) -> bool:
    """Whether a figure is asked for of each, and the reading has one of all."""
    each = calls_for_groups(question)
    groups = [step for step in planned.plan.steps if isinstance(step, Group)]
    return each and bool(groups) and not any(step.by for step in groups)


def groups_unsaid(question: str, planned: Planned, catalog: Catalog) -> bool:
    """Whether documents are grouped by what is not spoken of, and many share: by weather for "each trip"."""
    read = {step.collection for step in planned.plan.steps if isinstance(step, Scan)}
    if len(read) != 1:
        return False
    fields = catalog.collections[read.pop()].fields
    tokens = tokenize(question)
    keys = {key for step in planned.plan.steps if isinstance(step, Group) for key in step.by if isinstance(key, str)}
    return any(key in fields and fields[key].small and not _is_spoken_of(tokens, fields[key]) for key in keys)


def _is_spoken_of(tokens: Sequence[Token], field: FieldInfo) -> bool:
    names = [*name_words(field.name), *(word for called in field.synonyms for word in name_words(called))]
    values = {root(word) for value, _ in field.values for word in name_words(str(value))}
    said = {token.root for token in tokens}
    if values & said or any(root(name) in said for name in names):
        return True
    named = any(name in _NAMING for name in names)
    return named or any(related(token.folded, name) for token in tokens for name in names)


def is_misordered(question: str, planned: Planned, infos: Sequence[CollectionInfo]) -> bool:
    """Whether a superlative names what a field that is read measures, and the order is by another."""
    by = {step.by[0].field for step in planned.plan.steps if isinstance(step, Sort)}
    by |= {item.field for step in planned.plan.steps if isinstance(step, Group) for item in step.aggs if item.field}
    read = {step.collection for step in planned.plan.steps if isinstance(step, Scan)}
    for token in tokenize(question):
        if token.folded not in SUPERLATIVES:
            continue
        measured = (measured_as(info, token.folded) for info in infos if info.name in read)
        wanted = {found[0].name for found in measured if found is not None}
        if wanted and not wanted & by:
            return True
    return False


def unmeasured(question: str, planned: Planned) -> list[str]:
    """Superlatives that measure something else than what the documents were ordered by, whose field is not named."""
    orders = [step.by[0] for step in planned.plan.steps if isinstance(step, Sort)]
    tokens = tokenize(question)
    said = {token.root for token in tokens}
    unnamed = [order for order in orders if not said.intersection(map(root, name_words(order.field)))]
    return [
        f"'{token.folded}' = {'greatest' if order.descending else 'least'} {order.field}"
        for token in tokens
        for order in unnamed
        if is_unmeasured(token.folded, order.field)
    ]

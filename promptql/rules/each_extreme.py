"""The first document of each group by what it measures: "oldest player of each team" is the highest age per team."""

from __future__ import annotations

import re

from promptql.catalog import Catalog
from promptql.plan import Assumption, Support
from promptql.rules.concepts import AFTER_MOST, SUPERLATIVES, measured_as, measured_by
from promptql.rules.linking import mentions_collection
from promptql.rules.words import name_words, singular, tokenize

_ADJECTIVES = "|".join(sorted({*SUPERLATIVES} - {"top", "bottom"}))
_OPENING = r"(?:show(?:\s+me)?|list|find|give(?:\s+me)?|(?:what|who)(?:\s+is|\s+are)?|how\s+\w+\s+(?:is|are|was))"
_FIRST = rf"(?:(?P<degree>most|least)\s+(?P<after>\w+)|(?P<word>{_ADJECTIVES}))\s+(?P<noun>\w+)"
_EACH = re.compile(
    rf"^(?:{_OPENING}\s+)?(?:the\s+)?(?P<said>{_FIRST})\s+"
    r"(?:(?:of|in|for|from|by|at|on)\s+)?(?:each|every|per)\s+(?P<group>(?!of\b).+?)[?.! ]*$",
    re.IGNORECASE,
)

_LISTED = re.compile(
    r"^(?:(?:list|show(?:\s+me)?|rank|sort|order|give(?:\s+me)?)\s+(?:all\s+|the\s+|all\s+the\s+)?)?(?P<group>\w+)\s+"
    r"(?:sorted\s+|ordered\s+|ranked\s+)?by\s+(?:the\s+|their\s+)?number\s+of\s+(?P<counted>.+?)[?.! ]*$",
    re.IGNORECASE,
)


def ranked_list(question: str) -> str | None:
    """The question for a number of each, as in "list the finders by number of specimens"; None for others."""
    match = _LISTED.match(question)
    return None if match is None else f"number of {match['counted']} per {singular(match['group'])}"


def in_figures_of_each(question: str, catalog: Catalog) -> tuple[str, Assumption] | None:
    """The question for the figure of each, and how it was read; None for others, or where nothing is measured so."""
    match = _EACH.match(question)
    if match is None:
        return None
    (noun,) = tokenize(match["noun"])
    for info in catalog.collections.values():
        if not mentions_collection(noun, info):
            continue
        if match["word"]:
            found = measured_as(info, match["word"].lower())
        else:
            field = measured_by(info, AFTER_MOST.get(match["after"].lower(), ()))
            found = None if field is None else (field, match["degree"].lower() == "most")
        if found is None or not found[0].numeric:
            return None
        figure = f"{'highest' if found[1] else 'lowest'} {' '.join(name_words(found[0].name))}"
        return f"{figure} per {match['group']}", Assumption(f"'{match['said']}' = the {figure}", Support.FUZZY)
    return None

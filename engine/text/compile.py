"""A query in free text as a Tantivy query, and what it will match.

Every word becomes BM25 terms, one a field; their scores add up. Words that stand for others of the dictionary become
a disjunction of which the best counts: Tantivy's own fuzzy and prefix queries would score a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import tantivy

from engine.errors import InvalidInputError
from engine.text.analyzer import Analyzer, Term, split_entry
from engine.text.characters import is_unspaced
from engine.text.dictionary import (
    PREFIX_CHARACTERS_MIN,
    Candidate,
    Dictionary,
    best_candidates,
    completions,
    corrections,
)
from engine.text.fields import TextField
from engine.text.query import CLAUSES_MAX, Clause, Expansion, Occur, TextQuery

CORRECTED_CHARACTERS_MAX = 1_000  # of a longer query no word is corrected: each takes a millisecond and more
_REMEMBERED_MAX = 10_000  # terms, and clauses, a searcher
_QUERIES_MAX = 1_000  # likewise
_MUST, _SHOULD, _MUST_NOT = tantivy.Occur.Must, tantivy.Occur.Should, tantivy.Occur.MustNot


@dataclass(slots=True)
class Matching:
    """What a compiled query looks for.

    Attributes:
        query: Tantivy's; None where nothing can be found.
        terms: field → terms that are looked for by themselves.
        phrases: field → sequences of terms.
        expanded: word → dictionary words that it stands for.
        documents_max: no more documents than this can match.
    """

    query: Any = None
    terms: dict[str, set[str]] = field(default_factory=dict)
    phrases: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    expanded: dict[str, tuple[str, ...]] = field(default_factory=dict)
    documents_max: int = 0


class _IndexTerm(NamedTuple):
    """A term of one field: how many documents have it, and the query for it."""

    text: str
    documents: int
    query: Any


class _Part(NamedTuple):
    """One word or phrase of a query, compiled.

    Attributes:
        key: the same for the same words asked for in the same way.
        occur: must, should or must not.
        queries: one a field that has it.
        terms: (field, term) looked for.
        phrases: (field, terms) looked for.
        word: as it is found in the dictionary.
        expanded: what it stands for besides itself.
        documents: no more than this can match.
    """

    key: tuple[Any, ...]
    occur: Occur
    queries: tuple[Any, ...]
    terms: tuple[tuple[str, str], ...] = ()
    phrases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    word: str = ""
    expanded: tuple[str, ...] = ()
    documents: int = 0


class Compiler:
    """Compiles queries against one searcher. Safe for many threads; remembers terms, clauses and queries.

    Args:
        schema: Tantivy's.
        searcher: Tantivy's.
        fields: of the index.
        analyzers: field → its analysis.
        dictionary: for misspelt words.
    """

    def __init__(
        self,
        schema: Any,
        searcher: Any,
        fields: Mapping[str, TextField],
        analyzers: Mapping[str, Analyzer],
        dictionary: Dictionary,
    ) -> None:
        self._schema = schema
        self._searcher = searcher
        self._analyzers = analyzers
        self._dictionary = dictionary
        self._names = {name: each.name for name, each in fields.items()}
        self._alike = dict.fromkeys(fields, 1.0)
        self._terms: dict[tuple[str, str], _IndexTerm] = {}
        self._clauses: dict[tuple[Any, ...], list[_Part]] = {}
        self._whole: dict[tuple[Any, ...], Matching] = {}
        self._same: dict[int, tuple[TextQuery, Matching]] = {}  # by identity, which costs less than to hash

    def compile(self, query: TextQuery) -> Matching:
        """What a query looks for. Do not write to it: it is remembered.

        Raises:
            InvalidInputError: `query.fields` names a field that is not searchable.
        """
        known = self._same.get(id(query))
        if known is not None and known[0] is query:
            return known[1]
        whole = self._find(query)
        if len(self._same) >= _QUERIES_MAX:
            self._same.clear()
        self._same[id(query)] = query, whole
        return whole

    def _find(self, query: TextQuery) -> Matching:
        boosts = self._alike if query.fields is None else self._checked(query.fields)
        if sum(len(clause.text) for clause in query.clauses) > CORRECTED_CHARACTERS_MAX:
            query = replace(query, typos=Expansion.NEVER)
        asked = None if query.fields is None else tuple(boosts.items())
        how = (asked, query.match_all, query.prefix, query.typos)
        whole = self._whole.get((query.clauses, how))
        if whole is None:
            whole = self._compile(query, boosts, how)
            if len(self._whole) >= _QUERIES_MAX:
                self._whole.clear()
            self._whole[query.clauses, how] = whole
        return whole

    def _compile(self, query: TextQuery, boosts: Mapping[str, float], how: tuple[Any, ...]) -> Matching:
        parts: dict[tuple[Any, ...], _Part] = {}
        times: dict[tuple[Any, ...], int] = {}
        for clause in query.clauses:
            known = self._clauses.get((clause, how))
            if known is None:
                known = self._remember((clause, how), self._clause(clause, query, boosts))
            for part in known:
                key = part.key
                parts[key] = part
                times[key] = times.get(key, 0) + 1
        chosen = list(parts.values())[:CLAUSES_MAX]
        matching = Matching()
        if all(part.queries for part in chosen if part.occur is Occur.MUST):
            _note(matching, chosen)
            if any(part.queries for part in chosen if part.occur is not Occur.MUST_NOT):
                matching.query = _join(chosen, times)
        return matching

    def _remember(self, key: tuple[Any, ...], parts: list[_Part]) -> list[_Part]:
        if len(self._clauses) >= _REMEMBERED_MAX:
            self._clauses.clear()
        self._clauses[key] = parts
        return parts

    def _checked(self, fields: Mapping[str, float]) -> Mapping[str, float]:
        for name in fields:
            if name not in self._names:
                known = ", ".join(self._names) or "(none)"
                raise InvalidInputError(f"no text field {name!r:.60}: expected one of {known}", pointer="/fields")
        return fields

    def _clause(self, clause: Clause, query: TextQuery, boosts: Mapping[str, float]) -> list[_Part]:
        """The words of a clause; or one part, where they must stand together."""
        occur = Occur.MUST if query.match_all and clause.occur is Occur.SHOULD else clause.occur
        if clause.field is not None:
            boosts = {clause.field: boosts.get(clause.field, 1.0)}
        if clause.boost != 1.0:
            boosts = {name: boost * clause.boost for name, boost in boosts.items()}
        texts = {name: self._analyzers[name].query_terms(clause.text) for name in boosts}
        words = next(iter(texts.values()), [])  # all languages cut alike
        key = (occur, clause.field, clause.boost)
        if len(words) > 1 and (clause.phrase or occur is not Occur.SHOULD):
            return [self._phrase((*key, *(word.entry for word in words)), occur, texts, boosts)]
        expands = occur is not Occur.MUST_NOT and not clause.phrase
        parts = []
        for place, word in enumerate(words):
            is_open = clause.open and place == len(words) - 1
            terms = {name: self._term(name, each[place].term) for name, each in texts.items()}
            known = any(term.documents for term in terms.values())
            if len(word.entry) == 1 and is_unspaced(word.entry):  # only pairs are indexed: it begins or ends them
                candidates = completions(self._searcher, word.entry)
            else:
                candidates = self._candidates(word.entry, query, known=known, is_open=is_open) if expands else []
            made = self._word((*key, word.entry, is_open), occur, terms, candidates, boosts)
            parts.append(made._replace(word=split_entry(word.entry)[0]))
        return parts

    def _phrase(
        self, key: tuple[Any, ...], occur: Occur, texts: Mapping[str, list[Term]], boosts: Mapping[str, float]
    ) -> _Part:
        """A phrase, one query for each field that has all of its words."""
        queries, phrases, documents = [], [], 0
        for name, terms in texts.items():
            words = [term.term for term in terms]
            rarest = min(self._term(name, word).documents for word in words)
            if rarest:
                phrases.append((name, tuple(words)))
                documents += rarest
                found = tantivy.Query.phrase_query(self._schema, self._names[name], list(words))
                queries.append(_boosted(found, boosts[name]))
        return _Part(key, occur, tuple(queries), phrases=tuple(phrases), documents=documents)

    def _word(
        self,
        key: tuple[Any, ...],
        occur: Occur,
        terms: Mapping[str, _IndexTerm],
        candidates: list[Candidate],
        boosts: Mapping[str, float],
    ) -> _Part:
        """One word's terms, one a field; or, where it stands for others, a disjunction a field."""
        queries, looked_for, documents = [], [], 0
        for name, term in terms.items():
            stands_for = {term.text: term.query} if term.documents else {}
            documents += term.documents
            for candidate in candidates:
                other = self._term(name, self._analyzers[name].stem_entry(candidate.entry))
                if other.documents and other.text not in stands_for:
                    stands_for[other.text] = _boosted(other.query, candidate.boost)
                    documents += other.documents
            looked_for += [(name, text) for text in stands_for]
            each = list(stands_for.values())
            if each:
                best = each[0] if len(each) == 1 else tantivy.Query.disjunction_max_query(each)
                queries.append(_boosted(best, boosts[name]))
        expanded = tuple(split_entry(candidate.entry)[1] for candidate in candidates)
        return _Part(key, occur, tuple(queries), tuple(looked_for), expanded=expanded, documents=documents)

    def _candidates(self, entry: str, query: TextQuery, *, known: bool, is_open: bool) -> list[Candidate]:
        """The dictionary words that a word may stand for."""
        folded, _ = split_entry(entry)
        candidates: list[Candidate] = []
        if is_open and len(folded) >= PREFIX_CHARACTERS_MIN and _expands(query.prefix, known=known):
            candidates += completions(self._searcher, folded)
        if not is_unspaced(folded[0]) and _expands(query.typos, known=known):
            candidates += corrections(self._searcher, self._dictionary, folded)
        return best_candidates(candidates)

    def _term(self, name: str, text: str) -> _IndexTerm:
        known = self._terms.get((name, text))
        if known is None:
            slot = self._names[name]
            query = tantivy.Query.term_query(self._schema, slot, text)
            known = _IndexTerm(text, self._searcher.doc_freq(slot, text), query)
            if len(self._terms) >= _REMEMBERED_MAX:
                self._terms.clear()
            self._terms[name, text] = known
        return known


def _note(matching: Matching, parts: list[_Part]) -> None:
    """Put what is looked for into `matching`."""
    for part in parts:
        if part.occur is Occur.MUST_NOT:
            continue
        for name, term in part.terms:
            matching.terms.setdefault(name, set()).add(term)
        for name, phrase in part.phrases:
            matching.phrases.setdefault(name, set()).add(phrase)
        if part.expanded:
            matching.expanded[part.word] = part.expanded
        matching.documents_max += part.documents


def _join(parts: list[_Part], times: Mapping[tuple[Any, ...], int]) -> Any:
    """All parts in one query; those that should match stand flat, so that Tantivy may skip what cannot win."""
    flat: list[tuple[Any, Any]] = []
    for part in parts:
        count = times[part.key]
        queries = part.queries if count == 1 else [_boosted(query, count) for query in part.queries]
        if part.occur is Occur.SHOULD:
            flat += [(_SHOULD, query) for query in queries]
        elif queries:
            flat.append((_MUST if part.occur is Occur.MUST else _MUST_NOT, _any_of(queries)))
    return tantivy.Query.boolean_query(flat)


def _expands(expansion: Expansion, *, known: bool) -> bool:
    return expansion is Expansion.ALWAYS or (expansion is Expansion.UNKNOWN and not known)


def _boosted(query: Any, boost: float) -> Any:
    return query if boost == 1.0 else tantivy.Query.boost_query(query, boost)


def _any_of(queries: Any) -> Any:
    if len(queries) == 1:
        return queries[0]
    return tantivy.Query.boolean_query([(_SHOULD, query) for query in queries])

"""search: the documents that fit a query best, by meaning, by words, or by both."""

from __future__ import annotations

from engine import Among, Condition, Hits, Nearest, SearchRequest, Snapshot, Words, parse_filter
from promptql.answer import Notice
from promptql.expressions import fields_of
from promptql.operators.binding import bound
from promptql.operators.rows import Rows, Scope
from promptql.operators.scan import split
from promptql.steps import Search, SearchMode


def run_search(step: Search, scope: Scope) -> Rows:
    """The k best documents, best first, each with the passage that matched."""
    snapshot = scope.snapshots[step.collection]
    condition = _condition(step, snapshot, scope)
    hits = _hits(step, snapshot, condition, scope)
    passages = dict(zip(hits.ids, hits.passages, strict=True))
    missing = step.rerank and scope.rerank is None
    notices = (Notice("not_reranked", f"step {step.id}: there is no reranker here"),) if missing else ()
    return Rows(
        snapshot.relation_of(hits, step.fields or tuple(snapshot.fields)), step.collection, passages, notices=notices
    )


def _condition(step: Search, snapshot: Snapshot, scope: Scope) -> Condition:
    """Which documents may be found: what filters cannot say is worked out first."""
    where = None if step.where is None else bound(step.where, scope)
    pushed, rest = split(where, snapshot)
    if rest is None:
        return pushed
    ids = snapshot.relation(sorted(fields_of(rest)), pushed).where(rest).column("id")
    ordinals = [ordinal for ordinal in snapshot.ordinals_of([str(id_) for id_ in ids]) if ordinal is not None]
    return Among.of(ordinals)


def _hits(step: Search, snapshot: Snapshot, condition: Condition, scope: Scope) -> Hits:
    embedded = bool(snapshot.schema.embed)
    mode = step.mode or (SearchMode.SEMANTIC if embedded else SearchMode.KEYWORD)
    rerank = scope.rerank(snapshot, step.query, step.k) if step.rerank and scope.rerank is not None else None
    if mode is SearchMode.KEYWORD and rerank is None:
        return snapshot.keyword(step.query, step.k, where=condition)
    queries: tuple[Nearest | Words, ...] = (Words(step.query),)
    if mode is not SearchMode.KEYWORD:
        field = next(iter(snapshot.schema.embed))
        query = scope.embedder_of(step.collection).embed_queries([step.query])[0]
        if mode is SearchMode.SEMANTIC and rerank is None:
            return snapshot.search(query, step.k, vector_field=field, where=condition)
        queries = (Nearest(query, field),) if mode is SearchMode.SEMANTIC else (Nearest(query, field), *queries)
    if isinstance(condition, Among):  # a request takes filters only
        names = {"id": {"$in": snapshot.ids(condition.ordinals)}}
        condition = parse_filter(names, snapshot.schema)
    return snapshot.query(SearchRequest(queries, limit=step.k, where=condition, rerank=rerank))

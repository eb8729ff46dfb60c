"""search: the documents whose text is nearest to a query."""

from __future__ import annotations

from promptql.operators.rows import Rows, Scope, filter_of
from promptql.steps import Search


def run_search(step: Search, scope: Scope) -> Rows:
    """The k nearest documents, best first, each with the passage that matched."""
    snapshot = scope.snapshots[step.collection]
    where = filter_of(step.where, scope.params, snapshot.schema)
    query = scope.embedder_of(step.collection).embed_queries([step.query])[0]
    vector_field = next(iter(snapshot.schema.embed))
    hits = snapshot.search(query, step.k, vector_field=vector_field, where=where)
    passages = dict(zip(hits.ids, hits.passages, strict=True))
    return Rows(snapshot.relation_of(hits, step.fields), step.collection, passages)

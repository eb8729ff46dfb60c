"""Models of an embedded database, for callers of their own: embedders and rerankers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lumaai.access import Verb
from lumaai.served_models import OURS, ServedModel, ServedModels, Task, check_known
from lumaai.texts import Scores, Vectors, check_dimensions, check_query, check_texts
from lumaai.translation import translated


class EmbeddedModels(ABC):
    """The part of a `Database` that gives out the models that are in use in it."""

    served_models: ServedModels
    _default_model: str

    @abstractmethod
    def _reached(self, verb: Verb) -> list[str]:
        """Names of collections that the caller may do this to."""

    @translated
    def list_models(self) -> list[ServedModel]:
        """The models that callers may use by themselves: to ask, to embed and to rerank."""
        asked = [OURS, *(f"{OURS}/{name}" for name in self._reached(Verb.ASK))]
        embedders = self.served_models.embedders(self._reached(Verb.READ))
        by_task = {Task.CHAT: asked, Task.EMBEDDING: embedders, Task.RERANK: self.served_models.rerankers()}
        return [ServedModel(name, task) for task, names in by_task.items() for name in names]

    @translated
    def embed(
        self,
        texts: Sequence[str],
        *,
        model: str | None = None,
        as_queries: bool = False,
        dimensions: int | None = None,
    ) -> Vectors:
        """Vectors of texts, (n, dim) float32: of each as a whole, up to the tokens that the model reads.

        Args:
            texts: at least one, none empty.
            model: one that a collection uses, or the database's own; None for that.
            as_queries: they are queries, not documents; not every model makes a difference.
            dimensions: the first so many numbers of each, scaled to length 1; None: all.

        Raises:
            InvalidRequestError: an empty text, or more dimensions than the model has.
            NotFoundError: there is no such model here.
            ModelUnavailableError: it cannot be had.
        """
        wanted, given = check_dimensions(dimensions), check_texts("texts", texts)
        name = self.embedder_named(model)
        return self.served_models.embed(given, name, as_queries=as_queries, dimensions=wanted).vectors

    def embedder_named(self, model: str | None) -> str:
        """An embedder that is given out; None means the database's own.

        Raises:
            NotFoundError: it is none.
        """
        name = self._default_model if model is None else model
        check_known(name, self.served_models.embedders(self._reached(Verb.READ)))
        return name

    @translated
    def rerank(self, query: str, texts: Sequence[str], *, model: str | None = None) -> Scores:
        """How well texts answer a query, (n,) float32 in their order; larger is better, within one call.

        Args:
            query: what is looked for.
            texts: at least one, none empty.
            model: a reranker; None for the database's own.

        Raises:
            InvalidRequestError: a blank query or an empty text.
            NotFoundError: there is no such reranker here.
            ModelUnavailableError: it cannot be had.
        """
        checked, given = check_query(query), check_texts("texts", texts)
        if model is not None:
            check_known(model, self.served_models.rerankers())
        return self.served_models.score(checked, given, model)

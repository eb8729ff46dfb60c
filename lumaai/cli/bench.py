"""`lumaai bench`: measurements that a user can repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lumaai.cli import output
from lumaai.cli.options import JsonOption, examples

bench = typer.Typer(help="Measure how good searches are.", no_args_is_help=True)


@bench.callback()
def group() -> None:
    """Measure how good searches are."""


@bench.command(
    epilog=examples(
        "lumaai bench quality beir/scifact beir/nfcorpus",
        "lumaai bench quality beir/scifact --systems semantic,truncated --model BAAI/bge-small-en-v1.5",
        "lumaai bench quality known-items=text --queries 300 --plot quality.png --json",
    )
)
def quality(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER…",
            help="With corpus.jsonl, queries.jsonl and qrels; FOLDER=text,… names the fields.",
            show_default=False,
        ),
    ],
    *,
    systems: Annotated[
        str, typer.Option(metavar="NAME,…", help="Of keyword, semantic, hybrid, reranked, truncated.")
    ] = "keyword,semantic,hybrid,reranked",
    model: Annotated[str | None, typer.Option(help="Of the vectors. [default: $LUMAAI_MODEL]")] = None,
    reranker: Annotated[str | None, typer.Option(help="[default: late-interaction]")] = None,
    language: Annotated[str, typer.Option(help="Of the text, for stems; none stems nothing.")] = "en",
    queries: Annotated[int | None, typer.Option(min=1, help="At most so many, drawn at random.")] = None,
    split: Annotated[str, typer.Option(help="Which judgements: qrels/SPLIT.tsv.")] = "test",
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Also a picture: .png or .svg.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure searches on judged queries: nDCG@10, recall@100 and MRR@10, as trec_eval defines them.

    Each set is indexed in a database of its own, which is gone afterwards. "truncated" is the model by itself, one
    vector a document, as published figures have it.
    """
    import os

    from lumaai.progress import StageProgress, progress_console
    from lumaai.quality import evaluate, read_folder
    from lumaai.quality.report import save_plot, to_json, to_table

    console = progress_console()
    chosen = [name.strip() for name in systems.split(",")]
    sets = [read_folder(path, fields=fields, split=split) for path, fields in map(_folder, folders)]
    measured = []
    for each in sets:
        with StageProgress(console, "measuring") as bar:
            measured.append(
                evaluate(
                    each, systems=chosen, model=model or os.environ.get("LUMAAI_MODEL") or None, reranker=reranker,
                    language=None if language == "none" else language, queries_max=queries, progress=bar.at,
                )
            )  # fmt: skip
    if plot is not None:
        save_plot(measured, plot)
    if as_json:
        output.print_json(to_json(measured))
    else:
        typer.echo(to_table(measured))


def _folder(given: str) -> tuple[Path, list[str]]:
    """A folder, and the fields that are indexed: those behind the last "=", where it is not part of the path."""
    path, _, names = given.rpartition("=")
    if not path or Path(given).is_dir():
        return Path(given), ["title", "text"]
    return Path(path), [name.strip() for name in names.split(",")]

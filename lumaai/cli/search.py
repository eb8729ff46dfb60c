"""The commands that search: `search` in its many ways, and `recall`, which says what searches find."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import FilterOption, JsonOption, examples, parsed_filter
from lumaai.cli.target import DirectoryOption, UrlOption, opened, service_address

searching = typer.Typer()

Collection = Annotated[str, typer.Argument(metavar="COLLECTION", help="Name of the collection.", show_default=False)]


def _object(text: str | None, option: str) -> dict[str, Any] | None:
    """A JSON object of the command line."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=option) from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f"not a JSON object: {text}", param_hint=option)
    return value


@searching.command(
    epilog=examples(
        'lumaai search films "a space opera"',
        'lumaai search films "robots in love" --mode hybrid -n 3 --filter "year >= 1990"',
        "lumaai search films --like 12 --unlike 15 --group-by genre",
        """lumaai search films robots --options '{"prefetch": [{"query": "love"}]}' --explain --json""",
        "lumaai search films robots --json | jq -r '.hits[].id'",
    )
)
def search(
    collection: Collection,
    query: Annotated[
        str | None, typer.Argument(metavar="[QUERY]", help="What to look for, in words.", show_default=False)
    ] = None,
    *,
    mode: Annotated[str, typer.Option(help="semantic (by meaning), keyword or hybrid (both).")] = "semantic",
    like: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Documents like this one; may be repeated.")
    ] = None,
    unlike: Annotated[list[str] | None, typer.Option(metavar="ID", help="And unlike this one; likewise.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many documents at most.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over before.")] = 0,
    filter_text: FilterOption = None,
    vector_field: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Needed where there are several; may be repeated.")
    ] = None,
    fields: Annotated[
        list[str] | None, typer.Option("--in", metavar="FIELD", help='Where to look for words, e.g. "title^3".')
    ] = None,
    rerank: Annotated[str | None, typer.Option(metavar="MODEL", help="Have a model order the best anew.")] = None,
    group_by: Annotated[str | None, typer.Option(metavar="FIELD", help="The best of each of its values.")] = None,
    diversity: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="0: by score alone; 1: as unlike as can be.")
    ] = None,
    options: Annotated[
        str | None, typer.Option(metavar="JSON", help="Anything else that the HTTP API takes, e.g. fusion, params.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say what ran, and how long it took.")] = False,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Find documents: by meaning, by words, by both, or like others."""
    wanted: dict[str, Any] = {
        "query": query, "mode": mode, "positive": like, "negative": unlike, "limit": limit, "offset": offset,
        "filter": parsed_filter(filter_text), "text_fields": fields, "rerank": rerank, "group_by": group_by,
        "diversity": diversity, "explain": explain,
        "vector_field": vector_field[0] if vector_field and len(vector_field) == 1 else vector_field,
    }  # fmt: skip
    wanted |= _object(options, "--options") or {}
    if not (query or like or unlike or options):
        raise typer.BadParameter("give QUERY, --like, or --options")
    try:
        with opened(directory, url, reading=True) as database:
            hits = database[collection].search(**wanted)
    except TypeError as error:
        raise typer.BadParameter(str(error).partition("() ")[2] or str(error), param_hint="--options") from error
    if as_json:
        output.print_json(hits.to_json())
        return
    # A service has its model at hand; here it was loaded for this one search.
    output.print_hits(hits, with_loading=service_address(directory, url) is None)
    if hits.explain is not None:
        output.print_table(output.figure_rows(hits.explain))


@searching.command(
    epilog=examples("lumaai recall films", 'lumaai recall films --queries 1000 --filter "year >= 1990" --json')
)
def recall(
    collection: Collection,
    *,
    queries: Annotated[int, typer.Option(min=1, max=10_000, help="Stored vectors that are searched with.")] = 100,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000, help="Neighbours of each.")] = 10,
    vector_field: Annotated[str | None, typer.Option(metavar="FIELD", help="Needed where there are several.")] = None,
    filter_text: FilterOption = None,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Measure what searches find of what is there, and how long they take, by parameter."""
    conditions = parsed_filter(filter_text)
    with opened(directory, url, reading=True) as database:
        report = database[collection].recall(queries, limit, vector_field=vector_field, filter=conditions)
    if as_json:
        output.print_json(report.to_json())
        return
    rows = [("parameters", f"recall@{report.limit}", "ms p50", "ms p99")]
    for level in (*report.levels, report.exact):
        params = " ".join(f"{name}={value}" for name, value in level.params.items()) or "(default)"
        rows.append((params, f"{level.recall:.4f}", f"{level.milliseconds_p50:.3f}", f"{level.milliseconds_p99:.3f}"))
    output.print_table(rows)

"""Commands that go through documents: facets and scroll; and what fields are like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import FilterOption, JsonOption, examples, parsed_filter
from lumaai.cli.target import DirectoryOption, UrlOption, opened

counting = typer.Typer()

Collection = Annotated[str, typer.Argument(metavar="COLLECTION", help="Name of the collection.", show_default=False)]


@counting.command(
    epilog=examples(
        "lumaai facets films genre country",
        'lumaai facets films genre --filter "year >= 1990" --limit 3',
        'lumaai facets films \'{"year": {"interval": 10}, "rating": {"stats": true}}\' --json',
    )
)
def facets(
    collection: Collection,
    fields: Annotated[
        list[str], typer.Argument(metavar="FIELD…", help="Fields, or one JSON object of facets.", show_default=False)
    ],
    *,
    filter_text: FilterOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Values of a field at most.")] = 10,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Count the values of fields."""
    spec: Any = {name: {"limit": limit} for name in fields}
    if fields[0].lstrip().startswith("{"):
        spec = parsed_filter(" ".join(fields))
    with opened(directory, url, reading=True) as database:
        found = database[collection].facets(spec, filter=parsed_filter(filter_text))
    if as_json:
        output.print_json(found)
        return
    for name, facet in found.items():
        typer.echo(name)
        output.print_table(_lines(facet))


def _lines(facet: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A facet's counts, one a line."""
    for item in facet.get("values", ()):
        yield "  ", str(item["value"]), str(item["count"])
    for item in facet.get("ranges", ()):
        yield "  ", f"{item.get('from', '…')} to {item.get('to', '…')}", str(item["count"])
    for item in facet.get("buckets", ()):
        yield "  ", str(item["start"]), str(item["count"])
    for key in ("count", "min", "max", "avg", "sum", "other", "missing"):
        if facet.get(key) is not None and not (key in ("other", "missing") and not facet[key]):
            yield "  ", f"({key})", str(facet[key])


@counting.command(
    epilog=examples(
        "lumaai scroll films --order-by year",
        'lumaai scroll films --order-by "rating desc" --filter "genre = \'drama\'" -n 20',
        "lumaai scroll films > films.jsonl",
    )
)
def scroll(
    collection: Collection,
    *,
    filter_text: FilterOption = None,
    order_by: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help='Or "FIELD desc"; may be repeated. [default: as written]'),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Documents at most. [default: all]")] = None,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Print all documents, or those that match, one JSON object a line: each once, whatever is written meanwhile."""
    where, left = parsed_filter(filter_text), limit
    cursor: str | None = None
    with opened(directory, url, reading=True) as database:
        source = database[collection]
        while True:
            size = 1000 if left is None else min(1000, left)
            page = source.scroll(limit=size, cursor=cursor, filter=where, order_by=order_by or None)
            for document in page.documents:
                output.print_json_line(document)
            left = None if left is None else left - len(page.documents)
            cursor = page.next_cursor
            if cursor is None or left == 0:
                return


def print_fields(found: dict[str, dict[str, Any]]) -> None:
    """What the values of each field are like, one a line."""
    output.print_table(_figures(name, each) for name, each in found.items())


def _figures(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    top = ", ".join(str(item["value"])[:24] for item in figures["top"][:3])
    bounds = "" if figures["min"] is None else f"{str(figures['min'])[:24]} to {str(figures['max'])[:24]}"
    kind = f"list of {figures['type']}" if figures["many"] else figures["type"]
    about = "" if figures["exact"] else "about "
    return name, kind, f"{figures['count']} values", f"{about}{figures['distinct']} different", bounds, top

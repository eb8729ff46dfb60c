"""Commands for API keys: make, list, rotate, revoke."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from lumaai.cli import output
from lumaai.cli.options import JsonOption, YesOption, confirm, examples
from lumaai.cli.target import DirectoryOption, UrlOption, opened
from lumaai.key_info import NewKey

keys_app = typer.Typer(
    help="Make, list, rotate and revoke API keys.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "lumaai keys create web --verbs read,ask --collections films --expires-in 90d",
        "lumaai keys create ingest --verbs write --collections 'logs-*' --per-minute 600",
        "lumaai keys create operator --verbs admin --collections '*'",
        "lumaai keys list",
        "lumaai keys rotate 0f1e2d3c4b5a --grace 24h",
        "lumaai keys revoke 0f1e2d3c4b5a",
    ),
)

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "": 1}

KeyArgument = Annotated[str, typer.Argument(metavar="ID", help="Of the key, as listed.", show_default=False)]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called in lists.", show_default=False)],
    *,
    verbs: Annotated[
        list[str], typer.Option("--verbs", "-v", help="read, write, ask, admin; with commas, or repeated.")
    ],
    collections: Annotated[
        list[str],
        typer.Option("--collections", "-c", help="Names, or beginnings with a * behind; '*' is all of them."),
    ],
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", metavar="TIME", help="Such as 90d, 12h or 30m. [default: never]")
    ] = None,
    per_minute: Annotated[int | None, typer.Option(help="Requests a minute at most.")] = None,
    per_day: Annotated[int | None, typer.Option(help="Requests a day (UTC) at most.")] = None,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Make an API key and print it, this once: only a hash of it is kept.

    A service of a database that has keys asks every caller for one. Through --url it takes a key for admin on '*'.
    """
    with opened(directory, url, make=True) as database:
        made = database.create_key(
            name,
            verbs=_listed(verbs),
            collections=_listed(collections),
            expires_in_seconds=_seconds(expires_in, "--expires-in"),
            requests_per_minute=per_minute,
            requests_per_day=per_day,
        )
    _print_new(made, as_json=as_json)


@keys_app.command("list")
def list_keys(*, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """List the API keys, without their secrets."""
    with opened(directory, url, reading=True) as database:
        found = database.api_keys()
    if as_json:
        output.print_json([info.to_json() for info in found])
        return
    if not found:
        typer.echo("no keys yet; `lumaai keys create` makes one")
        return
    rows = [("ID", "NAME", "VERBS", "COLLECTIONS", "CREATED", "EXPIRES", "LAST USED")]
    for info in found:
        verbs, collections = ",".join(info.verbs), ",".join(info.collections)
        used = info.last_used or "never"
        rows.append((info.id, info.name, verbs, collections, info.created, info.expires or "never", used))
    output.print_table(rows)


@keys_app.command()
def rotate(
    key: KeyArgument,
    *,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="How long the secret before goes on working, such as 24h.")
    ] = "0s",
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Give a key another secret and print it, this once; what the key allows stays."""
    with opened(directory, url) as database:
        made = database.rotate_key(key, grace_seconds=_seconds(grace, "--grace") or 0.0)
    _print_new(made, as_json=as_json)


@keys_app.command()
def revoke(
    key: KeyArgument, *, yes: YesOption = False, directory: DirectoryOption = None, url: UrlOption = None
) -> None:
    """Let a key open nothing any more, at once."""
    with opened(directory, url) as database:
        named = next((info.name for info in database.api_keys() if info.id == key), None)
        if named is not None and not yes:
            confirm(f"Revoke the key {key} ({named})?")
        database.revoke_key(key)
    typer.echo(f"revoked {key}")


def _print_new(made: NewKey, *, as_json: bool) -> None:
    if as_json:
        output.print_json(made.to_json())
        return
    typer.echo(made.key)
    typer.echo(f"key {made.info.id} ({made.info.name}); it is shown this once: keep it now", err=True)


def _listed(given: list[str]) -> list[str]:
    return [word.strip() for group in given for word in group.split(",") if word.strip()]


def _seconds(given: str | None, option: str) -> float | None:
    """Seconds of a time span such as 90d, 12h, 30m or 45s."""
    if given is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd]?)", given.strip())
    if found is None:
        raise typer.BadParameter(f"not a time span, such as 90d, 12h or 30m: {given!r}", param_hint=option)
    return float(found[1]) * _UNITS[found[2]]

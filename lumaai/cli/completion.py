"""`lumaai completion`: what makes a shell complete commands and options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lumaai.cli import COMPLETE
from lumaai.cli.options import examples

completing = typer.Typer()


class ShellName(StrEnum):
    """Shells that can be told how to complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@completing.command(
    epilog=examples(
        "lumaai completion bash >> ~/.bashrc",
        "lumaai completion zsh >> ~/.zshrc",
        "lumaai completion fish > ~/.config/fish/completions/lumaai.fish",
    )
)
def completion(shell: Annotated[ShellName, typer.Argument(metavar="bash|zsh|fish", show_default=False)]) -> None:
    """Print what a shell needs to complete commands and options."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # typer's

    typer.echo(get_completion_script(prog_name="lumaai", complete_var=COMPLETE, shell=shell.value))

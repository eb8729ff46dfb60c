"""Virtual environments for what is measured beside us: of their own, in the user's cache, never in the repository."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path


class EnvironmentFailedError(Exception):
    """The packages cannot be installed."""


def environment_python(name: str, requirements: Sequence[str]) -> Path:
    """The Python of an environment that has some packages; made when it is not there or has others.

    Args:
        name: of the environment, in the folder `LUMAAI_ENVIRONMENTS`, by default `~/.cache/lumaai`.
        requirements: as pip takes them, pinned.

    Raises:
        EnvironmentFailedError: pip cannot install them.
    """
    folder = Path(os.environ.get("LUMAAI_ENVIRONMENTS") or Path.home() / ".cache" / "lumaai") / name
    python, done, wanted = folder / "bin" / "python", folder / "requirements.txt", "\n".join(requirements)
    if done.exists() and done.read_text() == wanted:
        return python
    print(f"  installing {', '.join(requirements)} into {folder}", flush=True)
    venv.create(folder, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise EnvironmentFailedError(f"pip cannot install {name}: {finished.stderr.strip().splitlines()[-1]}")
    done.write_text(wanted)
    return python

"""Who may import whom, and where each library lives: the table of ARCHITECTURE.md, held."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"engine": set(), "models": set(), "promptql": {"engine", "models"}, "lumaai": {"promptql", "engine", "models"}}
HOMES = {
    "rocksdict": ["engine/store/"],
    "faiss": ["engine/vector/"],
    "tantivy": ["engine/text/"],
    "pyroaring": ["engine/"],
    "pyarrow": [
        "engine/fields/",
        "engine/segments/",
        "engine/sql/",
        "engine/snapshot.py",
        "engine/memory.py",
        "lumaai/ingestion/",
    ],
    "duckdb": ["engine/sql/"],
    "sqlglot": ["engine/fields/", "engine/sql/"],
    "onnxruntime": ["models/"],
    "onnx": ["models/"],
    "tokenizers": ["models/"],
    "safetensors": ["models/"],
    "torch": ["models/"],
    "sentence_transformers": ["models/"],
    "openai": ["models/"],
    "anthropic": ["models/"],
    "redis": ["models/"],
    "fastapi": ["lumaai/"],
    "starlette": ["lumaai/"],
    "uvicorn": ["lumaai/"],
    "pydantic": ["lumaai/"],
    "pydantic_core": ["lumaai/"],
    "pydantic_settings": ["lumaai/"],
    "typer": ["lumaai/"],
    "rich": ["lumaai/"],
    "httpx": ["lumaai/"],
    "structlog": ["lumaai/"],
    "prometheus_client": ["lumaai/"],
}
ANYWHERE = {"numpy", "msgspec"}
TOP_LEVEL = {"lumaai", "promptql", "engine", "models", "tests", "notebooks", "benchmarks"}


def violations(path: str, source: str) -> list[str]:
    """What a module at `path` (relative, with "/") imports against the rules."""
    package = path.split("/", maxsplit=1)[0]
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.append(f"{path}: relative import")
                continue
            names = [node.module or ""]
        else:
            continue
        for name in names:
            root, _, rest = name.partition(".")
            if root in OURS and root != package:
                if root not in OURS[package]:
                    found.append(f"{path}: {package} may not import {root}")
                elif rest:
                    found.append(f"{path}: {name} is not a top-level name")
            elif root in HOMES and not any(path.startswith(home) for home in HOMES[root]):
                found.append(f"{path}: {root} lives in {', '.join(HOMES[root])}")
            elif root not in {*OURS, *HOMES, *ANYWHERE} and root not in sys.stdlib_module_names:
                found.append(f"{path}: unknown library {root}")
    return found


def test_packages_import_only_what_they_may() -> None:
    """No module of the four packages breaks the table."""
    modules = [path for package in OURS for path in (ROOT / package).rglob("*.py")]
    assert len(modules) > 40

    found = [row for path in modules for row in violations(path.relative_to(ROOT).as_posix(), path.read_text())]

    assert found == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("engine/collection.py", "import lumaai"),
        ("engine/collection.py", "from models import Embedder"),
        ("models/registry.py", "import engine"),
        ("promptql/engine.py", "from lumaai.settings import Settings"),
        ("promptql/engine.py", "from engine.snapshot import Snapshot"),
        ("lumaai/app.py", "import engine.vector.index"),
        ("engine/snapshot.py", "import faiss"),
        ("lumaai/app.py", "def load():\n    import onnxruntime"),
        ("engine/database.py", "import fastapi"),
        ("promptql/llm.py", "from openai import OpenAI"),
        ("models/registry.py", "import requests"),
        ("engine/database.py", "from . import errors"),
    ],
)
def test_a_planted_violation_is_caught(path: str, source: str) -> None:
    """Each kind of breach is found."""
    assert len(violations(path, source)) == 1


def test_the_top_level_is_fixed() -> None:
    """No package joins or leaves the house unnoticed."""
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert folders | {"notebooks"} == TOP_LEVEL


def test_importing_the_client_loads_nothing_heavy() -> None:
    """`import lumaai` and its client need no engine, no models and no web framework."""
    code = "import sys, lumaai, lumaai.client; print(*sorted(sys.modules))"

    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )

    heavy = {"faiss", "rocksdict", "pyarrow", "onnxruntime", "tokenizers", "fastapi", "pydantic", "openai", "torch"}
    assert loaded & heavy == set()


def test_every_test_folder_is_a_package() -> None:
    """A test folder without `__init__.py` would shadow the package that it mirrors."""
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []

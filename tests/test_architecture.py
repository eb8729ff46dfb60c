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
        "engine/facets/",
        "engine/filtering.py",
        "engine/ordering.py",
        "engine/statistics.py",
    ],
    "duckdb": ["engine/sql/"],
    "sqlglot": ["engine/fields/", "engine/sql/"],
    "onnxruntime": ["models/"],
    "onnx": ["models/"],
    "tokenizers": ["models/"],
    "safetensors": ["models/"],
    "torch": ["models/", "engine/vector/device/"],
    "sentence_transformers": ["models/"],
    "openai": ["models/"],
    "anthropic": ["models/"],
    "redis": ["models/"],
    "huggingface_hub": ["models/"],
    "fastapi": ["lumaai/"],
    "starlette": ["lumaai/"],
    "uvicorn": ["lumaai/"],
    "pydantic": ["lumaai/"],
    "pydantic_core": ["lumaai/"],
    "pydantic_settings": ["lumaai/"],
    "typer": ["lumaai/"],
    "rich": ["lumaai/"],
    "httpx": ["lumaai/"],
    "httptools": ["lumaai/http/"],
    "prometheus_client": ["lumaai/"],
    "opentelemetry": ["lumaai/tracing.py", "lumaai/app.py"],
    "pathspec": ["lumaai/ingestion/"],
    "selectolax": ["lumaai/ingestion/"],
    "pypdfium2": ["lumaai/ingestion/"],
    "docx": ["lumaai/ingestion/"],
    "charset_normalizer": ["lumaai/ingestion/"],
    "matplotlib": ["lumaai/quality/"],
    "mcp": ["lumaai/integrations/"],
    "langchain_core": ["lumaai/integrations/"],
    "llama_index": ["lumaai/integrations/"],
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


HEAVY = {
    "faiss", "rocksdict", "pyarrow", "pyroaring", "tantivy", "duckdb", "sqlglot", "pathspec", "onnxruntime",
    "tokenizers", "fastapi", "pydantic", "openai", "torch", "models",
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """The modules of a fresh process that has run `code`."""
    code = f"import sys\n{code}\nprint('loaded:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.partition("loaded:")[2].split())


def test_a_second_writer_is_refused_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    """Importing what opens a database takes longer than it may wait for the answer."""
    code = f"""
import sys
import lumaai
from engine.directory.lock import DirectoryLock
from pathlib import Path
lock = DirectoryLock(Path({str(tmp_path)!r}))
try:
    lumaai.connect({str(tmp_path)!r})
except lumaai.DatabaseLockedError as error:
    print(error.code, sorted({{"faiss", "pyarrow", "onnxruntime", "tantivy", "duckdb"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "database_locked []"


def test_importing_the_client_loads_nothing_heavy() -> None:
    """`import lumaai` and a client of an address need no engine, no models and no web framework."""
    assert loaded_by("import lumaai\nlumaai.connect('http://127.0.0.1:1').close()") & HEAVY == set()


def test_using_the_client_loads_nothing_heavy() -> None:
    """Nor do its calls: what a filter, an order or facets must look like is checked without the parts that run them."""
    code = """
import json, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import lumaai
info = {"name": "c", "documents": 0, "sequence": 0, "schema": {"fields": {}, "embed": {}, "strict": False}}
hits = {"hits": [], "sequence": 1, "milliseconds": 1.0}
path = "/v1/collections/c"
answers = {path: info, f"{path}/search": hits, f"{path}/count": {"count": 3, "explain": {}}}
class Handler(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = answers.get(self.path)
        problem = {"status": 404, "code": "not_found", "title": "Not found", "detail": "nothing", "type": "about:blank"}
        content = json.dumps(body or problem).encode()
        self.send_response(200 if body else 404)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    do_GET = do_POST = answer
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = lumaai.Client(f"http://127.0.0.1:{server.server_address[1]}")
films = client["c"]
assert films.search("x", filter={"a": {"$gt": 1}}).ids == []
assert films.search("x", mode="hybrid", filter="a > 1 AND b LIKE 'x%'", facets=["a"], group_by="b").ids == []
assert films.count("a = 1") == 3
calls = [
    lambda: films.search_batch([[1.0, 2.0]]), lambda: films.recall(), lambda: films.explain("a = 1"),
    lambda: films.scroll(order_by="year desc"), lambda: films.facets(["a"], filter="a = 1"), lambda: films.statistics(),
    lambda: films.add([{"id": "1", "a": 1}]), lambda: films.patch([{"id": "1", "a": 1}]), lambda: films.stats(),
    lambda: films.delete(filter="a = 1"), lambda: client.sql("SELECT 1"), lambda: client.query("lql", "SELECT 1"),
    lambda: client.ask("why?"), lambda: client.collections(), lambda: client.changes(),
]
for call in calls:
    try:
        call()
    except lumaai.NotFoundError:
        pass
"""
    assert loaded_by(code) & HEAVY == set()


def test_every_test_folder_is_a_package() -> None:
    """A test folder without `__init__.py` would shadow the package that it mirrors."""
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []

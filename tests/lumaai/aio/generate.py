"""Makes the asynchronous client (`lumaai/aio`) from the blocking one, so that every method is written once.

`python -m tests.lumaai.aio.generate` (or `make twins`) writes the files. A method becomes a coroutine if it waits for
one; which calls wait is found from what their receivers are (`RECEIVERS`), again and again until nothing is added.
Comments, docstrings and formatting stay. mypy finds what this cannot know: a coroutine that nobody awaits is an error.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
TARGET = "lumaai/aio"

# The blocking source of each asynchronous module. What is not a class or function to be made anew is imported.
MODULES = {
    "pool": "lumaai/http/pool.py",
    "transport": "lumaai/transport.py",
    "upkeep": "lumaai/remote_upkeep.py",
    "key_upkeep": "lumaai/key_upkeep.py",
    "program_keeper": "lumaai/remote_programs.py",
    "programs": "lumaai/programs.py",
    "lesson_keeper": "lumaai/remote_teaching.py",
    "teaching": "lumaai/teaching.py",
    "askable": "lumaai/askable.py",
    "job": "lumaai/job.py",
    "jobs": "lumaai/remote_jobs.py",
    "documents": "lumaai/documents.py",
    "searchable": "lumaai/searchable.py",
    "countable": "lumaai/countable.py",
    "collection": "lumaai/remote_collection.py",
    "client": "lumaai/client.py",
}
CLASSES = {
    "Pool": "AsyncPool", "Exchange": "AsyncExchange", "Stream": "AsyncStream", "Transport": "AsyncTransport",
    "RemoteUpkeep": "AsyncUpkeep", "RemoteKeyUpkeep": "AsyncKeyUpkeep", "RemotePrograms": "AsyncProgramKeeper",
    "Keeper": "AsyncKeeper", "Programs": "AsyncPrograms", "AskableDatabase": "AsyncAskable",
    "WritableCollection": "AsyncWritable", "SearchableCollection": "AsyncSearchable",
    "CountableCollection": "AsyncCountable", "RemoteCollection": "AsyncCollection", "Client": "AsyncClient",
    "RemoteTeacher": "AsyncLessonKeeper", "Teacher": "AsyncTeacher", "LearnedLessons": "AsyncLearnedLessons",
    "Job": "AsyncJob", "JobKeeper": "AsyncJobKeeper", "RemoteJobs": "AsyncJobs",
}  # fmt: skip
# Written by hand, with the same calls: the class or module that a name comes from there.
BY_HAND = {
    "AsyncStream": "lumaai.aio.streams",
    "ingest_directory": "lumaai.aio.ingesting",
    "write_file": "lumaai.aio.ingesting",
}
# What expressions are, as far as calls on them may wait.
RECEIVERS = {
    "self._transport": "Transport", "self._pool": "Pool", "self._stream": "Stream", "stream": "Stream",
    "Stream": "Stream", "exchange": "Exchange", "self._keeper": "Keeper", "collection": "RemoteCollection",
    "self._kept_by": "JobKeeper", "self._teacher": "Teacher",
}  # fmt: skip
# What waits by itself.
WAITING = {
    "Stream": {"connect", "secure", "write", "read"},
    "Programs": {"_answer"},
}
FUNCTIONS = {"time.sleep": "asyncio.sleep", "ingest_directory": "", "write_file": "", "self._room.acquire": ""}
# Abstract methods do nothing that could be seen to wait.
ABSTRACT = {
    "WritableCollection",
    "SearchableCollection",
    "CountableCollection",
    "AskableDatabase",
    "Keeper",
    "JobKeeper",
    "Teacher",
}
TEXTS = {
    "__enter__": "__aenter__", "__exit__": "__aexit__", "contextmanager": "asynccontextmanager",
    "from threading import Semaphore": "from asyncio import Semaphore",
    "Callable[[Asked], Answer]": "Callable[[Asked], Awaitable[Answer]]",
    "Callable[[Asked], Iterator[Event]]": "Callable[[Asked], AsyncIterator[Event]]",
    "import time\n": "import asyncio\nimport time\n",
    '`lumaai.connect("http': '`lumaai.connect_async("http',
    "are kept alive and shared by threads": "are kept alive and shared by tasks",
    "-> Kept": "-> object",
    "in a `with` block": "in an `async with` block",
    "May be used from many threads: each has": "For the tasks of one event loop: each has",
    "May be used from many threads.": "For the tasks of one event loop.",
}  # fmt: skip
HEADER = '"""Made from `{source}` by `make twins`: change that file, not this one."""\n\n'


@dataclass
class Waits:
    """Which methods, by class, are coroutines, asynchronous generators, or asynchronous context managers."""

    coroutines: dict[str, set[str]] = field(default_factory=dict)
    generators: dict[str, set[str]] = field(default_factory=dict)
    managers: dict[str, set[str]] = field(default_factory=dict)
    bases: dict[str, list[str]] = field(default_factory=dict)

    def has(self, table: dict[str, set[str]], owner: str, name: str) -> bool:
        return name in table.get(owner, ()) or any(self.has(table, base, name) for base in self.bases.get(owner, ()))


Function = ast.FunctionDef
Edit = tuple[int, int, str]  # begin, end, what is there instead


class Source:
    """A blocking module, and where what is in its text."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.text = (ROOT / path).read_text()
        self.tree = ast.parse(self.text)
        self._lines = [0]
        for line in self.text.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line.encode()))
        self.bytes = self.text.encode()

    def at(self, line: int, column: int) -> int:
        return self._lines[line - 1] + column

    def begin(self, node: ast.expr | ast.stmt) -> int:
        return self.at(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.at(node.end_lineno, node.end_col_offset)

    def segment(self, node: ast.expr | ast.stmt) -> str:
        return self.bytes[self.begin(node) : self.end(node)].decode()

    @property
    def classes(self) -> list[ast.ClassDef]:
        return [node for node in self.tree.body if isinstance(node, ast.ClassDef) and node.name in CLASSES]


def methods(owner: ast.ClassDef) -> list[Function]:
    return [node for node in owner.body if isinstance(node, Function)]


def is_abstract(owner: str, method: Function) -> bool:
    marked = any(isinstance(d, ast.Name) and d.id == "abstractmethod" for d in method.decorator_list)
    return owner in ABSTRACT and (marked or owner in {"Keeper", "Teacher"}) and not is_property(method)


def is_property(method: Function) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "property" for d in method.decorator_list)


def gives_iterator(method: Function) -> bool:
    return method.returns is not None and ast.unparse(method.returns).startswith("Iterator[")


class Finder:
    """Finds which calls of one class's method wait."""

    def __init__(self, source: Source, owner: str, waits: Waits, functions: set[str]) -> None:
        self._source, self._owner, self._waits, self._functions = source, owner, waits, functions

    def kind(self, call: ast.AST) -> str:
        """What it gives: a "coroutine", a "generator", a "manager", or ""."""
        if not isinstance(call, ast.Call):
            return ""
        name = ast.unparse(call.func)
        if name in FUNCTIONS:
            return "coroutine"
        if name in self._functions:
            return "generator"
        if not isinstance(call.func, ast.Attribute):
            return ""
        receiver = ast.unparse(call.func.value)
        owner = self._owner if receiver in {"self", "cls"} else RECEIVERS.get(receiver, receiver.partition("(")[0])
        for kind, table in (
            ("coroutine", self._waits.coroutines), ("generator", self._waits.generators),
            ("manager", self._waits.managers),
        ):  # fmt: skip
            if self._waits.has(table, owner, call.func.attr):
                return kind
        return ""

    def waits(self, node: ast.AST) -> bool:
        return any(self.kind(each) == "coroutine" or self.is_async_block(each) for each in ast.walk(node))

    def is_async_block(self, node: ast.AST) -> bool:
        """Whether a `with` or a `for` waits."""
        if isinstance(node, ast.With):
            return any(self.kind(item.context_expr) == "manager" for item in node.items)
        return isinstance(node, ast.For) and (self.kind(node.iter) == "generator" or is_streamed(node.iter))


def is_streamed(node: ast.expr) -> bool:
    """Whether it is what an asynchronous context manager gave to be iterated."""
    return isinstance(node, ast.Name) and node.id in {"events", "pieces"}


def find(sources: list[Source]) -> tuple[Waits, set[str]]:
    """Which methods wait, and the functions that are asynchronous generators."""
    waits = Waits({name: set(found) for name, found in WAITING.items()})
    functions: set[str] = set()
    for source in sources:
        for owner in source.classes:
            waits.bases[owner.name] = [ast.unparse(base) for base in owner.bases]
            for method in methods(owner):
                if is_abstract(owner.name, method):
                    table = waits.generators if gives_iterator(method) else waits.coroutines
                    table.setdefault(owner.name, set()).add(method.name)
    while any([_found_more(source, waits, functions) for source in sources]):  # noqa: C419 - all of them each time
        pass
    return waits, functions


def _found_more(source: Source, waits: Waits, functions: set[str]) -> bool:
    before = sum(
        map(len, [*waits.coroutines.values(), *waits.generators.values(), *waits.managers.values(), functions])
    )
    for node in source.tree.body:
        if isinstance(node, Function) and gives_iterator(node) and Finder(source, "", waits, functions).waits(node):
            functions.add(node.name)
    for owner in source.classes:
        finder = Finder(source, owner.name, waits, functions)
        for method in methods(owner):
            if method.name == "__enter__" or (finder.waits(method) and not is_property(method)):
                managed = any(ast.unparse(d) == "contextmanager" for d in method.decorator_list)
                table = waits.managers if managed else waits.generators if gives_iterator(method) else waits.coroutines
                table.setdefault(owner.name, set()).add(method.name)
            if method.name == "__exit__":
                waits.coroutines.setdefault(owner.name, set()).add(method.name)
    after = sum(map(len, [*waits.coroutines.values(), *waits.generators.values(), *waits.managers.values(), functions]))
    return after > before


class Twin:
    """One asynchronous module out of its source."""

    def __init__(self, source: Source, waits: Waits, functions: set[str]) -> None:
        self._source, self._waits, self._functions = source, waits, functions
        self._edits: list[Edit] = []

    def text(self) -> str:
        kept: list[str] = []
        for node in self._source.tree.body:
            if isinstance(node, ast.ClassDef) and node.name in CLASSES:
                kept.append(self._edited(node, node.name))
            elif isinstance(node, Function) and node.name in self._functions:
                kept.append(self._edited(node, ""))
        return _renamed(
            f"{HEADER.format(source=self._source.path)}\n{self._imports()}\n\n" + "\n\n\n".join(kept) + "\n"
        )

    def _imports(self) -> str:
        """All that the source imports, and all that it defines; what is not used is removed afterwards."""
        lines, later, defined = [], [], []
        for node in self._source.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                lines.append(self._source.segment(node))
            elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                later.append(self._source.segment(node))
            elif isinstance(node, ast.ClassDef | Function) and node.name not in {*CLASSES, *self._functions}:
                defined.append(node.name)
            elif isinstance(node, ast.Assign):
                defined += [target.id for target in node.targets if isinstance(target, ast.Name)]
        module = self._source.path.removesuffix(".py").replace("/", ".")
        own = [f"from {module} import {', '.join(defined)}"] if defined else []
        return "\n".join(lines + own + later) + "\n"

    def _edited(self, node: ast.ClassDef | Function, owner: str) -> str:
        self._edits = []
        finder = Finder(self._source, owner, self._waits, self._functions)
        for method in methods(node) if isinstance(node, ast.ClassDef) else [node]:
            self._edit_method(method, owner, finder)
        first = min([self._source.begin(node), *(self._source.begin(d) - 1 for d in node.decorator_list)])
        return _apply(self._source.bytes, self._edits, first, self._source.end(node))

    def _edit_method(self, method: Function, owner: str, finder: Finder) -> None:
        tables = (self._waits.coroutines, self._waits.generators, self._waits.managers)
        coroutine, generator, manager = (self._waits.has(table, owner, method.name) for table in tables)
        generator = generator or (not owner and method.name in self._functions)
        if not (coroutine or generator or manager):
            return
        # An abstract asynchronous generator is a plain method that gives an iterator (no `yield` makes it one).
        if not (generator and is_abstract(owner, method)):
            self._insert(self._source.begin(method), "async ")
        if method.returns is not None and "Iterator[" in ast.unparse(method.returns):
            annotation = self._source.segment(method.returns).replace("Iterator[", "AsyncIterator[")
            self._edits.append((self._source.begin(method.returns), self._source.end(method.returns), annotation))
        for parent in ast.walk(method):
            for node in ast.iter_child_nodes(parent):
                self._edit_node(node, parent, finder)

    def _edit_node(self, node: ast.AST, parent: ast.AST, finder: Finder) -> None:
        if isinstance(node, ast.With | ast.For) and finder.is_async_block(node):
            self._insert(self._source.begin(node), "async ")
        elif isinstance(node, ast.Call) and finder.kind(node) == "coroutine":
            # `await` binds less than what follows the call: an attribute, an index.
            inner = isinstance(parent, ast.Attribute | ast.Subscript)
            self._insert(self._source.begin(node), "(await " if inner else "await ")
            self._insert(self._source.end(node), ")" if inner else "")

    def _insert(self, place: int, text: str) -> None:
        self._edits.append((place, place, text))


def _apply(content: bytes, edits: list[Edit], first: int, last: int) -> str:
    pieces, at = [], first
    for begin, end, text in sorted(edits, key=lambda edit: edit[:2]):
        pieces += [content[at:begin], text.encode()]
        at = end
    return b"".join([*pieces, content[at:last]]).decode()


def _renamed(text: str) -> str:
    for old, new in TEXTS.items():
        text = text.replace(old, new)
    for old, new in FUNCTIONS.items():
        text = text.replace(f"{old}(", f"{new}(") if new else text
    # Names in code; of the words of prose, those that are no English ones.
    for old, new in CLASSES.items():
        is_word = old in {"Client", "Stream", "Pool", "Exchange", "Job"}
        behind = r"(?=[(\],:)|\"]| \||\n|\.connect|\.from_json| =)" if is_word else r"(?=[(\[\],:)|.\"\n ]|$)"
        text = re.sub(rf"(?<![\w.]){old}(?![\w`]){behind}", new, text)
    text = re.sub(r"( *)from ([\w.]+) import (\([^)]*\)|[^\n(]*)", _moved, text)
    return text.replace(
        "from collections.abc import ", "from collections.abc import AsyncIterator, Awaitable, "
    ).replace("from typing import", "from lumaai.aio.streams import AsyncStream\nfrom typing import", 1)


def _moved(found: re.Match[str]) -> str:
    """An import of names of which some have an asynchronous twin, each from where it is."""
    indentation, module, names = found.groups()
    twins = {
        path.removesuffix(".py").replace("/", "."): f"{TARGET.replace('/', '.')}.{name}"
        for name, path in MODULES.items()
    }
    places: dict[str, list[str]] = {}
    for name in (name.strip() for name in names.strip("()\n ").split(",")):
        if name:
            place = BY_HAND.get(name) or (twins.get(module, module) if name in CLASSES.values() else module)
            places.setdefault(place, []).append(name)
    return "\n".join(f"{indentation}from {place} import {', '.join(group)}" for place, group in places.items())


def _tidied(text: str, path: Path) -> str:
    """Unused imports removed, sorted, formatted."""
    for arguments in (
        ["check", "--quiet", "--fix-only", "--select", "I,F401,F811,TC005", "--stdin-filename", str(path), "-"],
        ["format", "--quiet", "--stdin-filename", str(path), "-"],
        ["check", "--quiet", "--fix-only", "--select", "I,F401,F811,TC005", "--stdin-filename", str(path), "-"],
    ):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments], input=text, capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout
    return text


def generated() -> dict[Path, str]:
    """The text of each asynchronous module by its path."""
    sources = {name: Source(path) for name, path in MODULES.items()}
    waits, functions = find(list(sources.values()))
    paths = {name: ROOT / TARGET / f"{name}.py" for name in sources}
    return {
        paths[name]: _tidied(Twin(source, waits, functions).text(), paths[name]) for name, source in sources.items()
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)

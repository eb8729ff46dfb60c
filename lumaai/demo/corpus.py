"""The Python standard library's own documentation, as documents, read from the interpreter that runs.

Run as a script in a child process (`corpus.read` does so): importing every standard module has side effects that a
service or a test should not have. The script needs nothing but the standard library and runs isolated, without
site-packages, so that nothing installed can slip in or replace a module.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import itertools
import json
import pkgutil
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Document = dict[str, Any]

TIMEOUT_SECONDS = 60.0
DEFAULT_CHARACTERS_MAX = 60
# Modules that act when they are imported (a browser opens, a poem is printed), that are tests or tables, and those that
# many systems lack (all that draws with Tk) or that are gone from the next Python.
SKIPPED = frozenset(
    "antigravity this idlelib turtledemo lib2to3 test tests __main__ pydoc_data xxsubtype xxlimited xxlimited_35 "
    "tkinter turtle distutils".split()
)
# Platform modules behind a public name: what they define belongs to the module that people import.
HIDDEN = frozenset({"posix", "nt", "posixpath", "ntpath", "genericpath", "_collections_abc"})
ALIASES = {"os.path": "os", "collections.abc": "collections"}  # importable, but no submodule that a walk would find
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
DEPRECATED = re.compile(
    r"\.\. deprecated::|^\W*deprecated\b|\b(?:is|are|been|now) deprecated\b"
    r"|\bdeprecated\b[.,;:]? *(?:since|in|use|alias|as)\b",
    re.IGNORECASE | re.MULTILINE,
)
TEXT_SIGNATURE = re.compile(r"^(?:[\w.]+\.)?(?P<name>\w+)(?P<signature>\(.*?\)(?: ?-> ?[\w.\[\], ]+)?)")
CALLABLE_TYPES = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
)


@dataclass
class Library:
    """The public modules of the standard library that this interpreter can import, by name."""

    modules: dict[str, types.ModuleType] = field(default_factory=dict)
    deprecated: set[str] = field(default_factory=set)


def read() -> list[Document]:
    """Every documented module, class, function and method of the standard library, in order of id.

    Fields: id (the qualified name), module, package (top-level module), kind (module, class, function or method),
    name, owner (a method's class), signature (with the qualified name), summary (the docstring's first paragraph),
    text (the docstring), parameters (how many, without self; missing where the interpreter does not know), length
    (characters of the docstring), deprecated.

    The child process has an empty environment, so that nothing of the caller's gets into a document.

    Raises:
        RuntimeError: the child process failed; the message ends with what it said.
        subprocess.TimeoutExpired: it took longer than a minute.
    """
    command = [sys.executable, "-I", "-S", "-W", "ignore", str(Path(__file__).resolve())]
    child = subprocess.run(  # noqa: S603 - our own interpreter and our own file
        command, capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS, check=False, env={}
    )
    if child.returncode != 0:
        reason = child.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise RuntimeError(f"the standard library could not be read: {reason}")
    return [json.loads(line) for line in child.stdout.splitlines()]


def documents() -> list[Document]:
    """What `read` returns, collected in this very process (which imports the whole standard library)."""
    library = import_library()
    found: dict[str, Document] = {}
    for document in itertools.chain(_modules(library), _members(library)):
        found.setdefault(document["id"], document)
    return [found[name] for name in sorted(found)]


def import_library() -> Library:
    """Imports what can be imported here; a module that another system or an extra package provides is left out."""
    library = Library()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        for name in _names():
            # A module for another system fails in its own way; whatever it raises, it has no documentation here.
            with contextlib.suppress(Exception):
                library.modules[name] = importlib.import_module(name)
    messages = [str(item.message) for item in caught if "deprecated" in str(item.message)]
    for name in library.modules:
        mention = re.compile(rf"(?:^|['\s]){re.escape(name)}(?:'| module| package)")
        if any(mention.search(message) for message in messages):
            library.deprecated.add(name)
    return library


def _names() -> Iterator[str]:
    """Names of the public modules, packages before what they contain."""
    for name in sorted(sys.stdlib_module_names):
        if not name.startswith("_") or name == "__future__":
            yield from _below(name)
    yield from ALIASES


def _below(name: str) -> Iterator[str]:
    if name in HIDDEN or SKIPPED.intersection(name.split(".")):
        return
    yield name
    if name == "encodings":  # a hundred tables of characters
        return
    module = sys.modules.get(name)  # imported by now: a generator's reader imports each name before the next
    for child in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not child.name.startswith("_"):
            yield from _below(f"{name}.{child.name}")


def _modules(library: Library) -> Iterator[Document]:
    for name, module in library.modules.items():
        text = _docstring(module)
        if text:
            yield _document(library, name, name, "module", text=text)


def _members(library: Library) -> Iterator[Document]:
    """Functions, classes and their methods, each under the public module that defines it."""
    homes: dict[int, tuple[str, str, Any]] = {}
    # Shallow modules first, so that what a private module defines is filed under `io` and not under a submodule.
    for module_name in sorted(library.modules, key=lambda name: (name.count("."), name)):
        for name, value in _public(library.modules[module_name]):
            home = _home(library, module_name, value)
            if home == module_name or (home is None and id(value) not in homes):
                homes[id(value)] = (module_name, name, value)
    for module_name, name, value in homes.values():
        if isinstance(value, type):
            yield from _class(library, module_name, name, value)
        else:
            yield from _callable(library, module_name, f"{module_name}.{name}", name, "function", value)


def _public(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    exported = getattr(module, "__all__", None)
    for name, value in sorted(vars(module).items()):
        public = name in exported if exported is not None else not name.startswith("_")
        if public and isinstance(value, (type, *CALLABLE_TYPES)):
            yield name, value


def _home(library: Library, module_name: str, value: Any) -> str | None:
    """The public module that defines `value`; None where that is a private one, or where it is not said."""
    stated = getattr(value, "__module__", None)
    if stated in library.modules:
        name = getattr(value, "__name__", "")
        known = getattr(library.modules[stated], name, None)
        return stated if known is value else module_name
    return None


def _class(library: Library, module: str, name: str, value: type) -> Iterator[Document]:
    identity = f"{module}.{name}"
    text = _docstring(value)
    if text:
        signature, parameters = _signature(value, identity, text, owner=None)
        yield _document(library, identity, module, "class", text=text, signature=signature, parameters=parameters)
    for method_name, method in sorted(vars(value).items()):
        function = method.__func__ if isinstance(method, (staticmethod, classmethod)) else method
        if not method_name.startswith("_") and isinstance(function, CALLABLE_TYPES):
            yield from _callable(library, module, f"{identity}.{method_name}", name, "method", function, method)


def _callable(
    library: Library, module: str, identity: str, owner: str, kind: str, value: Callable[..., Any], bound: Any = None
) -> Iterator[Document]:
    text = _docstring(value)
    if not text:
        return
    holder = owner if kind == "method" else None
    signature, parameters = _signature(value, identity, text, owner=None if isinstance(bound, staticmethod) else holder)
    extra = {"owner": holder, "signature": signature, "parameters": parameters}
    yield _document(library, identity, module, kind, text=text, **extra)


def _signature(value: Any, identity: str, text: str, *, owner: str | None) -> tuple[str | None, int | None]:
    """How it is called, and with how many parameters (a method's own object is not counted)."""
    try:
        signature = inspect.signature(value)
    except (
        ValueError,
        TypeError,
        AttributeError,
    ):  # C code without (a sound) signature: the docstring may begin with one
        match = TEXT_SIGNATURE.match(text)
        name = identity.rsplit(".", 1)[1]
        return (identity + match["signature"], None) if match and match["name"] == name else (None, None)
    count = len(signature.parameters)
    shown = signature.replace(parameters=[_without_long_default(item) for item in signature.parameters.values()])
    return ADDRESS.sub("", f"{identity}{shown}"), max(count - 1, 0) if owner else count


class _Elided:
    """Stands for a default that is not shown."""

    def __repr__(self) -> str:
        return "…"


def _without_long_default(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter without a default that is long (one in `cgi` is the environment) or a path of this machine."""
    if parameter.default is parameter.empty:
        return parameter
    shown = repr(parameter.default)
    is_ours = sys.prefix in shown or sys.base_prefix in shown or sys.executable in shown
    return parameter.replace(default=_Elided()) if is_ours or len(shown) > DEFAULT_CHARACTERS_MAX else parameter


def _docstring(value: Any) -> str:
    """The object's own docstring, not one inherited from its type or its base class."""
    text = value.__doc__
    if not isinstance(text, str) or (isinstance(value, type) and _inherits(value, text)):
        return ""
    return ADDRESS.sub("", inspect.cleandoc(text)).strip()


def _inherits(value: type, text: str) -> bool:
    return any(base.__doc__ is text for base in value.__mro__[1:])


def _document(library: Library, identity: str, module: str, kind: str, *, text: str, **extra: Any) -> Document:
    package = module.split(".", maxsplit=1)[0]
    deprecated = module in library.deprecated or package in library.deprecated
    return {
        "id": identity,
        "module": module,
        "package": package,
        "kind": kind,
        "name": identity if kind == "module" else identity.rsplit(".", 1)[1],
        **{key: value for key, value in extra.items() if value is not None},
        "summary": _summary(text),
        "text": text,
        "length": len(text),
        "deprecated": deprecated or (kind != "module" and _says_deprecated(text)),
    }


def _summary(text: str) -> str:
    """The docstring's first paragraph on one line; the second one too where the first is only a signature."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]
    is_signature = TEXT_SIGNATURE.fullmatch(paragraphs[0]) is not None
    return " ".join(paragraphs[: 2 if is_signature else 1])


def _says_deprecated(text: str) -> bool:
    """Whether the first two sentences of the docstring say that the thing itself is deprecated."""
    return bool(DEPRECATED.search(". ".join(re.split(r"\.\s", text)[:2])))


def write(lines: Iterable[Document], stream: Any) -> None:
    """One JSON document a line."""
    for document in lines:
        stream.write(json.dumps(document, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    output = sys.stdout
    with contextlib.redirect_stdout(io.StringIO()):
        collected = documents()
    write(collected, output)

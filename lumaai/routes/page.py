"""The reference as one page, out of the OpenAPI document. Nothing of it comes from elsewhere; nothing else runs in it.

It works where there is no Internet, and the key that somebody types into it meets no script but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")
_CODE = re.compile(r"`([^`]+)`")
DEPTH_MAX = 4  # of types in words

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
code, pre, textarea, input, .method { font: 14px/1.4 ui-monospace, monospace; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: 0 .8rem; }
summary { cursor: pointer; padding: .5rem 0; overflow-wrap: anywhere; }
.method { display: inline-block; min-width: 4rem; font-weight: 700; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
pre, textarea { background: var(--soft); border: 0; border-radius: 6px; }
pre, textarea { box-sizing: border-box; padding: .6rem; width: 100%; }
pre { max-height: 30rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
pre:empty { display: none; }
form input { margin: .2rem; width: 14rem; }
"""

# Sends what a form says, with the key that was typed in, and shows the answer as text.
SCRIPT = """
"use strict";
const key = document.getElementById("key");
function opened() {
  const chosen = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (chosen instanceof HTMLDetailsElement) { chosen.open = true; chosen.scrollIntoView(); }
}
window.addEventListener("hashchange", opened);
opened();
for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const shown = form.querySelector("pre");
    const query = new URLSearchParams();
    const options = { method: form.dataset.method, headers: {} };
    let path = form.dataset.path;
    for (const field of form.querySelectorAll("[data-in]")) {
      const value = field.value;
      if (field.dataset.in === "path") path = path.replace("{" + field.name + "}", encodeURIComponent(value));
      else if (value === "") continue;
      else if (field.dataset.in === "query") query.set(field.name, value);
      else if (field.dataset.in === "header") options.headers[field.name] = value;
      else { options.body = value; options.headers["Content-Type"] = field.dataset.type; }
    }
    if (key !== null && key.value !== "") options.headers["Authorization"] = "Bearer " + key.value;
    shown.textContent = "…";
    try {
      const answer = await fetch(path + (query.size ? "?" + query : ""), options);
      let text = await answer.text();
      try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* no JSON: as it is */ }
      shown.textContent = answer.status + " " + answer.statusText + "\\n\\n" + text;
    } catch (error) {
      shown.textContent = String(error);
    }
  });
}
"""


def _allowed(kind: str, content: str) -> str:
    return f"{kind} 'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


# The page's own style and script, by their hashes, and requests to the service itself: all else is refused by browsers.
POLICY = "; ".join(
    [
        "default-src 'none'",
        _allowed("style-src", STYLE),
        _allowed("script-src", SCRIPT),
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(document: Mapping[str, Any]) -> bytes:
    """The page of an OpenAPI document, UTF-8."""
    return "\n".join(_Page(document).parts()).encode()


class _Page:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]

    def parts(self) -> Iterator[str]:
        info = self._document["info"]
        title = f"{escape(info['title'])} {escape(info['version'])}"
        yield f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
        yield f"<style>{STYLE}</style></head><body><h1>{title}</h1>{_prose(info['description'])}"
        yield '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
        if "securitySchemes" in self._document["components"]:
            yield '<p><label>API key or token: <input id="key" type="password" autocomplete="off"></label></p>'
        tags = self._document["tags"]
        yield "<p>" + " · ".join(f'<a href="#tag-{tag["name"]}">{tag["name"]}</a>' for tag in tags)
        yield ' · <a href="#schemas">schemas</a></p>'
        for tag in tags:
            yield f'<h2 id="tag-{escape(tag["name"])}">{escape(tag["name"])}</h2>{_prose(tag["description"])}'
            for path, methods in self._document["paths"].items():
                for method in _METHODS:
                    if method in methods and tag["name"] in methods[method]["tags"]:
                        yield from self._operation(path, method, methods[method])
        yield '<h2 id="schemas">schemas</h2>'
        for name, schema in sorted(self._schemas.items()):
            yield f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
            yield f"{_prose(schema.get('description', ''))}{self._table(schema)}</details>"
        yield f"<script>{SCRIPT}</script></body></html>"

    def _operation(self, path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
        yield f'<details id="{escape(operation["operationId"])}"><summary><span class="method">{method.upper()}</span> '
        yield f"<code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
        yield _prose(operation["description"])
        content = operation.get("requestBody", {}).get("content", {})
        for kind, media in content.items():
            yield f"<p>Body: <code>{escape(kind)}</code> {self._said(media['schema'])}</p>"
        yield "<table><tr><th>answer</th><th></th><th></th></tr>"
        for status, answer in operation["responses"].items():
            bodies = ", ".join(self._said(media["schema"]) for media in answer.get("content", {}).values())
            yield f"<tr><td>{escape(status)}</td><td>{_inline(answer['description'])}</td><td>{bodies}</td></tr>"
        yield f'</table><form data-method="{method.upper()}" data-path="{escape(path)}">'
        yield from self._inputs(operation.get("parameters", ()))
        kind = next(iter(content), None)
        if kind is not None:
            example = escape(json.dumps(self._example(content[kind]["schema"]) or {}, ensure_ascii=False))
            box = f'<textarea rows="4" data-in="body" data-type="{escape(kind)}" aria-label="body">'
            yield f"{box}{example}</textarea>"
        yield "<p><button>Send</button></p><pre></pre></form></details>"

    @staticmethod
    def _inputs(parameters: Any) -> Iterator[str]:
        if parameters:
            yield "<table>"
        for parameter in parameters:
            name, place = escape(parameter["name"]), escape(parameter["in"])
            needed = " required" if parameter["required"] else ""
            box = f'<input name="{name}" data-in="{place}" aria-label="{name}"{needed}>'
            yield f"<tr><td><code>{name}</code></td><td>{place}</td><td>{box}</td>"
            yield f"<td>{_inline(parameter['description'])}</td></tr>"
        if parameters:
            yield "</table>"

    def _table(self, schema: Mapping[str, Any]) -> str:
        if "properties" not in schema:
            return f"<p>{self._said(schema)}</p>"
        rows = []
        for name, inner in schema["properties"].items():
            needed = "required" if name in schema.get("required", ()) else ""
            default = f"default <code>{escape(json.dumps(inner['default']))}</code> " if "default" in inner else ""
            text = f"{needed} {default}{_inline(inner.get('description', ''))}".strip()
            rows.append(f"<tr><td><code>{escape(name)}</code></td><td>{self._said(inner)}</td><td>{text}</td></tr>")
        return f"<table>{''.join(rows)}</table>"

    def _said(self, schema: Mapping[str, Any], depth: int = 0) -> str:
        """A type in words, with links to those that have a name."""
        if "$ref" in schema:
            name = escape(schema["$ref"].rpartition("/")[2])
            return f'<a href="#schema-{name}">{name}</a>'
        if depth == DEPTH_MAX:
            return "…"
        if "const" in schema or "enum" in schema:
            values = schema.get("enum", [schema.get("const")])
            return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)
        for choice in ("anyOf", "oneOf"):
            if choice in schema and "properties" not in schema:
                return " or ".join(dict.fromkeys(self._said(inner, depth + 1) for inner in schema[choice]))
        kind = schema.get("type")
        if kind == "array" and "items" in schema:
            return f"list of {self._said(schema['items'], depth + 1)}"
        if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
            return f"object of {self._said(schema['additionalProperties'], depth + 1)}"
        return escape(str(kind)) if kind else _inline(schema.get("description", ""))

    def _example(self, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """A body to begin with: what must be given, and nothing else."""
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        if "examples" in schema:
            return schema["examples"][0]
        choices = [choice for name in ("anyOf", "oneOf") for choice in schema.get(name, ())]
        if "properties" in schema:
            needed = [*schema.get("required", ()), *(choices[0].get("required", ()) if choices else ())]
            known = {name: schema["properties"][name] for name in needed if name in schema["properties"]}
            return {name: self._example(inner, depth + 1) for name, inner in known.items()} if depth < DEPTH_MAX else {}
        if choices:
            return self._example(choices[0], depth + 1) if depth < DEPTH_MAX else None
        if "enum" in schema or "const" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        kind = schema.get("type")
        if kind == "array":
            return [self._example(schema["items"], depth + 1)] if "items" in schema and depth < DEPTH_MAX else []
        return {"string": "…", "integer": 1, "number": 1.0, "boolean": True, "object": {}}.get(str(kind))


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.strip().split("\n\n") if part.strip())

"""From what a caller declares of a collection to the engine's schema, and whether two declarations are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType
from typing import Any

from engine import Embedding, Schema, Ttl
from lumaai.errors import ConflictError, ErrorDetail, InvalidRequestError, ModelMismatchError

# Where text is embedded into when nothing else is said.
VECTOR_FIELD = "vector"

IdentityOf = Callable[[str], Mapping[str, Any]]  # model name → its identity


def declared_schema(
    fields: Mapping[str, Any] | None,
    embed: Mapping[str, Any] | None,
    *,
    strict: bool,
    ttl: Mapping[str, Any] | None = None,
    default_model: str,
    identity_of: IdentityOf,
) -> Schema:
    """The schema of a collection that is to be made.

    Without `embed`, text is embedded into "vector" with the default model, unless the caller declares vector
    fields: then they are the caller's to fill.

    Raises:
        SchemaError: the declaration is malformed.
        InvalidRequestError: a vector field has another size than its model's vectors.
        ModelMismatchError: an identity is given and is not the model's.
    """
    specs = {name: _spec(spec) for name, spec in _object(fields, "/fields").items()}
    if embed is None:
        has_vectors = any(isinstance(spec, dict) and spec.get("type") == "vector" for spec in specs.values())
        embed = {} if has_vectors else {VECTOR_FIELD: {}}
    embeddings = {}
    for name, given in _object(embed, "/embed").items():
        spec = _object(given, f"/embed/{name}")
        model = _model_name(name, spec.get("model"), default_model)
        identity = identity_of(model)
        _check_identity(name, model, spec.get("identity"), identity)
        splitter = _splitter(name, spec.get("splitter"))
        embeddings[name] = {**spec, "model": model, "identity": dict(identity), "splitter": splitter}
        specs[name] = _sized(name, specs.get(name, {"type": "vector"}), model, identity)
    return Schema.from_json({"fields": specs, "embed": embeddings, "strict": strict, "ttl": ttl})


def said_of(
    description: str | EllipsisType | None,
    synonyms: Sequence[str] | EllipsisType | None,
    fields: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """What a caller says of a collection, without what is left as it is."""
    said = {"description": description, "synonyms": synonyms, "fields": fields if fields is not None else ...}
    return {key: value for key, value in said.items() if value is not ...}


def check_same(name: str, existing: Schema, requested: Schema) -> None:
    """Refuse a declaration that contradicts the collection that there is.

    Fields that the collection has inferred since, and lists where single values were declared, contradict nothing.

    Raises:
        ConflictError: naming the first difference.
    """
    _refuse_difference(name, "ttl", {"ttl": existing.ttl}, {"ttl": requested.ttl})
    old = {key: field.type for key, field in existing.fields.items() if field.declared}
    new = {key: field.type for key, field in requested.fields.items()}
    _refuse_difference(name, "fields", old, new)
    kept = {key: existing.vectors[key] for key in existing.vectors if key in requested.vectors or key in existing.embed}
    _refuse_difference(name, "fields", kept, dict(requested.vectors))
    _refuse_difference(name, "embed", _embed_facts(existing), _embed_facts(requested))
    _refuse_difference(name, "strict", {"strict": existing.strict}, {"strict": requested.strict})


def _object(value: object, pointer: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _malformed(pointer, f"expected an object: got={type(value).__name__}")
    return dict(value)


def _model_name(name: str, given: object, default: str) -> str:
    if given is None:
        return default
    if not isinstance(given, str) or not given:
        raise _malformed(f"/embed/{name}/model", f"model must be a name: got={given!r:.40}")
    return given


def _splitter(name: str, given: object) -> str:
    from models import Splitter

    known = [str(splitter) for splitter in Splitter]
    if given is None:
        return Splitter.AUTO.value
    if not isinstance(given, str) or given not in known:
        raise _malformed(f"/embed/{name}/splitter", f"splitter must be one of {', '.join(known)}: got={given!r:.40}")
    return given


def _malformed(pointer: str, message: str) -> InvalidRequestError:
    detail = ErrorDetail(pointer, "schema_invalid", message)
    return InvalidRequestError(message, errors=[detail], code="schema_invalid")


def _spec(spec: object) -> object:
    """A field's declaration; a bare string is its type."""
    return {"type": spec} if isinstance(spec, str) else spec


def _sized(name: str, spec: object, model: str, identity: Mapping[str, Any]) -> object:
    """The vector field's declaration with the model's size, which it may leave out and must not contradict."""
    if not isinstance(spec, Mapping) or spec.get("type") != "vector":
        return spec
    expected, got = identity["dim"], spec.get("dim", identity["dim"])
    if got != expected:
        message = f"vector field {name!r} has another size than {model}: expected={expected} got={got}"
        detail = ErrorDetail(f"/fields/{name}/dim", "dimension_mismatch", message, expected, got)
        raise InvalidRequestError(message, code="dimension_mismatch", errors=[detail])
    return {**spec, "dim": expected}


def _check_identity(name: str, model: str, given: object, identity: Mapping[str, Any]) -> None:
    first = {key: value for key, value in identity.items() if key != "tokenization"}  # as before there was such a thing
    if given is not None and given not in (identity, first):
        raise ModelMismatchError(
            f"embed {name!r} names another state of model {model}: expected={given} got={dict(identity)}"
        )


def _embed_facts(schema: Schema) -> dict[str, tuple[Any, ...]]:
    def facts(embedding: Embedding) -> tuple[Any, ...]:
        return (embedding.model, embedding.fields, embedding.splitter)

    return {name: facts(embedding) for name, embedding in schema.embed.items()}


def _refuse_difference(name: str, part: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for key in [*old, *new]:
        if old.get(key) != new.get(key):
            message = (
                f"collection {name!r} exists with another schema: {part} {key!r} "
                f"expected={_shown(old.get(key))} got={_shown(new.get(key))}"
            )
            detail = ErrorDetail(f"/{part}/{key}" if key != part else f"/{part}", "schema_differs", message)
            raise ConflictError(message, code="schema_differs", errors=[detail])


def _shown(value: object) -> str:
    if isinstance(value, Ttl):
        return f"field {value.field}" if value.field is not None else f"{value.seconds} seconds"
    return "none" if value is None else str(value)

"""What requests say of collections: their fields, what they embed, how they are looked after."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from lumaai.wire.base import Background, Wire
from lumaai.wire.values import Description, FieldName, Integer, ScalarType, Strings, Synonyms, exactly_one, finite

# More fields than any collection needs, few enough to name what is wrong with each.
FIELDS_MAX = 4_096


def _few_fields(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > FIELDS_MAX:
        raise PydanticCustomError(
            "too_many_keys", "too many fields: maximum={maximum} got={got}", {"maximum": FIELDS_MAX, "got": len(value)}
        )
    return value


FewFields = BeforeValidator(_few_fields)


class ReferenceSpec(Wire):
    """The field of another collection whose values a field has."""

    collection: str = Field(min_length=1, max_length=256)
    field: str = Field(default="id", min_length=1, max_length=256)


class FieldMeaning(Wire):
    """What a field is about; null takes away what was said."""

    description: Description | None = None
    synonyms: Synonyms | None = None
    references: ReferenceSpec | Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="Where its values lead: a collection (by id), or a field of one."
    )


class ScalarFieldSpec(FieldMeaning):
    """A field that is filtered, sorted and counted by."""

    type: ScalarType
    many: bool = Field(default=False, description="The field's values are lists.")
    declared: bool = Field(default=True, description="A declared type never widens.")
    leaves: Annotated[dict[FieldName, FieldMeaning], FewFields] | None = Field(
        default=None, description="Of json: what the leaves of its objects are about, by their paths."
    )


class VectorFieldSpec(Wire):
    """A field of vectors that are searched."""

    type: Literal["vector"]
    dim: Integer | None = Field(default=None, ge=1, le=65_536, description="May be left out where a model decides.")
    metric: Literal["cosine", "dot", "l2"] = "cosine"
    index: Literal["auto", "flat", "hnsw", "ivf_flat", "ivf_pq"] = "auto"
    quantization: Literal["auto", "none", "fp16", "sq8", "pq4", "rabitq"] = Field(
        default="auto", description="How exactly an index keeps vectors, as far as it knows several ways."
    )
    m: Integer = Field(default=16, ge=2, le=256, description="Neighbours of a row in the HNSW graph.")
    ef_construction: Integer = Field(default=100, ge=4, le=4_096, description="Candidates while that is built.")
    nlist: Integer | None = Field(
        default=None,
        ge=1,
        le=65_536,
        description="Lists of an ivf index, as many as a segment's rows allow (39 for each); null: about their root.",
    )


FieldSpec = Annotated[ScalarFieldSpec | VectorFieldSpec, Field(discriminator="type")]


class EmbedSpec(Wire):
    """How a vector field is filled from text."""

    from_: Strings | None = Field(default=None, alias="from", description="Text fields; null: all of them.")
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/\-]{1,200}$")] | None = Field(
        default=None, description="Name of a model; the service's own if not given."
    )
    identity: Annotated[dict[str, Any], BeforeValidator(finite)] | None = Field(
        default=None, description="What the model was; filled in by the service."
    )
    splitter: str | None = Field(
        default=None,
        description="How long text is cut: auto (by the suffix of `path`), sentences, markdown, code, none.",
    )


class TtlSpec(Wire):
    """When documents expire: at the time that a field of theirs says, or so long after they were last written."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["field"]}, {"required": ["seconds"]}]})

    field: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="A datetime field, declared by this where `fields` does not; documents without it never expire.",
    )
    seconds: Annotated[float, Field(gt=0, le=10_000_000_000)] | None = Field(
        default=None, description="Writing a document again renews it."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, ("field", "seconds"))
        return self


class CreateCollection(Wire):
    """`{}` infers the fields and embeds text with the default model; `"embed": {}` embeds nothing."""

    fields: Annotated[dict[FieldName, FieldSpec | ScalarType], FewFields] | None = None
    embed: Annotated[dict[FieldName, EmbedSpec], FewFields] | None = None
    strict: bool = Field(default=False, description="Refuse documents with fields that are not declared.")
    ttl: TtlSpec | None = Field(default=None, description="When documents expire; null: never.")
    description: Description | None = None
    synonyms: Synonyms | None = None


class DescribeCollection(Wire):
    """What a collection and its fields are about; what is not named stays, null takes away."""

    description: Description | None = None
    synonyms: Synonyms | None = None
    fields: Annotated[dict[FieldName, FieldMeaning], FewFields] | None = None


class Reembed(Wire):
    """Embed a collection anew, with another model."""

    model: str = Field(pattern=r"^[^\x00-\x1f]{1,4096}$", description="The new model's name.")
    field: str | None = Field(default=None, description="The vector field; needed where several are embedded.")


class OptimizeCollection(Wire):
    """Seal and merge what is held in memory and in small segments."""

    wait: bool = Field(default=True, description="Answer when it is done rather than when it has begun.")
    background: Background = False

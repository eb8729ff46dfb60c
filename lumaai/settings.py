"""How the service is run: read from `LUMAAI_*` environment variables, overridden by arguments."""

from __future__ import annotations

import difflib
import functools
import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lumaai.access import ALL, Grant
from lumaai.errors import InvalidRequestError
from lumaai.sizes import bytes_of
from models import DEFAULT_MODEL

if TYPE_CHECKING:
    from lumaai.model_options import ModelOptions
    from models import LLM

MEBIBYTE = 1 << 20
CORES = os.cpu_count() or 1

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,253}")
S = TypeVar("S", bound="ModelSettings")

# RFC 7518, 3.2: a key of HS256 has at least as many bits as its hash.
JWT_SECRET_CHARACTERS_MIN = 32
# Of difflib's ratio: from where on a name of a variable is taken for a misspelt setting.
NEAR_ENOUGH = 0.9


class ModelSettings(BaseSettings):
    """How models are run: the part of the settings that an embedded database reads, too, and nothing else of them."""

    model_config = SettingsConfigDict(
        env_prefix="LUMAAI_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        defer_build=True,
    )

    threads: int | None = Field(default=None, ge=1, description="Threads of the embedder; null: it chooses.")
    embedding_precision: Literal["auto", "float32", "int8"] = Field(
        default="auto", description="Of collections to come; auto: int8 where its measured loss of quality is small."
    )
    embedding_cache: Literal["none", "memory", "sqlite", "redis"] = Field(
        default="sqlite", description="Where vectors of texts are kept; sqlite: a file in the database directory."
    )
    embedding_cache_bytes_max: int = Field(default=1024 * MEBIBYTE, ge=MEBIBYTE, description="Of that file.")
    redis_url: SecretStr | None = Field(default=None, description="Of embedding_cache redis, e.g. redis://localhost/0.")
    embedding_base_url: str | None = Field(
        default=None, description="The service of models named openai:NAME; null: OpenAI's own."
    )
    embedding_api_key: SecretStr | None = Field(default=None, description="Its key; of OpenAI's own, OPENAI_API_KEY.")
    rerank_model: str = Field(default="late-interaction", description="Reranks searches that name no model.")
    rerank_base_url: str | None = Field(default=None, description="The service of rerankers named openai:NAME.")
    rerank_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")

    @field_validator("*", mode="before")
    @classmethod
    def _sizes(cls, given: Any, info: ValidationInfo) -> Any:
        return bytes_of(given) if isinstance(given, str) and str(info.field_name).endswith("bytes_max") else given

    @model_validator(mode="after")
    def _redis_has_an_address(self) -> Self:
        if self.embedding_cache == "redis" and self.redis_url is None:
            raise ValueError("LUMAAI_EMBEDDING_CACHE=redis needs LUMAAI_REDIS_URL, such as redis://localhost:6379/0")
        return self

    @property
    def model_options(self) -> ModelOptions:
        """How models are run."""
        from lumaai.model_options import ModelOptions
        from models import RemoteAccess

        own = self.embedding_api_key or (self.openai_api_key if self.embedding_base_url is None else None)
        return ModelOptions(
            precision=self.embedding_precision,
            threads=self.threads,
            cache=self.embedding_cache,
            cache_bytes_max=self.embedding_cache_bytes_max,
            redis_url=_secret(self.redis_url),
            embeddings=RemoteAccess(self.embedding_base_url, _secret(own)),
            reranker=self.rerank_model,
            rerankers=RemoteAccess(self.rerank_base_url, _secret(self.rerank_api_key)),
        )


class Role(BaseModel):
    """What a role of tokens allows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verbs: list[str]
    collections: list[str] = [ALL]

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        try:
            Grant.of(self.verbs, self.collections)
        except InvalidRequestError as error:
            raise ValueError(error.message) from None
        return self


class Settings(ModelSettings):
    """Everything about the service that is not in the database.

    Values come from arguments (`Settings(port=9000)`), then from the environment (`LUMAAI_PORT=9000`).
    Frozen: a running service does not change its mind.
    """

    model_config = SettingsConfigDict(
        env_prefix="LUMAAI_", env_ignore_empty=True, frozen=True, extra="forbid", populate_by_name=True
    )

    directory: Path = Field(
        default=Path("data"),
        description="Where the database is; made if missing.",
        validation_alias=AliasChoices("LUMAAI_DIRECTORY", "LUMAAI_DATA"),
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65_535, description="0 takes any free port.")
    api_key: SecretStr | None = Field(default=None, min_length=1, description="A key that may do everything.")
    insecure: bool = Field(default=False, description="Allow other addresses than loopback without a key.")
    jwt_secret: SecretStr | None = Field(
        default=None, min_length=JWT_SECRET_CHARACTERS_MIN, description="Of tokens signed with HS256."
    )
    jwt_jwks: str | None = Field(
        default=None, min_length=1, description="File or https address of the keys of tokens signed with RS256."
    )
    jwt_audience: str | None = Field(default=None, min_length=1, description="Tokens must be for it.")
    jwt_issuer: str | None = Field(default=None, min_length=1, description="Tokens must be from it; null: not checked.")
    jwt_roles_claim: str = Field(default="roles", min_length=1, description="Where a token names its roles.")
    jwt_roles: dict[str, Role] | None = Field(
        default=None, description="What they allow, as JSON; null: reader, asker, writer and admin, on all collections."
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="Of each key or token that has no bound of its own."
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file, with what leads to the authority.")
    tls_key: Path | None = Field(default=None, description="PEM file of its key, without a password.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Web pages that may call from browsers, with commas; such as https://app.example.org."
    )
    slow_request_seconds: float | None = Field(
        default=1.0, gt=0, description="Requests that take longer are logged with how they ran, without content."
    )
    otlp_endpoint: str | None = Field(
        default=None, min_length=1, description="Where traces go, by OTLP over HTTP, such as http://127.0.0.1:4318."
    )
    audit_log: Path | None = Field(default=None, description="File that administrative acts are noted in as well.")

    body_bytes_max: int = Field(default=64 * MEBIBYTE, ge=1024, description="JSON bodies with documents.")
    request_bytes_max: int = Field(default=16 * MEBIBYTE, ge=1024, description="All other JSON bodies.")
    response_bytes_max: int = Field(default=64 * MEBIBYTE, ge=1024, description="Documents in one answer.")
    bulk_bytes_max: int = Field(default=64 * 1024 * MEBIBYTE, ge=1024, description="One streamed upload.")
    line_bytes_max: int = Field(default=16 * MEBIBYTE, ge=1024, description="One line of an upload.")
    embed_characters_max: int = Field(
        default=1_000_000, ge=1, description="Text to embed in one request; uploads have no such limit."
    )
    batch_documents_max: int = Field(default=10_000, ge=1)
    search_limit_max: int = Field(default=10_000, ge=1, le=10_000, description="limit + offset of a search.")
    search_batch_max: int = Field(default=1_000, ge=1, description="Vectors in one search:batch.")
    scroll_limit_max: int = Field(default=10_000, ge=1)
    request_seconds_max: float = Field(default=60.0, gt=0, description="For uploads: between two pieces.")
    idle_seconds_max: float = Field(
        default=5.0, gt=0, description="Between two pieces of the head or the body of a request that is no upload."
    )

    connections_max: int = Field(
        default=10_000, ge=1, description="At once; half as many as files may be open, where that is less."
    )

    search_threads: int = Field(default=max(2, CORES), ge=1, le=256)
    search_queue_max: int = Field(default=256, ge=0, description="Searches waiting for a thread.")
    search_wait_seconds_max: float = Field(
        default=0.005, gt=0, description="They may wait so long, or four times as long as one takes; more in a burst."
    )
    write_threads: int = Field(default=2, ge=1, le=64)
    write_queue_max: int = Field(default=64, ge=0)
    write_wait_seconds_max: float = Field(default=0.25, gt=0)
    embed_threads: int = Field(default=2, ge=1, le=64, description="Writes to collections that embed.")
    embed_queue_max: int = Field(default=64, ge=0)
    embed_wait_seconds_max: float = Field(default=10.0, gt=0)
    ask_threads: int = Field(default=2, ge=1, le=64)
    ask_queue_max: int = Field(default=16, ge=0)
    ask_wait_seconds_max: float = Field(default=10.0, gt=0)
    query_threads: int = Field(
        default=max(2, min(CORES, 4)), ge=1, le=64, description="Queries in SQL and other languages; four of SQL run."
    )
    query_queue_max: int = Field(default=64, ge=0)
    query_wait_seconds_max: float = Field(default=1.0, gt=0)
    maintenance_queue_max: int = Field(default=4, ge=0, description="Work on all files that waits for its turn.")

    durability: Literal["sync", "interval", "none"] = Field(
        default="sync", description="Of writes that ask for none; sync: answered when on disk."
    )
    sync_interval_seconds: float = Field(default=0.05, gt=0, le=60, description="Of durability interval.")
    memory_bytes_max: int | None = Field(
        default=None, ge=MEBIBYTE, description="Of all caches together; null: the engine's own choice."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where vectors are searched; auto: a CUDA card where there is one."
    )
    snapshots_directory: Path | None = Field(default=None, description="null: snapshots in the database's directory.")

    model: str = Field(default=DEFAULT_MODEL, description="Embedder of collections that name none.")
    preload_models: bool = Field(default=True, description="Load the models of collections at the start.")
    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    azure_openai_api_key: SecretStr | None = Field(default=None, validation_alias="AZURE_OPENAI_API_KEY")
    gemini_api_key: SecretStr | None = Field(default=None, validation_alias="GEMINI_API_KEY")
    deepseek_api_key: SecretStr | None = Field(default=None, validation_alias="DEEPSEEK_API_KEY")
    llm_provider: str | None = Field(
        default=None,
        description="openai, azure, anthropic, gemini, deepseek, ollama, llama_cpp, vllm, compatible; null: by keys.",
    )
    llm_base_url: str | None = Field(default=None, description="A service with OpenAI's API; null: the provider's own.")
    llm_model: str | None = Field(default=None, description="null: a small one of the provider's own.")
    llm_small_model: str | None = Field(
        default=None, description="For steps of plans that ask the small model; null: the same as for all else."
    )
    llm_api_version: str | None = Field(default=None, description="Of Azure.")
    llm_api_key: SecretStr | None = Field(default=None, description="In place of the provider's own variable.")
    llm_key_file: Path | None = Field(default=None, description="A file that holds the key.")
    llm_prices_file: Path | None = Field(
        default=None, description='JSON over the built-in table: {"provider/model": {"input": …, "output": …}}.'
    )
    llm_calls_max: int | None = Field(default=None, ge=0, description="Requests that one question may take.")
    llm_tokens_max: int | None = Field(default=None, ge=0, description="Read and written for one question.")
    llm_dollars_max: float | None = Field(default=None, ge=0, description="For one question, by the table of prices.")
    llm_seconds_max: float | None = Field(default=None, gt=0, description="After which a question asks no more.")
    llm_requests_per_minute: float | None = Field(default=None, gt=0)
    llm_tokens_per_minute: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _llm_can_be_had(self) -> Self:
        from lumaai.language_model import wrong_with

        if (wrong := wrong_with(self)) is not None:
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _tokens_can_be_checked(self) -> Self:
        if (self.jwt_secret is not None or self.jwt_jwks is not None) and self.jwt_audience is None:
            raise ValueError("LUMAAI_JWT_SECRET and LUMAAI_JWT_JWKS need LUMAAI_JWT_AUDIENCE: what tokens must be for")
        address = urlsplit(self.jwt_jwks or "")
        if address.scheme == "http" and not is_loopback(address.hostname or ""):
            raise ValueError("LUMAAI_JWT_JWKS must be a file, an https address, or an address of this machine")
        return self

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("LUMAAI_TLS_CERTIFICATE and LUMAAI_TLS_KEY go together")
        return self

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, given: Any) -> Any:
        origins = tuple(each.strip() for each in given.split(",")) if isinstance(given, str) else tuple(given)
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError("origins are addresses without a path, such as https://app.example.org; * is none")
        return origins

    @property
    def has_credentials(self) -> bool:
        """Whether callers must show who they are, whatever keys the database holds."""
        return self.api_key is not None or self.jwt_secret is not None or self.jwt_jwks is not None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach `host`."""
        return is_loopback(self.host)

    @functools.cached_property
    def llm(self) -> LLM | None:
        """The language model that plans questions; None if none is configured. Made when first asked for."""
        from lumaai.language_model import configured

        return configured(self)


def load_settings(**given: Any) -> Settings:
    """Settings from arguments and the environment.

    Raises:
        InvalidRequestError: some are wrong (code "settings_invalid"); one line names them, without their values.
    """
    return _read(Settings, given)


def load_model_settings() -> ModelSettings:
    """Settings of models from the environment; raises what `load_settings` does."""
    return _read(ModelSettings, {})


def _read(kind: type[S], given: dict[str, Any]) -> S:
    try:
        return kind(**given)
    except ValidationError as error:
        problems = []
        for item in error.errors(include_input=False, include_url=False):
            place = ".".join(map(str, item["loc"]))
            if item["loc"] and item["loc"][0] in kind.model_fields and item["loc"][0] not in given:
                place = f"LUMAAI_{str(item['loc'][0]).upper()}{place.removeprefix(str(item['loc'][0]))}"
            message = item["msg"].removeprefix("Value error, ")
            problems.append(f"{place}: {message}" if place else message)
        # The cause would quote the values, keys among them.
        raise InvalidRequestError(f"settings are wrong: {'; '.join(problems)}", code="settings_invalid") from None


def misspelt(names: Iterable[str]) -> dict[str, str]:
    """Names of environment variables that are no setting's, and the setting whose name each nearly is.

    Others may be anybody's: of a service called lumaai Kubernetes makes some.
    """
    known = {f"LUMAAI_{name.upper()}" for name in Settings.model_fields} | {"LUMAAI_DATA", "LUMAAI_URL"}
    found = {}
    for name in sorted(set(names) - known):
        if name.startswith("LUMAAI_") and (near := difflib.get_close_matches(name, sorted(known), 1, NEAR_ENOUGH)):
            found[name] = near[0]
    return found


def _secret(given: SecretStr | None) -> str | None:
    return None if given is None else given.get_secret_value()


def is_loopback(host: str) -> bool:
    """Whether a host name or address (with or without brackets) means this machine."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False

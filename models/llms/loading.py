"""From a provider's name to a language model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from models.errors import LLMError
from models.llms.budget import Budget
from models.llms.capabilities import CapabilityStore
from models.llms.client import DEFAULT_RETRIES, RemoteLLM
from models.llms.clock import Clock
from models.llms.endpoint import Endpoint
from models.llms.keys import can_be_key
from models.llms.prices import FREE, PRICES, Price, price_of
from models.llms.providers import PROVIDERS, Provider
from models.llms.rate_limits import RateLimit
from models.retries import RetryPolicy


def load_llm(
    provider: str,
    *,
    model: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    api_version: str | None = None,
    limit: RateLimit | None = None,
    budget: Budget | None = None,
    prices: Mapping[str, Price] | None = None,
    capabilities_directory: Path | None = None,
    retries: RetryPolicy | None = None,
    clock: Clock | None = None,
) -> RemoteLLM:
    """A language model; no request is made before the first `complete`. Close it when it is not needed any more.

    Args:
        provider: a name in `models.PROVIDERS`, such as "openai", "anthropic" or "ollama"; "compatible" is whatever
            else speaks chat completions at `base_url`, and so is "openai" with an address of its own.
        model: its name there; by default a small one of the provider's own. With Azure, the deployment.
        api_key: handed in by the caller: nothing here reads the environment.
        base_url: the endpoint; by default the provider's own.
        api_version: of Azure; by default one that is no preview.
        limit: requests and tokens per minute; by default none.
        budget: of all calls together; by default none.
        prices: over the table of `models.PRICES`, by "provider/model".
        capabilities_directory: where it is kept what the endpoint was found to take; by default nowhere.
        retries: by default three attempts within seconds.
        clock: for tests.

    Raises:
        LLMError: unknown provider, or the key, the address or the model's name is missing or cannot be one.
    """
    chosen = _provider(provider, base_url)
    url, named = base_url or chosen.base_url, model or chosen.default_model
    if url is None:
        raise LLMError(f"the endpoint's address is missing: provider={provider} base_url=None")
    if named is None:
        raise LLMError(f"the endpoint's model must be named: provider={provider} model=None")
    if not api_key and chosen.key_variable is not None:
        raise LLMError(f"API key is missing: provider={provider}")
    if api_key and not can_be_key(api_key):
        raise LLMError(f"API key has characters that no key has: provider={provider}")
    if not _is_address(url):
        raise LLMError(f"the endpoint's address must begin with http:// or https:// and a host: provider={provider}")
    name = f"{provider}/{named}"
    return RemoteLLM(
        _endpoint(chosen, name=name, model=named, url=url, api_key=api_key, api_version=api_version),
        name=name,
        model=named,
        modes=chosen.modes,
        price=price_of(name, {**PRICES, **(prices or {})}) or (FREE if chosen.free else None),
        capabilities=CapabilityStore(capabilities_directory),
        limit=limit,
        retries=retries or DEFAULT_RETRIES,
        budget=budget,
        clock=clock,
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        return False


def _provider(name: str, base_url: str | None) -> Provider:
    if name not in PROVIDERS:
        expected = ", ".join(PROVIDERS)
        raise LLMError(f"language model provider is unknown: expected one of {expected} got={name!r:.40}")
    own = PROVIDERS[name].base_url
    if name == "openai" and base_url is not None and base_url.rstrip("/") != own:
        return PROVIDERS["compatible"]
    return PROVIDERS[name]


def _endpoint(
    provider: Provider, *, name: str, model: str, url: str, api_key: str | None, api_version: str | None
) -> Endpoint:
    if provider.protocol == "anthropic":
        from models.llms.anthropic import AnthropicEndpoint

        assert api_key is not None
        return AnthropicEndpoint(name=name, model=model, url=url, api_key=api_key)
    from models.llms.openai import OpenAIEndpoint

    return OpenAIEndpoint(provider, name=name, model=model, url=url, api_key=api_key, api_version=api_version)

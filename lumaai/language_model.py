"""The language model that the settings name: which provider, with what key, within what limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

import models

if TYPE_CHECKING:
    from lumaai.settings import Settings


def provider_of(settings: Settings) -> str | None:
    """The provider's name; without one in the settings what the address and the keys say. None: no language model."""
    if settings.llm_provider is not None:
        return settings.llm_provider
    if settings.llm_base_url is not None or settings.openai_api_key is not None:
        return "openai"
    return "anthropic" if settings.anthropic_api_key is not None else None


def wrong_with(settings: Settings) -> str | None:
    """What the settings of the language model lack or contradict; None if nothing."""
    provider = models.PROVIDERS.get(settings.llm_provider or "")
    if settings.llm_provider is not None and provider is None:
        return f"LUMAAI_LLM_PROVIDER must be one of {', '.join(models.PROVIDERS)}"
    if settings.llm_api_key is not None and settings.llm_key_file is not None:
        return "LUMAAI_LLM_API_KEY and LUMAAI_LLM_KEY_FILE are two keys: give one"
    if provider is None:
        if settings.llm_base_url is not None and settings.llm_model is None:
            return "LUMAAI_LLM_BASE_URL needs LUMAAI_LLM_MODEL, the name of a model that is served there"
        return None
    return _lacking(settings, provider)


def _lacking(settings: Settings, provider: models.Provider) -> str | None:
    """What the provider that is named needs and is not given."""
    what = f"LUMAAI_LLM_PROVIDER={provider.name} needs"
    if provider.base_url is None and settings.llm_base_url is None:
        return f"{what} LUMAAI_LLM_BASE_URL, the address of the service"
    own_address = provider.name == "openai" and settings.llm_base_url is not None
    if settings.llm_model is None and (provider.default_model is None or own_address):
        return f"{what} LUMAAI_LLM_MODEL, the name of a model that is served there"
    has_key = settings.llm_key_file is not None or _key_of(settings, provider) is not None
    if provider.key_variable is not None and not has_key and not own_address:
        return f"{what} {provider.key_variable}, LUMAAI_LLM_API_KEY or LUMAAI_LLM_KEY_FILE"
    return None


def configured(settings: Settings) -> models.LLM | None:
    """The language model, whose budget is that of one question; None if none is configured.

    Raises:
        LLMError: a key or prices cannot be read from their file.
    """
    from lumaai.environment import default_cache_directory

    name = provider_of(settings)
    if name is None:
        return None
    key_file, prices = settings.llm_key_file, settings.llm_prices_file
    key = models.read_key_file(key_file) if key_file else _key_of(settings, models.PROVIDERS[name])
    table = models.read_prices(prices) if prices else None

    def load(model: str | None) -> models.LLM:
        return models.load_llm(
            name,
            model=model,
            api_key=key,
            base_url=settings.llm_base_url,
            api_version=settings.llm_api_version,
            limit=models.RateLimit(settings.llm_requests_per_minute, settings.llm_tokens_per_minute),
            prices=table,
            capabilities_directory=default_cache_directory(),
        )

    small = None if settings.llm_small_model is None else load(settings.llm_small_model)
    return models.BudgetedLLM(load(settings.llm_model), _budget(settings), small)


def close_language_model(llm: models.LLM | None) -> None:
    """Close its connections; not every model has some."""
    if isinstance(llm, models.BudgetedLLM):
        llm.close()


def _budget(settings: Settings) -> models.Budget:
    return models.Budget(
        calls=settings.llm_calls_max,
        tokens=settings.llm_tokens_max,
        dollars=settings.llm_dollars_max,
        seconds=settings.llm_seconds_max,
    )


def _key_of(settings: Settings, provider: models.Provider) -> str | None:
    """The key in the environment: the one for whatever provider there is, or the provider's own."""
    own: dict[str, SecretStr | None] = {
        "OPENAI_API_KEY": settings.openai_api_key,
        "ANTHROPIC_API_KEY": settings.anthropic_api_key,
        "AZURE_OPENAI_API_KEY": settings.azure_openai_api_key,
        "GEMINI_API_KEY": settings.gemini_api_key,
        "DEEPSEEK_API_KEY": settings.deepseek_api_key,
    }
    key = settings.llm_api_key or own.get(provider.key_variable or "")
    return None if key is None else key.get_secret_value()

"""Settings as a host's data give them, good or bad."""

from typing import Any

from pyinfra_gvisor.settings import Settings, load_settings


def good(**data: Any) -> Settings:
    """The settings, which must be good."""
    settings, problems = load_settings(data)
    assert settings, problems
    return settings


def problems_of(**data: Any) -> dict[str, str]:
    """What is wrong with settings that must be bad."""
    settings, problems = load_settings(data)
    assert settings is None
    return problems

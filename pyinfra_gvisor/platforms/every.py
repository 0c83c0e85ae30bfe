"""The list of all platforms."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.platforms import App, Platform
from pyinfra_gvisor.platforms.compose import Compose
from pyinfra_gvisor.platforms.coolify import Coolify

PLATFORMS: tuple[Platform, ...] = (Coolify(), Compose())


def identify(labels: Mapping[str, str]) -> App | None:
    """Return the app that a container says it belongs to; None if no platform knows it."""
    found = (platform.identify(labels) for platform in PLATFORMS)
    return next((app for app in found if app), None)

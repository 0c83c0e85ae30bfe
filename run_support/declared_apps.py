"""Coolify's apps, read once a run from its API for all audited nodes."""

from __future__ import annotations

import os
from threading import Lock
from weakref import WeakKeyDictionary

from pyinfra.api import Host, State

from pyinfra_gvisor.coolify.declared_apps import DeclaredApps
from pyinfra_gvisor.settings import Settings

_LOCK = Lock()  # hosts are audited at the same time, and all of them need this answer
_ASKED: WeakKeyDictionary[State, dict[str, DeclaredApps]] = WeakKeyDictionary()


def declared_apps(host: Host, settings: Settings) -> DeclaredApps | None:
    """Return Coolify's apps, or the error of its API; None if ``gvisor_coolify_url`` is not set."""
    if settings.coolify_url is None:
        return None
    with _LOCK:
        asked = _ASKED.setdefault(host.state, {})
        if settings.coolify_url not in asked:
            # Most runs do not need these modules, whose import takes 1/20 of pyinfra's start.
            from pyinfra_gvisor.coolify.declared import ask  # noqa: PLC0415

            asked[settings.coolify_url] = ask(
                settings.coolify_url, os.environ, settings.coolify_token_file
            )
        return asked[settings.coolify_url]

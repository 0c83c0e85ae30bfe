"""What Coolify says of its apps, asked once a run for all the nodes that are audited."""

from __future__ import annotations

import os
from threading import Lock
from weakref import WeakKeyDictionary

from pyinfra.api import Host, State

from pyinfra_gvisor.coolify.declared_apps import DeclaredApps
from pyinfra_gvisor.settings import Settings

_LOCK = Lock()  # hosts are looked at side by side, and all of them need the one answer
_ASKED: WeakKeyDictionary[State, dict[str, DeclaredApps]] = WeakKeyDictionary()


def declared_apps(host: Host, settings: Settings) -> DeclaredApps | None:
    """Coolify's apps, with an error in place of what it does not tell; None if it is not asked."""
    if settings.coolify_url is None:
        return None
    with _LOCK:
        asked = _ASKED.setdefault(host.state, {})
        if settings.coolify_url not in asked:
            # Most runs ask none, and the modules take a twentieth of what pyinfra takes to start.
            from pyinfra_gvisor.coolify.declared import ask  # noqa: PLC0415

            asked[settings.coolify_url] = ask(
                settings.coolify_url, os.environ, settings.coolify_token_file
            )
        return asked[settings.coolify_url]

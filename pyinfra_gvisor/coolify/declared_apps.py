"""Coolify's apps whose containers run on a node, as declared in Coolify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Coolify's labels of containers: defaultLabels in bootstrap/helpers/docker.php.
APP_ID = "coolify.applicationId"
PULL_REQUEST_ID = "coolify.pullRequestId"
APP_LABELS = (APP_ID, PULL_REQUEST_ID)


@dataclass(frozen=True)
class DeclaredApp:
    """
    A Coolify app. ``runtime`` is the one that its Custom Docker Options ask for.

    ``by_options``: these options decide; otherwise the app's own compose file does.
    """

    uuid: str
    name: str
    runtime: str | None
    by_options: bool = True


@dataclass(frozen=True)
class DeclaredApps:
    """Coolify's apps by the number in their containers' labels; ``error``: why they are unknown."""

    apps: Mapping[str, DeclaredApp] = field(default_factory=dict)
    error: str | None = None

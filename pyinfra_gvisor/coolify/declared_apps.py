"""What Coolify says of the apps whose containers run on a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# What Coolify labels containers with: defaultLabels in bootstrap/helpers/docker.php.
APP_ID = "coolify.applicationId"
PULL_REQUEST_ID = "coolify.pullRequestId"
APP_LABELS = (APP_ID, PULL_REQUEST_ID)


@dataclass(frozen=True)
class DeclaredApp:
    """
    An app of Coolify's. ``runtime`` is what its Custom Docker Options ask for.

    ``by_options``: whether these reach its container; for others its compose file says it.
    """

    uuid: str
    name: str
    runtime: str | None
    by_options: bool = True


@dataclass(frozen=True)
class DeclaredApps:
    """Coolify's apps by the number that it labels their containers with; ``error``: why unknown."""

    apps: Mapping[str, DeclaredApp] = field(default_factory=dict)
    error: str | None = None

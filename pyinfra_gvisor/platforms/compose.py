"""Plain compose: a project's services, each one with the runtime that its own file may name."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.platforms import App

# https://github.com/docker/compose/blob/v2.38.2/pkg/api/labels.go. Compose overwrites these.
_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"


class Compose:
    """Docker Compose. It has no containers of its own, and needs no API: a file says everything."""

    name = "compose"

    def identify(self, labels: Mapping[str, str]) -> App | None:
        """Return the service of a container."""
        if _PROJECT not in labels:
            return None
        return App(self.name, "service", f"{labels[_PROJECT]}/{labels.get(_SERVICE, '')}")

"""Coolify on nodes: its apps, and the directories that they mount."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.platforms import App

# Read in v4.3.10. bootstrap/helpers/shared.php has the directories: application_configuration_dir,
# service_configuration_dir and database_configuration_dir. app/Actions/Database mounts the
# certificate into databases with TLS.
_DIRECTORIES = tuple(
    f"/data/coolify/{name}"
    for name in ("applications", "databases", "services", "ssl/coolify-ca.crt")
)
# bootstrap/helpers/docker.php, defaultLabels. Coolify's own containers have no type.
_TYPE = "coolify.type"
_NAME = "coolify.name"
RESOURCE_NAME = "coolify.resourceName"
"""The label with the name that an app has in Coolify's pages."""


class Coolify:
    """
    Coolify's part on a node. Uploads of backups mount ``/data/coolify/backups``, too.

    + binds: what its apps, services and databases mount, for ``gvisor_seal``
    """

    name = "Coolify"
    binds = _DIRECTORIES

    def identify(self, labels: Mapping[str, str]) -> App | None:
        """Return the app, service or database of a container; None for Coolify's own."""
        if not labels.get(_TYPE):
            return None
        return App(self.name, labels[_TYPE], labels.get(_NAME, ""), tenants=True)

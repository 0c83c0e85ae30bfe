"""Thirty apps on a node of Coolify, some more, and how Coolify itself replaces one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.coolify.host import DATA, NETWORK
from tests.node.audits import sh
from tests.node.moving_apps import IMAGE, have_image, have_proxy
from tools.lab import LabNode

FIRST_PORT = 9100
_PACKET = "import socket; socket.socket(17, 3, 8).close()"  # gVisor has none: packet(7)
_WEB = "caddy file-server --root /etc --listen :80"
# Coolify's own: app/Jobs/ApplicationDeploymentJob.php, generate_healthcheck_commands, with a
# shorter interval
_CHECK = "exec 3<> /dev/tcp/127.0.0.1/80"
_OFTEN = {"interval": "8s", "timeout": "3s", "retries": 2}
_OFTEN |= {"start_period": "4s", "start_interval": "1s"}  # seldom later: each is an exec
_SITES = ("rolling", "plain")
_COUNTS = {"rolling": 8, "plain": 10, "mapped": 8, "data": 4}
FAILING = ("rolling-6", "rolling-7", "plain-9", "mapped-6", "mapped-7")


@dataclass(frozen=True)
class FleetApp:
    """
    An app as Coolify deploys it.

    ``rolling``: with a health check and a domain. ``plain``: with a domain. ``mapped``: with a port
    of the host. ``data``: a database. + deployment: which one, as in the container's name
    """

    kind: str
    number: int
    deployment: int = 1

    @property
    def uuid(self) -> str:
        return f"{self.kind}-{self.number}"

    @property
    def container(self) -> str:
        """A database is called by its uuid, an app by another name at each deployment."""
        return self.uuid if self.kind == "data" else f"{self.uuid}-{self.deployment:012}"

    @property
    def is_stopped_first(self) -> bool:
        """Coolify has two of it at once only without a port of the host."""
        return self.kind in ("mapped", "data")

    @property
    def site(self) -> str:
        return f"{self.uuid}.example.com"

    @property
    def place(self) -> tuple[int, str]:
        """Where it is asked: a port of the node, and a site."""
        return (80, self.site) if self.kind in _SITES else (self.port, "")

    @property
    def port(self) -> int:
        return FIRST_PORT + 10 * [*_COUNTS].index(self.kind) + self.number

    def compose(self) -> str:
        """The file that Coolify writes for it."""
        name = self.container
        service: dict[str, Any] = {
            "image": IMAGE,
            "container_name": name,
            "restart": "unless-stopped",
            "init": True,
            "command": ["sh", "-c", self._command()],
            "networks": {NETWORK: None},
            "labels": self._labels(),
        }
        if self.kind == "rolling":
            also = self._packet() if self.uuid == "rolling-7" else "true"
            test = ["CMD", "bash", "-c", f"{_CHECK} && {also}"]
            service["healthcheck"] = {"test": test, **_OFTEN}
        if self.kind in ("mapped", "data"):
            service["ports"] = [f"{self.port}:80"]
        if self.kind == "data":
            service["volumes"] = ["data:/data"]
        whole = {"services": {name: service}, "networks": {NETWORK: {"external": True}}}
        if self.kind == "data":
            whole["volumes"] = {"data": {}}
        return json.dumps(whole)

    def _command(self) -> str:
        web = f"exec {_WEB}"
        if self.kind == "data":
            return f"date >> /data/starts; {web}"
        is_failing = self.uuid in FAILING and self.uuid != "rolling-7"
        return f"{self._packet()} && {web}" if is_failing else web

    @staticmethod
    def _packet() -> str:
        return f"python3 -c '{_PACKET}'"

    def _labels(self) -> Mapping[str, str]:
        rule = f"Host(`{self.site}`) && PathPrefix(`/`)"
        kind = "database" if self.kind == "data" else "application"
        routed = {"caddy_0": self.site, f"traefik.http.routers.http-0-{self.uuid}.rule": rule}
        return {
            "coolify.managed": "true",
            "coolify.type": kind,
            "coolify.name": self.uuid,
            "coolify.applicationId": str(self.port),
            **(routed if self.kind in _SITES else {}),
        }


APPS = tuple(FleetApp(kind, number) for kind, count in _COUNTS.items() for number in range(count))
OTHERS = tuple(FleetApp(kind, 8 + at) for kind in ("rolling", "mapped") for at in range(2))
"""Those that Coolify itself replaces, to compare."""


def bring(node: LabNode) -> None:
    """Start all apps, and a proxy."""
    have_image(node)
    sh(node, f"docker network create --attachable {NETWORK}")
    for app in (*APPS, *OTHERS):
        sh(node, _up(node, app))
    have_proxy(node, "caddy_0")


def replaced(node: LabNode, app: FleetApp, deployment: int) -> FleetApp:
    """
    Replace an app as a deployment of Coolify ends, and return it.

    Coolify v4, app/Jobs/ApplicationDeploymentJob.php: rolling_update, health_check,
    graceful_shutdown_container, which stops within 30 s and removes.
    """
    new = FleetApp(app.kind, app.number, deployment)
    stop = f"docker stop -t 30 {app.container}; docker rm -f {app.container}"
    status = f"docker inspect -f '{{{{.State.Health.Status}}}}' {new.container}"
    wait = f"until [ $({status}) = healthy ]; do sleep 0.5; done" if app.kind == "rolling" else ":"
    steps = [stop, _up(node, new)] if app.is_stopped_first else [_up(node, new), wait, stop]
    sh(node, "\n".join(steps))
    return new


def _up(node: LabNode, app: FleetApp) -> str:
    directory = f"{DATA}/applications/{app.uuid}"
    node.put(f"{directory}/docker-compose.yaml", app.compose().encode())
    where = f"--project-directory {directory} -f {directory}/docker-compose.yaml"
    return f"docker compose --progress quiet -p {app.uuid} {where} up -d"

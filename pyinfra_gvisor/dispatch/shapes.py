"""Known kinds of infrastructure: what their containers look like, whatever their image's id is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyinfra_gvisor.judge.infrastructure import repository

SOCKET = "/var/run/docker.sock:/var/run/docker.sock"
COMPOSE_LABELS = ("com.docker.compose.", "com.docker.stack.", "com.docker.swarm.")
PROJECT = "com.docker.compose.project"
PROJECT_DIR = "com.docker.compose.project.working_dir"
PROJECT_FILES = "com.docker.compose.project.config_files"
HEALTHCHECK = "healthcheck"


@dataclass(frozen=True)
class Shape:
    """
    A kind of infrastructure container.

    + repositories: names of its image, with registry and without tag. They only tell that an
      unknown image may be of this kind; such an image is refused until an operator accepts its id
    + mounts: mounts for which it must be infrastructure, any of them
    + fixed: values of the keys of ``Infrastructure`` that are the same for every image
    + usual: values of other keys, which are not in the image. Keys of a health check are added to
      those of the image, as ``docker run`` does
    + recorded: the operator chooses command, environment and health check, so that they are read
      from a container, running or refused. Users run such images for themselves as well
    + source: where this was read
    """

    name: str
    repositories: tuple[str, ...]
    mounts: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    usual: Mapping[str, Any] = field(default_factory=dict)
    recorded: bool = False
    source: str = ""

    def accepting(self, image_id: str) -> str:
        """Return what an operator must do to accept an image of this kind, as an imperative."""
        if not self.recorded:
            return f"run pyinfra-gvisor accept {image_id}"
        name = self.fixed.get("name", "with the container's name")
        return f"let the platform start it once, then run pyinfra-gvisor accept {name}"


_COOLIFY = "https://github.com/coollabsio/coolify/blob/v4.3.10"

# bootstrap/helpers/shared.php has both functions: coolifyHelperImage and coolifyRegistryUrl.
_REGISTRIES = ("ghcr.io/", "docker.io/")
_HELPER = tuple(f"{registry}coollabsio/coolify-helper" for registry in _REGISTRIES)
_SENTINEL = tuple(f"{registry}coollabsio/sentinel" for registry in _REGISTRIES)
# Since v4.3.0. Both are in the home directory of the user that Coolify's ssh logs in as.
_BUILDX = "/root/.docker/buildx:/root/.docker/buildx:rw"
_REGISTRY_LOGIN = "/root/.docker/config.json:/root/.docker/config.json:ro"
_HOST_GATEWAY = ("host.docker.internal:host-gateway",)
_PROXY_LABELS = {"coolify.proxy": "true"}

_SHAPES = (
    # With "Use Docker Build Secrets", an app's variables of build time become variables of the
    # helper. Their names and values are the app's. Only those that Coolify itself sets are free: an
    # app of a tenant must not set BASH_ENV. generate_docker_env_flags_for_secrets in the same file.
    Shape(
        "coolify-helper",
        _HELPER,
        (f"{SOCKET}:rw",),
        {
            "mounts": (f"{SOCKET}:rw",),
            "optional_mounts": (_REGISTRY_LOGIN, _BUILDX),
            "env_free": (
                *("COOLIFY_BRANCH", "COOLIFY_BUILD_SECRETS_HASH", "COOLIFY_CONTAINER_NAME"),
                *("COOLIFY_FQDN", "COOLIFY_RESOURCE_UUID", "COOLIFY_URL", "SOURCE_COMMIT"),
            ),
            "name": "[a-z0-9]{24,}",  # new_public_id in bootstrap/helpers/shared.php
            "auto_remove": True,
            "ports": (),
            "without_labels": COMPOSE_LABELS,
        },
        source=f"{_COOLIFY}/app/Jobs/ApplicationDeploymentJob.php, prepare_builder_image",
    ),
    # The same image with a command of its own, and with a name that Docker chooses.
    Shape(
        "coolify-cleanup",
        _HELPER,
        (f"{SOCKET}:rw",),
        {
            "command": (
                *("docker", "buildx", "prune"),
                *("--builder", "coolify-railpack", "-af"),
            ),
            "mounts": (f"{SOCKET}:rw",),
            "optional_mounts": (_BUILDX,),
            "name": "[a-z]+_[a-z]+[0-9]?",
            "auto_remove": True,
            "ports": (),
            "without_labels": COMPOSE_LABELS,
        },
        source=f"{_COOLIFY}/app/Actions/Server/CleanupDocker.php",
    ),
    Shape(
        "coolify-sentinel",
        _SENTINEL,
        (f"{SOCKET}:rw",),
        {
            "mounts": (f"{SOCKET}:rw", "/data/coolify/sentinel:/app/db:rw"),
            "env_free": (
                *("COLLECTOR_ENABLED", "COLLECTOR_REFRESH_RATE_SECONDS"),
                *("COLLECTOR_RETENTION_PERIOD_DAYS", "DEBUG", "PUSH_ENDPOINT"),
                *("PUSH_INTERVAL_SECONDS", "TOKEN"),
            ),
            "name": "coolify-sentinel",
            "pid": "host",
            "extra_hosts": _HOST_GATEWAY,
            "auto_remove": False,
            "labels": {"coolify.managed": "true"},
            "ports": (),
            "without_labels": COMPOSE_LABELS,
        },
        usual={
            HEALTHCHECK: {
                "Test": ["CMD-SHELL", "curl --fail http://127.0.0.1:8888/api/health || exit 1"],
                "Interval": 10_000_000_000,  # nanoseconds
                "Retries": 3,
            }
        },
        source=f"{_COOLIFY}/app/Actions/Server/StartSentinel.php",
    ),
    Shape(
        "coolify-proxy",
        ("docker.io/library/traefik",),
        (f"{SOCKET}:ro",),
        {
            "mounts": (f"{SOCKET}:ro", "/data/coolify/proxy:/traefik:rw"),
            "name": "coolify-proxy",
            "extra_hosts": _HOST_GATEWAY,
            "auto_remove": False,
            "labels": {**_PROXY_LABELS, PROJECT_DIR: "/data/coolify/proxy"},
        },
        recorded=True,
        source=f"{_COOLIFY}/bootstrap/helpers/proxy.php and app/Actions/Proxy/StartProxy.php",
    ),
    Shape(
        "coolify-proxy-caddy",
        ("docker.io/lucaslorentz/caddy-docker-proxy",),
        (f"{SOCKET}:ro",),
        {
            "mounts": (
                f"{SOCKET}:ro",
                *(
                    f"/data/coolify/proxy/caddy/{name}:/{name}:rw"
                    for name in ("dynamic", "config", "data")
                ),
            ),
            "name": "coolify-proxy",
            "extra_hosts": _HOST_GATEWAY,
            "auto_remove": False,
            "labels": {**_PROXY_LABELS, PROJECT_DIR: "/data/coolify/proxy/caddy"},
        },
        recorded=True,
        source=f"{_COOLIFY}/bootstrap/helpers/proxy.php and proxyPath in app/Models/Server.php",
    ),
    Shape(
        "node-exporter",
        ("quay.io/prometheus/node-exporter", "docker.io/prom/node-exporter"),
        ("/:/host:ro",),
        {
            "mounts": ("/:/host:ro",),
            "network": "host",
            "pid": "host",
            "capabilities": ("SYS_TIME", "CAP_SYS_TIME"),  # Docker 20.10 writes the longer name
            # A tenant's compose file could add hooks, which compose runs in the container.
            "without_labels": COMPOSE_LABELS,
        },
        recorded=True,
        source="https://github.com/prometheus/node_exporter/blob/v1.9.1/README.md, Docker",
    ),
    # Programs that manage or read the node's Docker, started by compose or by docker run.
    # Everything of them is recorded from a container.
    Shape(
        "docker-socket",
        (
            *("docker.io/library/traefik", "docker.io/portainer/portainer-ce"),
            *("docker.io/portainer/portainer-ee", "docker.io/portainer/agent"),
            *("docker.io/containrrr/watchtower", "docker.io/nickfedor/watchtower"),
            *("docker.io/amir20/dozzle", "docker.io/lucaslorentz/caddy-docker-proxy"),
            *("docker.io/nginxproxy/nginx-proxy", "docker.io/nginxproxy/docker-gen"),
            *("docker.io/nginxproxy/acme-companion", "docker.io/jwilder/nginx-proxy"),
        ),
        (f"{SOCKET}:ro", f"{SOCKET}:rw"),
        recorded=True,
        source="https://github.com/traefik/traefik, and so on: each image's README",
    ),
    # Everything of it is recorded from a running container, and the project must be the same.
    Shape(
        "compose",
        (),
        (),
        recorded=True,
        source="https://github.com/docker/compose/blob/v2.38.2/pkg/api/labels.go",
    ),
)
SHAPES = {shape.name: shape for shape in _SHAPES}


def shapes_of(image: str) -> tuple[Shape, ...]:
    """Return the shapes that an image of this name may have."""
    return tuple(shape for shape in _SHAPES if repository(image) in shape.repositories)

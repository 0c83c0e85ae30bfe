"""Twelve apps of Docker Compose on two nodes, as people run them: none of them names a runtime."""

from collections.abc import Mapping

from tests.node.audits import sh
from tests.node.dispatching import import_busybox
from tools.lab import LabNode

HOME = "/srv/apps"
SOCKET = "/var/run/docker.sock:/var/run/docker.sock:ro"
NODES = ("run-1.example.com", "run-2.example.com")
OUTSIDE = ("edge-proxy-1", "logs-viewer-1", "metrics-exporter-1")
"""What needs Docker's socket or the node's network."""

# Keeps what it finds, so that a lost volume is seen.
_KEEPS = "date > /data/first.new; [ -e /data/first ] || mv /data/first.new /data/first; "


def _app(service: str, image: str, *lines: str, keeps: bool = False) -> str:
    words = f"{_KEEPS if keeps else ''}exec sleep infinity"
    head = f"services:\n  {service}:\n    image: {image}\n    restart: always\n"
    own = "".join(f"    {line}\n" for line in lines)
    return f"{head}    command: [sh, -c, {words!r}]\n    stop_grace_period: 0s\n{own}"


VOLUME = "volumes: ['data:/data']"
DATA = "volumes: {data: {}}\n"
APPS: Mapping[str, Mapping[str, str]] = {
    NODES[0]: {
        "edge": _app(
            *("proxy", "traefik:v3", f"volumes: ['{SOCKET}']", "ports: ['8080:80']"),
            *("security_opt: ['no-new-privileges:true']", "init: true", "dns: ['192.0.2.53']"),
        ),
        "shop": _app("db", "postgres:17", VOLUME, keeps=True) + DATA,
        "wiki": _app("web", "wikijs:2", VOLUME, keeps=True) + DATA,
        "site": _app("web", "nginx:1", "volumes: ['./html:/html:ro']", "ports: ['8081:80']"),
        "cache": _app("redis", "redis:8", "sysctls: {net.core.somaxconn: 1024}"),
        "mail": _app("web", "mailer:1", "environment: {SMTP_HOST: mail.example.com}"),
    },
    NODES[1]: {
        "metrics": _app(
            *("exporter", "quay.io/prometheus/node-exporter:v1"),
            *("network_mode: host", "pid: host", "volumes: ['/:/host:ro']"),
        ),
        "logs": _app("viewer", "amir20/dozzle:v8", f"volumes: ['{SOCKET}']", "tmpfs: /run"),
        "git": _app("web", "gitea:1", VOLUME, "ports: ['8082:3000']", keeps=True) + DATA,
        "chat": _app("web", "matrix:1", VOLUME, "mem_limit: 256m", keeps=True) + DATA,
        "queue": _app("worker", "worker:1", "init: true", "read_only: true", "tmpfs: /tmp"),
        "photos": _app("web", "photos:1", "volumes: ['./photos:/photos']", "user: '1000'"),
    },
}


def bring_apps(nodes: Mapping[str, LabNode]) -> None:
    """Start all apps, under runc."""
    for name, apps in APPS.items():
        node = nodes[name]
        import_busybox(node, "base:1")
        for app, text in apps.items():
            image = text.partition("image: ")[2].partition("\n")[0]
            sh(node, f"docker tag base:1 {image}; mkdir -p {HOME}/{app}/html {HOME}/{app}/photos")
            node.put(f"{HOME}/{app}/compose.yaml", text.encode())
        ups = "docker compose --progress quiet --project-directory"
        sh(node, f"for app in {HOME}/*/; do {ups} $app up -d; done")


def kept(nodes: Mapping[str, LabNode]) -> list[str]:
    """Return what the volumes of all apps hold."""
    look = "cat /var/lib/docker/volumes/*_data/_data/first"
    return [line for name in NODES for line in sh(nodes[name], look).splitlines()]

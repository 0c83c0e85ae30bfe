"""What Coolify does on a run node: apps from their compose files, and a reverse proxy for them."""

import json
from pathlib import Path
from typing import Any

from tests.coolify.host import DATA, NETWORK, App
from tests.node.containers import must
from tools.lab import LabNode

IMAGE = "stand-in/app:1"
PROXY = "coolify-proxy"
ANSWER_TIMEOUT_S = 10

_HERE = Path(__file__).parent.parent / "coolify" / "run"
_PROXY = f"{DATA}/proxy"
_REMOVE = """
docker ps -aq --filter label=coolify.managed=true | xargs -r docker rm -f
docker network ls -q --filter name=^coolify$ | xargs -r docker network rm
rm -rf /data/coolify
"""


def have_platform(node: LabNode) -> None:
    """The apps' image, the network ``coolify``, and a Caddy in a runc container before them."""
    for path in _HERE.iterdir():
        node.put(f"{_PROXY}/{path.name}", path.read_bytes())
    must(node, "sh", f"{_PROXY}/platform.sh", _PROXY, IMAGE, NETWORK, PROXY)


def remove_platform(node: LabNode) -> None:
    """Remove the apps, the proxy, their network and their files."""
    must(node, "sh", "-euc", _REMOVE)


def app(uuid: str, **known: Any) -> App:
    """An app that answers HTTP on port 8000 with what it knows about itself."""
    return App(uuid, IMAGE, **known)


def up(node: LabNode, app: App, compose_file: str) -> None:
    """Do what a deployment does at its end: ``docker compose up`` in the app's directory."""
    directory = f"{DATA}/applications/{app.uuid}"
    node.put(f"{directory}/docker-compose.yaml", compose_file.encode())
    node.put(f"{directory}/.env", f"SERVICE_NAME={app.name}\n".encode())
    where = ("--project-directory", directory, "-f", f"{directory}/docker-compose.yaml")
    must(node, "docker", "compose", "-p", app.uuid, *where, "up", "-d", "--remove-orphans")


def ask(node: LabNode, name: str, *, peer: str | None = None) -> dict[str, Any]:
    """
    Return the answer of the app ``name`` through the proxy, once there is one.

    The answer has the app's ``host`` and ``kernel``. With ``peer`` the app asks that app by name
    and puts its answer into ``peer``.
    """
    url = f"http://127.0.0.1/?ask={peer}" if peer else "http://127.0.0.1/"
    retry = ("--retry", "50", "--retry-delay", "0", "--retry-all-errors")
    until = ("--retry-max-time", f"{ANSWER_TIMEOUT_S}", "--max-time", f"{ANSWER_TIMEOUT_S}")
    ran = must(node, "curl", "-fsS", *retry, *until, "-H", f"Host: {name}", url)
    answer: dict[str, Any] = json.loads(ran)
    return answer

"""A node on which a container called ``coolify`` behaves like Coolify's, and how it is driven."""

import base64
import itertools
import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.coolify.image import HTML, WWW_DATA, image_changes, image_tar
from tools.lab import LabNode, Ran

CONTAINER = "coolify"
DATA = "/data/coolify"
SOURCE = f"{DATA}/source"
REGISTRY = "localhost"
"""Where the image is said to come from, so that no Docker ever asks a real registry for it."""

PASSWORD = "hunter2-of-the-stand-in"  # noqa: S105  (nobody's)
"""In .env and in the container's environment, where nothing may carry it away from."""

NETWORK = "coolify"
HELPERS = f"/{HTML}/bootstrap/helpers/docker.php"
JOBS = f"/{HTML}/storage/jobs"
VERSIONS = {
    "4.3.11": "v4_3_11",
    "4.0.0-beta.202": "beta202",
    "4.0.0-beta.225": "beta225",
    "4.4.0": "native",
}
"""Which text of docker.php a version has; the first is the one that a host begins with."""

RESULT_TIMEOUT_S = 30
START_TIMEOUT_S = 60

_HERE = Path(__file__).parent
_CDN = "/opt/stand-in-cdn"
_DIRECTORIES = ("source", "ssh", "applications", "databases", "backups", "services", "proxy")
_ENV = f"APP_NAME=Coolify\nREGISTRY_URL={REGISTRY}\nDB_PASSWORD={PASSWORD}\n"
_jobs = itertools.count(1)

_IMPORT = 'docker import {changes} "$1" "$2" > /dev/null && rm "$1"'
_SUBMIT = 'printf %s "$2" | base64 -d > "$1.new" && mv "$1.new" "$1.job"'
_COLLECT = """
left=$2
while [ ! -e "$1.json" ]; do
    left=$((left - 1))
    if [ "$left" -lt 0 ]; then echo 'no result in time' >&2; exit 1; fi
    sleep 0.05
done
cat "$1.json"
"""


@dataclass(frozen=True)
class App:
    """What Coolify knows about an application that it deploys as a container of its own."""

    uuid: str
    image: str
    id: int = 1
    name: str = "web"
    ports: Sequence[str] = ("8000",)
    volumes: Sequence[str] = ("/usr:/usr:ro",)
    network: str = NETWORK
    deployment: str = "094512345678"

    @property
    def container_name(self) -> str:
        """As Coolify's generateApplicationContainerName: another one at every deployment."""
        return f"{self.uuid}-{self.deployment}"


@dataclass(frozen=True)
class ControlHost:
    """The stand-in on ``node``."""

    node: LabNode

    def prepare(self) -> None:
        """Have an image per version and Coolify's files, new ones; starts the first version."""
        self.remove()
        applets = self._must("busybox", "--list-full").split()
        for version, variant in VERSIONS.items():
            tar = "/root/coolify.tar"
            self.node.put(tar, image_tar(variant, applets=applets))
            changes = " ".join(f"--change {shlex.quote(x)}" for x in image_changes(version))
            self._must("sh", "-c", _IMPORT.format(changes=changes), "sh", tar, image_name(version))
        for name in ("docker-compose.yml", "docker-compose.prod.yml"):
            self.node.put(f"{_CDN}/{name}", (_HERE / name).read_bytes())
        self._must("mkdir", "-p", *(f"{DATA}/{name}" for name in _DIRECTORIES))
        self.node.put(f"{SOURCE}/upgrade.sh", (_HERE / "upgrade.sh").read_bytes(), mode=0o755)
        self.node.put(f"{SOURCE}/.env", _ENV.encode())
        # Both once, at the end of Coolify's scripts/install.sh
        self._must("chown", "-R", f"{WWW_DATA}:root", DATA)
        self._must("chmod", "-R", "700", DATA)
        started = self.upgrade(next(iter(VERSIONS)))
        if started.code != 0:
            raise RuntimeError(f"{self.node.name}: {started.stderr}")

    def upgrade(self, version: str, *, wait_s: int = START_TIMEOUT_S) -> Ran:
        """Coolify's own way to a version, also to the same one; waits until it answers."""
        if version not in VERSIONS:
            raise RuntimeError(f"no image of {version}: choose from {', '.join(VERSIONS)}")
        wait = f"WAIT_TIMEOUT_S={wait_s}"
        return self.node.exec("env", wait, "bash", f"{SOURCE}/upgrade.sh", version)

    def restart(self) -> None:
        """``docker restart``, which ends what runs; returns when it answers again."""
        self._must("docker", "restart", CONTAINER)
        health = ("inspect", "--format", "{{.State.Health.Status}}", CONTAINER)
        until_s = time.monotonic() + START_TIMEOUT_S
        while self.node.exec("docker", *health).stdout.strip() != "healthy":
            if time.monotonic() > until_s:
                said = self.node.exec("docker", "logs", "--tail", "5", CONTAINER).stderr
                raise RuntimeError(f"{CONTAINER} on {self.node.name} does not answer: {said}")
            time.sleep(0.2)

    def deploy(self, options: str | None) -> dict[str, Any]:
        """The compose options that a deployment makes of an app's Custom Docker Run Options."""
        options_of: dict[str, Any] = self.result(self.submit(options))["options"] or {}
        return options_of  # an empty PHP array is [] in JSON

    def compose_file(self, app: App, options: str | None) -> str:
        """The docker-compose.yaml that a deployment of the app writes."""
        text: str = yaml.safe_dump(
            self.result(self.submit(options, app=app))["compose"], sort_keys=False
        )
        return text

    def submit(self, options: str | None, *, app: App | None = None, sleep_s: float = 0) -> str:
        """Hand a deployment, one that takes ``sleep_s``, to the Horizon worker; which one it is."""
        known = {**asdict(app), "container_name": app.container_name} if app else None
        job = json.dumps({"options": options, "app": known, "sleep_s": sleep_s})
        path = f"{JOBS}/{time.time_ns()}-{next(_jobs)}"
        self.inside("sh", "-c", _SUBMIT, "sh", path, base64.b64encode(job.encode()).decode())
        return path

    def result(self, job: str) -> dict[str, Any]:
        """What a deployment has made: the converted ``options``, and ``compose`` for an app."""
        looks = RESULT_TIMEOUT_S * 20
        found = json.loads(self.inside("sh", "-c", _COLLECT, "sh", job, str(looks)))
        if "error" in found:
            raise RuntimeError(f"{job}: {found['error']}")
        made: dict[str, Any] = found["result"]
        return made

    def is_running(self, job: str) -> bool:
        """Whether the worker has begun that deployment and not finished it."""
        return self.node.exec("docker", "exec", CONTAINER, "test", "-e", f"{job}.running").code == 0

    def horizon_pid(self) -> int | None:
        """The master's process on the node; None while there is none."""
        listing = self._must("docker", "top", CONTAINER, "-eo", "pid,args")
        for line in listing.splitlines():
            pid, _, command = line.strip().partition(" ")
            if command.strip() == "php artisan horizon":
                return int(pid)
        return None

    def terminate_horizon(self) -> None:
        """``php artisan horizon:terminate``, which does not wait."""
        self.inside("php", "artisan", "horizon:terminate")

    def source_bytes(self) -> bytes:
        """docker.php as it lies in the container."""
        return base64.b64decode(self.inside("base64", HELPERS))

    def write_source(self, content: bytes) -> None:
        """Another docker.php in the container, written as www-data, as if by hand."""
        write = 'printf %s "$2" | base64 -d > "$1"'
        self.inside("sh", "-c", write, "sh", HELPERS, base64.b64encode(content).decode())

    def container_id(self) -> str:
        """Another one after every upgrade, the same one after a restart."""
        return self._must("docker", "inspect", "--format", "{{.Id}}", CONTAINER).strip()

    def inside(self, *command: str) -> str:
        """The output of a command in the container, run as www-data."""
        return self._must("docker", "exec", CONTAINER, *command)

    def remove(self) -> None:
        """Away with the container, its network and all of Coolify's files; images stay."""
        self.node.exec("docker", "rm", "-f", CONTAINER)
        self.node.exec("docker", "network", "rm", NETWORK)
        self._must("rm", "-rf", DATA, _CDN)

    def _must(self, *command: str) -> str:
        ran = self.node.exec(*command)
        if ran.code != 0:
            raise RuntimeError(f"{' '.join(command)[:200]} on {self.node.name}: {ran.stderr}")
        return ran.stdout


def image_name(version: str) -> str:
    """What the image of a version is called on the control host."""
    return f"{REGISTRY}/coollabsio/coolify:{version}"

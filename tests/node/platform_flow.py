"""
What Coolify does on a run node, without any patch and without naming a runtime.

Its commands are those of v4.3.10: ``prepare_builder_image``, ``executeInDocker`` and
``start_by_compose_file`` of app/Jobs/ApplicationDeploymentJob.php, and bootstrap/helpers/proxy.php.
The images are ours: a helper with bash, Docker's client and Compose, and a proxy that is a busybox.
"""

import base64
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.node.audits import sh
from tests.node.dispatching import IMAGE, Ground, in_sandbox, program
from tests.node.egress_nodes import at_once
from tests.node.running import SENTRY, processes
from tests.node.watching import within
from tools.lab import LabNode, Ran

HELPER = "docker.io/coollabsio/coolify-helper:1.0.15"
PROXY = "traefik:v3.6"
NETWORK = "coolify"
UUID = "g8k0s4wk0c4ok8wcs0ksgoc4"  # of a deployment, as new_public_id makes them
WORKDIR = f"/artifacts/{UUID}"
PROJECT = "n4wo8cgcg0sk4gs0wkwwsc8o"
APP, SERVICE, DATABASE = f"{PROJECT}-094512345678", f"service-{PROJECT}", f"database-{PROJECT}"
TENANTS = (APP, SERVICE, DATABASE)
SOCKET = "/var/run/docker.sock:/var/run/docker.sock"
BUILDX = "/root/.docker/buildx:/root/.docker/buildx"
HELPER_OPTIONS = f"-d --network '{NETWORK}' --rm -v {BUILDX} -v {SOCKET}"
ALLOWED = "/srv/apps"
SETTLED_S = 30

# On the node with Compose 2: Debian 12 has the first one, which is a program in Python.
_MADE_ON = "docker-29"
_MAKE_HELPER = r"""
set -eu
tree=$(mktemp -d)
cd "$tree"
mkdir -p bin sbin usr/bin usr/local/bin tmp proc sys dev etc artifacts root/.docker/cli-plugins
cp "$(command -v busybox)" bin/busybox
bin/busybox --list | while read -r name; do
    [ -e "bin/$name" ] || ln -s busybox "bin/$name"
done
echo root:x:0:0:root:/root:/bin/bash > etc/passwd
cp "$(command -v tini-static)" sbin/tini
cp /bin/bash bin/bash
cp /usr/bin/docker usr/bin/docker
cp /usr/libexec/docker/cli-plugins/docker-compose root/.docker/cli-plugins/
for program in bin/bash usr/bin/docker root/.docker/cli-plugins/docker-compose; do
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do cp -L --parents "$library" .; done
done
chmod 755 .
tar -C "$tree" -czf /root/helper.tar.gz .
rm -rf "$tree"
"""
# docker/coolify-helper/Dockerfile
_HELPER_IS = (
    'ENTRYPOINT ["/sbin/tini","--"]',
    'CMD ["tail","-f","/dev/null"]',
    "WORKDIR /artifacts",
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV RAILPACK_VERSION=0.23.0",
)
_PROXY_IS = (
    f'ENTRYPOINT ["sh","-c","exec nc -ll -p 80 -e nc {APP} 8000","proxy"]',
    'CMD ["traefik"]',
)
# A new image with the same programs. $1: the image that it is made of, $2: its name.
_COMMIT = """
set -eu
from=$1
name=$2
shift 2
made=$(docker create "$from")
docker commit "$@" "$made" "$name" > /dev/null
docker rm "$made" > /dev/null
"""
_ASK = f"""\
#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
echo "app $(uname -v)"
wget -qO- http://{SERVICE}:8000/
wget -qO- http://{DATABASE}:5432/
"""
_IS_APP = (
    "mkdir -p /tmp/cgi-bin; echo $$ASK | base64 -d > /tmp/cgi-bin/ask; "
    "chmod 755 /tmp/cgi-bin/ask; exec httpd -f -p 8000 -h /tmp"
)
_IS_SERVICE = 'echo "service $$(uname -v)" > /tmp/index.html; exec httpd -f -p 8000 -h /tmp'
# It writes into its volume once, so that the answer tells whether the volume was kept.
_IS_DATABASE = (
    'if [ ! -e /data/index.html ]; then echo "database $$(uname -v)" > /data/index.html; fi; '
    "exec httpd -f -p 5432 -h /data"
)


def _service(name: str, kind: str, command: str, **more: Any) -> dict[str, Any]:
    return {
        "image": IMAGE,
        "container_name": name,
        "restart": "unless-stopped",
        "command": ["sh", "-c", command],
        "labels": {"coolify.managed": "true", "coolify.type": kind},
        "networks": [NETWORK],
        **more,
    }


APPS: dict[str, Any] = {
    "services": {
        "app": _service(
            *(APP, "application", _IS_APP),
            environment={"ASK": base64.b64encode(_ASK.encode()).decode()},
        ),
        "service": _service(SERVICE, "service", _IS_SERVICE),
        "database": _service(DATABASE, "database", _IS_DATABASE, volumes=["data:/data"]),
    },
    "networks": {NETWORK: {"external": True}},
    "volumes": {"data": {}},
}
PROXY_FILE: dict[str, Any] = {
    "services": {
        "traefik": {
            "container_name": "coolify-proxy",
            "image": PROXY,
            "restart": "unless-stopped",
            "extra_hosts": ["host.docker.internal:host-gateway"],
            "networks": [NETWORK],
            "ports": ["80:80"],
            "volumes": [f"{SOCKET}:ro", "/data/coolify/proxy:/traefik"],
            "command": ["--ping=true", "--providers.docker=true"],
            "labels": ["coolify.managed=true", "coolify.proxy=true"],
        }
    },
    "networks": {NETWORK: {"external": True}},
}


def have_images(ground: Ground) -> None:
    """Have the images and the network that Coolify meets on a run node."""
    sh(ground.nodes[_MADE_ON], _MAKE_HELPER)
    helper = ground.nodes[_MADE_ON].read("/root/helper.tar.gz")

    def have(name: str) -> None:
        node = ground.nodes[name]
        node.put("/root/helper.tar.gz", helper)
        changes = " ".join(f"--change {shlex.quote(change)}" for change in _HELPER_IS)
        sh(node, f"docker import {changes} /root/helper.tar.gz {HELPER}; rm /root/helper.tar.gz")
        commit(node, HELPER, PROXY, *_PROXY_IS)
        sh(node, f"mkdir -p {ALLOWED}/shop /data/coolify/proxy /root/.docker/buildx")
        sh(node, f"docker network inspect {NETWORK} || docker network create {NETWORK}")

    at_once(have, ground.nodes)


def commit(node: LabNode, source: str, name: str, *changes: str) -> None:
    """Have another image with the same programs under a name."""
    options = [word for change in changes for word in ("--change", change)]
    ran = node.exec("sh", "-c", _COMMIT, "sh", source, name, *options)
    assert ran.code == 0, ran.stderr


def image_id(node: LabNode, name: str) -> str:
    """Return the id that an image has on a node."""
    return sh(node, f"docker image inspect -f '{{{{.Id}}}}' {name}").strip()


@dataclass(frozen=True)
class Platform:
    """Coolify on one node."""

    ground: Ground
    name: str

    @property
    def node(self) -> LabNode:
        """Return the run node."""
        return self.ground.nodes[self.name]

    def run_helper(self, name: str = UUID) -> Ran:
        """Start a helper, as each deployment does."""
        self.node.exec("docker", "rm", "-f", name)
        return self.node.exec("sh", "-c", f"docker run --name {name} {HELPER_OPTIONS} {HELPER}")

    def stop_helper(self, name: str = UUID) -> None:
        """Stop a helper, as each deployment does in the end."""
        sh(self.node, f"docker stop --time=1 {name}")
        assert within(SETTLED_S, lambda: name not in processes(self.node))

    def in_helper(self, command: str) -> Ran:
        """Run a command in the helper."""
        return self.node.exec("docker", "exec", UUID, "bash", "-c", command)

    def put_in_helper(self, path: str, text: str) -> None:
        """Write a file in the helper."""
        encoded = base64.b64encode(text.encode()).decode()
        ran = self.in_helper(f"mkdir -p {WORKDIR}; echo '{encoded}' | base64 -d | tee {path}")
        assert ran.code == 0, ran.stderr

    def compose(self, project: str, path: str, *more: str) -> Ran:
        """Run Compose in the helper."""
        return self.in_helper(
            f"docker compose --project-name {project} --project-directory {WORKDIR} -f {path} "
            + " ".join(more or ("up", "--build", "-d"))
        )

    def deploy_apps(self) -> None:
        """Deploy an app, a service and a database."""
        started = self.run_helper()
        assert started.code == 0, started.stderr
        path = f"{WORKDIR}/docker-compose.yaml"
        self.put_in_helper(path, json.dumps(APPS))
        ran = self.compose(PROJECT, path)
        assert ran.code == 0, ran.stderr

    def start_proxy(self) -> None:
        """Start the proxy on the node, as Coolify does over SSH."""
        path = "/data/coolify/proxy/docker-compose.yml"
        self.node.put(path, json.dumps(PROXY_FILE).encode())
        words = ("--project-directory", "/data/coolify/proxy", "-f", path, "up", "-d")
        ran = self.node.exec(*_compose(self.node), *words)
        assert ran.code == 0, ran.stderr

    def routed(self) -> str:
        """Return what another machine reads from the app through the proxy."""
        outside = next(node for name, node in self.ground.nodes.items() if name != self.name)
        asked = ("curl", "-s", "--max-time", "5", f"http://{self.node.address}/cgi-bin/ask")
        found: list[str] = []

        def is_whole() -> bool:
            found.append(outside.exec(*asked).stdout)
            return len(found[-1].splitlines()) == len(TENANTS)

        within(SETTLED_S, is_whole)
        return found[-1]

    def look(self) -> "Seen":
        """Return where everything runs."""
        running = processes(self.node)
        return Seen(
            running,
            {name: in_sandbox(self.node, name) for name in TENANTS},
            {
                name: program(self.node, name) == SENTRY
                for name in ("coolify-proxy", UUID)
                if name in running
            },
            dict(self._runtimes()),
            self.in_helper("docker version -f '{{.Server.Os}}'").stdout.strip(),
            self.routed(),
        )

    def _runtimes(self) -> Iterator[tuple[str, str]]:
        look = "docker ps -q | xargs docker inspect -f '{{.Name}} {{.HostConfig.Runtime}}'"
        for line in sh(self.node, look).splitlines():
            name, runtime = line.removeprefix("/").split()
            yield name, runtime


def _compose(node: LabNode) -> tuple[str, ...]:
    has_second = node.exec("docker", "compose", "version").code == 0
    return ("docker", "compose") if has_second else ("docker-compose",)


@dataclass(frozen=True)
class Seen:
    """
    A node at a moment.

    + running: processes of the running containers
    + tenants: whether they are in gVisor
    + platform: the same of the proxy and the helper
    + runtimes: the runtimes that Docker was asked for
    + socket: what the helper reads from docker.sock
    + routed: what another machine reads through the proxy
    """

    running: Mapping[str, int]
    tenants: Mapping[str, bool]
    platform: Mapping[str, bool]
    runtimes: Mapping[str, str]
    socket: str
    routed: str

    @property
    def apps(self) -> dict[str, int]:
        """Return the processes of the tenant's containers."""
        return {name: self.running[name] for name in TENANTS}

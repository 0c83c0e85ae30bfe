"""Containers on a run node that serve files on published ports, and a client on another node."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import wrk
from tests.bench.measure import BenchError
from tests.bench.node import LAB_NAME, BenchNode
from tests.node.equipped import equipped
from tests.node.names_nodes import KINDS, RUNTIMES, prepare
from tools.lab import Lab, NodeSpec

SMALL, LARGE = "small", "large"
SIZES_BYTES = {SMALL: 1024, LARGE: 1024**2}
PORTS = {kind: 8000 + number for number, kind in enumerate(KINDS)}
CORKED = {kind: 8100 + number for number, kind in enumerate(KINDS)}
"""Ports with ``tcp_nopush`` (TCP_CORK), as in Debian's nginx.conf."""

_NODE = "run"
_NGINX = b"""\
daemon off;
worker_processes 2;
pid /tmp/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server {
        listen 8080;
        root /www;
    }
    server {
        listen 8081;
        tcp_nopush on;
        root /www;
    }
}
"""
_NGINX_PATH = "/opt/bench/nginx.conf"
_SERVE = "; ".join(
    (
        *(f"head -c {size} /dev/zero > /www/{file}" for file, size in SIZES_BYTES.items()),
        f"exec nginx -e stderr -c {_NGINX_PATH}",
    )
)
# The files are in the container's memory: reading the node's files is not measured.
_START = r"""
docker run -d --name "$1" --runtime "$1" --publish "$2:8080" --publish "$3:8081" --user 65534 \
    --tmpfs /tmp:mode=1777 --tmpfs /www:mode=1777 -v /usr:/usr:ro -v /opt/bench:/opt/bench:ro \
    names:1 sh -c "$4"
"""
_INSPECT = """docker inspect --format '{{.HostConfig.Runtime}} {{.State.Pid}}' "$1" """
_PROCESS = r"""tr '\0' ' ' < "/proc/$1/cmdline" """
_ASK = """
timeout 20 sh -c 'until curl -s -o /dev/null "$1"; do sleep 0.1; done' sh "$1"
curl -sS --max-time 10 -o /dev/null -w '%{http_code} %{size_download}' "$1"
"""


@dataclass(frozen=True)
class Pair:
    """The run node, with one container for each runtime and named like it, and the client."""

    run: BenchNode
    client: BenchNode

    def answers(self, kind: str, command: tuple[str, ...]) -> tuple[wrk.Answers, float]:
        """Return the client's answers and the run node's processor time in seconds."""
        before_ns = self.run.cpu_ns()
        ran = self.client.lab_node.exec(*command)
        cpu_s = (self.run.cpu_ns() - before_ns) / 1e9
        if ran.code != 0:
            raise BenchError(f"{kind}: wrk: exit {ran.code}\n{ran.stdout}{ran.stderr}")
        return wrk.answers(ran.stdout), cpu_s

    def check(self) -> None:
        """Raise ``BenchError`` unless each container has the stack of its row, and serves files."""
        for kind in KINDS:
            runtime, pid = self.run.shell(_INSPECT, kind).split()
            is_as_called(kind, runtime, self.run.shell(_PROCESS, pid))
            for file, size_bytes in SIZES_BYTES.items():
                said = self.client.shell(_ASK, self.url(kind, file))
                if said != f"200 {size_bytes}":
                    raise BenchError(f"{kind}: expected an answer of {size_bytes} bytes", got=said)

    def url(self, kind: str, file: str, *, ports: Mapping[str, int] = PORTS) -> str:
        """Return the URL of a container's file."""
        return f"http://{self.run.lab_node.address}:{ports[kind]}/{file}"

    def process(self, kind: str) -> str:
        """Return the pid on the node of a container's main process: nginx, or the sandbox."""
        return self.run.shell(_INSPECT, kind).split()[1]


def is_as_called(kind: str, runtime: str, process: str) -> None:
    """
    Raise ``BenchError`` unless a container has the runtime of its name and that network stack.

    ``process``: the command line of its main process on the node, nginx or a sandbox.
    """
    sandboxed = process.startswith("runsc-sandbox ")
    stack = [f"--network={RUNTIMES[kind]['network']}"] if kind in RUNTIMES else []
    found = [word for word in process.split() if word.startswith("--network=")]
    if runtime != kind or sandboxed != bool(stack) or found != stack:
        raise BenchError(f"{kind}: another runtime or network stack, got {runtime}, {process}")


@contextmanager
def pair_of_nodes() -> Iterator[Pair]:
    """Both nodes, and the containers on one; removed in the end, whatever happens."""
    lab = Lab(f"{LAB_NAME}-stacks")
    try:
        run, client = (
            BenchNode(node) for node in lab.up([NodeSpec(equipped("debian-13")), NodeSpec()])
        )
        client.install("wrk")
        client.lab_node.put(wrk.SCRIPT_PATH, wrk.SCRIPT)
        run.shell("systemctl mask --quiet nginx")  # only the program is needed
        run.install("nginx")
        run.lab_node.put(_NGINX_PATH, _NGINX)
        _deploy(run)
        for kind in KINDS:
            run.shell(_START, kind, str(PORTS[kind]), str(CORKED[kind]), _SERVE)
        yield Pair(run, client)
    finally:
        lab.down()


def _deploy(node: BenchNode) -> None:
    """Run the main job with both runtimes. After it no package can be installed."""
    with tempfile.TemporaryDirectory() as directory:
        ran = prepare({_NODE: node.lab_node}, Path(directory)).run(_NODE)
    if ran.code != 0:
        raise BenchError(f"the node did not converge:\n{ran.text}")

"""Containers on a run node that serve files on published ports, and a client on another node."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import BenchError
from tests.bench.node import BenchNode, new_nodes
from tests.node.equipped import equipped
from tests.node.names_nodes import KINDS, RUNTIMES, prepare
from tools.lab import NodeSpec

SMALL, LARGE = "small", "large"
SIZES_BYTES = {SMALL: 1024, LARGE: 1024**2}
PORTS = {kind: 8000 + number for number, kind in enumerate(KINDS)}

WRK_TIMEOUT_S = 30
WRK_SCRIPT_PATH = "/opt/bench/wrk.lua"
WRK_SCRIPT = b"""\
function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
    local said = '{"answers": %d, "bytes": %d, "failed": %d, "took_us": %d, '
        .. '"median_us": %d, "p99_us": %d}\\n'
    io.write(said:format(
        summary.requests, summary.bytes, failed, summary.duration,
        latency:percentile(50), latency:percentile(99)))
end
"""
"""Has no function that wrk would call for each request: that would be slower."""

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
}
"""
_NGINX_PATH = "/opt/bench/nginx.conf"
_FILES = "; ".join(f"head -c {size} /dev/zero > /www/{name}" for name, size in SIZES_BYTES.items())
_SERVE = f"{_FILES}; exec nginx -e stderr -c {_NGINX_PATH}"
# The files are in the container's memory: reading the node's files is not measured.
_START = r"""
docker run -d --name "$1" --runtime "$1" --publish "$2:8080" --user 65534 \
    --tmpfs /tmp:mode=1777 --tmpfs /www:mode=1777 -v /usr:/usr:ro -v /opt/bench:/opt/bench:ro \
    names:1 sh -c "$3"
"""
_INSPECT = """docker inspect --format '{{.HostConfig.Runtime}} {{.State.Pid}}' "$1" """
_PROCESS = r"""tr '\0' ' ' < "/proc/$1/cmdline" """
_ASK = """
timeout 20 sh -c 'until curl -s -o /dev/null "$1"; do sleep 0.1; done' sh "$1"
curl -sS --max-time 10 -o /dev/null -w '%{http_code} %{size_download}' "$1"
"""


@dataclass(frozen=True)
class Answers:
    """Results of a trial. ``size_bytes``: received bytes of all answers, headers included."""

    number: int
    size_bytes: int
    took_s: float
    median_ms: float
    p99_ms: float

    @classmethod
    def of(cls, output: str) -> "Answers":
        """Parse the output of ``WRK_SCRIPT``. Raise ``BenchError`` after errors or no answers."""
        last = output.strip().rpartition("\n")[2]
        try:
            said: dict[str, int] = json.loads(last)
        except ValueError as error:
            what = "expected the line of our script at the end of wrk's output"
            raise BenchError(f"{what}:\n{output}") from error
        if said["failed"] or not said["answers"]:
            raise BenchError(f"wrk got errors or no answer:\n{output}")
        times_ms = (said["median_us"] / 1e3, said["p99_us"] / 1e3)
        return cls(said["answers"], said["bytes"], said["took_us"] / 1e6, *times_ms)


def wrk(url: str, *options: str, duration_s: int) -> tuple[str, ...]:
    """Return the command; one thread is enough for a client on two cores."""
    command = ("wrk", "--threads=1", f"--duration={duration_s}s", f"--script={WRK_SCRIPT_PATH}")
    return ("timeout", str(WRK_TIMEOUT_S), *command, *options, url)


@dataclass(frozen=True)
class Pair:
    """The run node, with one container for each runtime and named like it, and the client."""

    run: BenchNode
    client: BenchNode

    def answers(self, command: tuple[str, ...]) -> tuple[Answers, float]:
        """Return the client's answers and the run node's processor time in seconds."""
        before_ns = self.run.cpu_ns()
        output = self.client.shell('"$@"', *command)
        return Answers.of(output), (self.run.cpu_ns() - before_ns) / 1e9

    def check(self) -> None:
        """Raise ``BenchError`` unless each container has the stack of its row, and serves files."""
        for kind in KINDS:
            runtime, pid = self.run.shell(_INSPECT, kind).split()
            is_as_called(kind, runtime, self.run.shell(_PROCESS, pid))
            for file, size_bytes in SIZES_BYTES.items():
                said = self.client.shell(_ASK, self.url(kind, file))
                if said != f"200 {size_bytes}":
                    raise BenchError(f"{kind}: expected an answer of {size_bytes} bytes", got=said)

    def url(self, kind: str, file: str) -> str:
        """Return the URL of a container's file."""
        return f"http://{self.run.lab_node.address}:{PORTS[kind]}/{file}"


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
    specs = NodeSpec(equipped("debian-13")), NodeSpec()
    with new_nodes("stacks", *specs) as (run, client):
        client.install("wrk")
        client.lab_node.put(WRK_SCRIPT_PATH, WRK_SCRIPT)
        run.shell("systemctl mask --quiet nginx")  # only the program is needed
        run.install("nginx")
        run.lab_node.put(_NGINX_PATH, _NGINX)
        # After it no package can be installed.
        with tempfile.TemporaryDirectory() as directory:
            ran = prepare({_NODE: run.lab_node}, Path(directory)).run(_NODE)
        if ran.code != 0:
            raise BenchError(f"the node did not converge:\n{ran.text}")
        for kind in KINDS:
            run.shell(_START, kind, str(PORTS[kind]), _SERVE)
        yield Pair(run, client)

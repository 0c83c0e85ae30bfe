"""
Measure what real programs do in gVisor: servers whose clients run under runc, and commands.

A container has its own copy of the node's programs, as an image of Debian has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.node import BenchNode, converge, new_nodes
from tests.bench.report import programs_table
from tests.bench.results import interleaved, measured_on
from tests.node.running import RELEASE
from tools.lab import FLAVOURS, NodeSpec

ROUNDS = 3
KINDS = ("runc", "runsc", "overlay")
RUNTIMES = {
    "runsc": {"network": "host"},
    "overlay": {"network": "host", "overlay": "self"},
}
PACKAGES = (
    "postgresql postgresql-contrib redis nginx-light php-fpm php-opcache wrk sysbench "
    "python3-venv gcc libc6-dev git"
)


_FUNCTIONS = (Path(__file__).parent / "programs.sh").read_text()


@dataclass(frozen=True)
class Program:
    """
    A row. ``does`` and ``serves`` are calls of functions of ``programs.sh``.

    With ``serves``, a server, ``does`` runs under runc and is given its address.
    """

    what: str
    does: str
    serves: str = ""


PROGRAMS = (
    Program("PostgreSQL, pgbench, transactions a second", "ask_postgres ''", "serve_postgres"),
    Program("PostgreSQL, pgbench, reads a second", "ask_postgres -S", "serve_postgres"),
    Program("the same with new connections", "ask_postgres '-S -C'", "serve_postgres"),
    Program("Redis, sets a second", "ask_redis set", "serve_redis"),
    Program("Redis, gets a second", "ask_redis get", "serve_redis"),
    Program("nginx, files of 1 KiB a second", "ask_web small", "serve_web"),
    Program(
        "PHP-FPM, pages of 50 files a second",
        "ask_web index.php",
        "serve_web -d opcache.enable=0",
    ),
    Program(
        "the same with OPcache",
        "ask_web index.php",
        "serve_web -d opcache.enable=1 -d opcache.validate_timestamps=0",
    ),
    Program("sysbench cpu, events a second", "compute"),
    Program("a new venv with pip, s", "install_pip"),
    Program("gcc, 30 files, s", "compile"),
    Program("git clone, 2,000 files, s", "clone"),
)

_IMAGE = """
docker image inspect programs:1 > /dev/null 2>&1 && exit
docker network create programs > /dev/null
tar -C / -c usr etc bin sbin lib lib64 --ignore-failed-read 2> /dev/null |
    docker import - programs:1 > /dev/null
"""
_RUN = 'docker run --rm --runtime "$1" programs:1 sh -c "$2"'
_SERVED = """
docker rm -f -v served > /dev/null 2>&1
docker run -d --name served --network programs --runtime "$1" programs:1 sh -c "$3" > /dev/null
address=$(docker inspect --format '{{.NetworkSettings.Networks.programs.IPAddress}}' served)
timeout 120 docker run --rm --network programs programs:1 sh -c "$2 $address" || docker logs served
"""


def measured(rounds: int) -> str:
    """Measure; return a description and a table."""
    about = measured_on(rounds)
    with new_nodes("programs", NodeSpec(FLAVOURS["debian-13"])) as (node,):
        node.install(PACKAGES)
        converge({"programs": node.lab_node}, gvisor_runtimes=RUNTIMES)
        node.shell(_IMAGE)
        rows = interleaved(partial(_round, node), KINDS, rounds)
        versions = node.versions("postgresql", "redis", "nginx", "php-fpm")
        about += f"; in the node {versions}, runsc {RELEASE}."
    return f"{about}\n\n{programs_table(rows, KINDS)}"


def _round(node: BenchNode, kinds: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """Run each program under each runtime; yield row, runtime and number."""
    for program in PROGRAMS:
        for kind in kinds:
            script = _SERVED if program.serves else _RUN
            calls = (f"{_FUNCTIONS}\n{call}" for call in (program.does, program.serves))
            said = node.shell(script, kind, *calls)
            yield program.what, kind, float(said.split()[-1])

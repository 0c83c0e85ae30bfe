"""
Measure the cost of the firewall.

A container on a run node sends to another node, receives from it and connects to it, with the rules
and without them in turn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyinfra_gvisor.parts.egress.files import LOAD, NFT, RULES
from pyinfra_gvisor.parts.egress.rules import TABLE
from tests.bench.machine import measured_on
from tests.bench.measure import BenchError
from tests.bench.node import LAB_NAME, BenchNode, converge
from tests.bench.results import Row
from tests.node.containers import remove_container, start_container
from tests.node.egress_nodes import PUBLIC, counted
from tests.node.running import CURRENT
from tools.lab import Lab, NodeSpec

ROUNDS = 15
TRANSFER_S = 2
TRIAL_TIMEOUT_S = 30
RUNTIMES = ("runc", "runsc")  # also the names of the containers
SIDES = ("through", "without")

DATAGRAM_BYTES = 64
PORT = 80
BURST = 200  # fewer new connections than the default rules allow in a burst
PAUSE_S = 1  # after this the rules allow as many again

_LOAD = f"sh {LOAD} {RULES}"
_DELETE = f"{NFT} 'add table {TABLE}; delete table {TABLE}'"  # works if the table exists or not
_ANSWERS = (Path(__file__).parents[1] / "node/egress_server.py").read_bytes()
_ANSWERS_PATH = "/opt/bench/egress_server.py"
_BURSTS = """
import socket, sys, time
address, port, times, pause_s = sys.argv[1], *map(int, sys.argv[2:])
rates = []
for _ in range(3):
    time.sleep(pause_s)
    began_s = time.perf_counter()
    for _ in range(times):
        with socket.create_connection((address, port)) as connection:
            connection.recv(9)
    rates.append(times / (time.perf_counter() - began_s))
print(sorted(rates)[1])
"""


@dataclass(frozen=True)
class Trial:
    """What a container runs, and how to read a number from its output."""

    what: str
    container: str
    command: tuple[str, ...]
    read: Callable[[str], float]
    is_goal: bool = True


@dataclass(frozen=True)
class Pair:
    """A node with the rules, and one that plays the internet."""

    run: BenchNode
    outside: BenchNode

    def measured(self, trial: Trial, *, through: bool) -> float:
        """Return a trial's number. Raise ``BenchError`` unless its packets passed the rules."""
        self.run.shell(_LOAD if through else _DELETE)
        docker = ("timeout", str(TRIAL_TIMEOUT_S), "docker", "exec", trial.container)
        ran = self.run.lab_node.exec(*docker, *trial.command)
        if ran.code != 0:
            raise BenchError(f"{trial.what}: exit {ran.code}\n{ran.stdout}{ran.stderr}")
        if through:
            met_all(counted(self.run.lab_node))
        return trial.read(ran.stdout)

    def restart_containers(self) -> None:
        """Start the containers again for another round: they end by themselves."""
        for runtime in RUNTIMES:
            remove_container(self.run.lab_node, runtime)
            start_container(self.run.lab_node, runtime, f"--runtime={runtime}")


def trials() -> list[Trial]:
    """Return the trials, in the order of the table."""
    iperf = ("iperf3", "--json", "--client", PUBLIC, "--time", str(TRANSFER_S))
    udp = ("--udp", "--bitrate", "0", "--length", str(DATAGRAM_BYTES))
    connect = ("python3", "-c", _BURSTS, PUBLIC, str(PORT), str(BURST), str(PAUSE_S))
    small, unit = f"UDP of {DATAGRAM_BYTES} bytes", "1000 a second"
    return [
        *(Trial(f"{name} sends TCP, Gbit/s", name, iperf, gbit_per_s) for name in RUNTIMES),
        *(
            Trial(f"{name} receives TCP, Gbit/s", name, (*iperf, "--reverse"), gbit_per_s)
            for name in RUNTIMES
        ),
        Trial(
            f"runc sends {small}, {unit}", "runc", (*iperf, *udp), thousands_per_s, is_goal=False
        ),
        *(
            Trial(f"{name} opens connections, {unit}", name, connect, thousands, is_goal=False)
            for name in RUNTIMES
        ),
    ]


def compare(rounds: int, *, load: float, tell: Callable[[str], None]) -> tuple[str, list[Row]]:
    """Measure; return a description and the results of each trial."""
    every = {
        trial: Row(trial.what, {side: [] for side in SIDES}, is_goal=trial.is_goal)
        for trial in trials()
    }
    with _pair() as pair:
        for number in range(1, rounds + 1):
            tell(f"rules, round {number} of {rounds}")
            pair.restart_containers()
            for trial, row in every.items():
                # The first of a pair may have an advantage: A B, B A, A B …
                for side in SIDES if number % 2 else SIDES[::-1]:
                    measured = pair.measured(trial, through=side == "through")
                    row.by_kind[side].append(measured)
        about = _describe(pair.run, rounds, load)
    return about, list(every.values())


def gbit_per_s(output: str) -> float:
    """Return gigabits received a second, as iperf3 reports them."""
    return float(json.loads(output)["end"]["sum_received"]["bits_per_second"]) / 1e9


def thousands_per_s(output: str) -> float:
    """Return thousands of datagrams received a second, as iperf3 reports them."""
    received = json.loads(output)["end"]["sum_received"]
    return float(received["packets"] - received["lost_packets"]) / float(received["seconds"]) / 1e3


def thousands(output: str) -> float:
    """Return the printed number in thousands."""
    return float(output) / 1e3


def met_all(counters: dict[str, int]) -> None:
    """Raise ``BenchError`` unless the rules saw new connections and blocked none."""
    stopped = {name for name, packets in counters.items() if name.startswith("drop_") and packets}
    if stopped or not counters["accept_internet"]:
        raise BenchError("the rules saw no connection, or blocked one", got=counters)


@contextmanager
def _pair() -> Iterator[Pair]:
    """Yield two nodes, one with the default rules; remove both in the end, whatever happens."""
    lab = Lab(f"{LAB_NAME}-egress")
    try:
        run, outside = (BenchNode(node) for node in lab.up([NodeSpec(), NodeSpec()]))
        for node in (run, outside):
            node.install("iperf3")
        converge({"run": run.lab_node}, gvisor_egress={})
        outside.shell(f"ip address replace {PUBLIC}/32 dev lo")
        run.shell(f"ip route replace {PUBLIC} via {outside.lab_node.address}")
        outside.lab_node.put(_ANSWERS_PATH, _ANSWERS)
        _serve(outside, "iperf3", f"iperf3 --server --bind {PUBLIC}", 5201)
        _serve(outside, "answers", f"python3 {_ANSWERS_PATH} tcp/{PORT}", PORT)
        yield Pair(run, outside)
    finally:
        lab.down()


def _serve(node: BenchNode, name: str, command: str, port: int) -> None:
    listens = f"ss -Hltn 'sport = :{port}' | grep -q ."
    node.shell(f"systemd-run --quiet --collect --unit=bench-{name} {command}")
    node.shell(f'timeout 20 sh -c "until {listens}; do sleep 0.1; done"')


def _describe(node: BenchNode, rounds: int, load: float) -> str:
    versions = node.shell(
        "docker version --format '{{.Server.Version}}'; nft --version; iperf3 --version"
    ).split("\n")
    docker, nftables, iperf = versions[0], *(line.split()[1] for line in versions[1:3])
    return (
        f"{measured_on(rounds, load)}; in the nodes Docker {docker}, "
        f"nftables {nftables.lstrip('v')}, iperf {iperf}, runsc {CURRENT['gvisor_release']}."
    )

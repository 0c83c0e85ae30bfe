"""
Measure the cost of the firewall.

A container on a run node sends to another node, receives from it and connects to it, with the rules
and without them in turn.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pyinfra_gvisor.parts.egress.files import LOAD, NFT, RULES
from pyinfra_gvisor.parts.egress.rules import TABLE
from tests.bench.measure import BenchError
from tests.bench.node import BenchNode, converge, new_nodes
from tests.bench.report import rules_table
from tests.bench.results import interleaved, measured_on
from tests.node.containers import remove_container, start_container
from tests.node.egress_nodes import PUBLIC, counted
from tests.node.running import RELEASE
from tools.lab import NodeSpec

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


def trials() -> dict[str, tuple[str, tuple[str, ...], Callable[[str], float]]]:
    """Return by row a container, its command, and how to read a number from the output."""
    iperf = ("iperf3", "--json", "--client", PUBLIC, "--time", str(TRANSFER_S))
    udp = ("--udp", "--bitrate", "0", "--length", str(DATAGRAM_BYTES))
    connect = ("python3", "-c", _BURSTS, PUBLIC, str(PORT), str(BURST), str(PAUSE_S))
    unit = "1000 a second"
    reverse = (*iperf, "--reverse")
    return {
        **{f"{name} sends TCP, Gbit/s": (name, iperf, gbit_per_s) for name in RUNTIMES},
        **{f"{name} receives TCP, Gbit/s": (name, reverse, gbit_per_s) for name in RUNTIMES},
        f"runc sends UDP of {DATAGRAM_BYTES} bytes, {unit}": (
            "runc",
            (*iperf, *udp),
            thousands_per_s,
        ),
        **{f"{name} opens connections, {unit}": (name, connect, thousands) for name in RUNTIMES},
    }


def measured(rounds: int) -> str:
    """Measure; return a description and a table."""
    about = measured_on(rounds)
    with _run_node() as node:
        table = rules_table(interleaved(partial(_round, node), SIDES, rounds))
        versions = node.versions("nftables", "iperf3")
    return f"{about}; in the nodes {versions}, runsc {RELEASE}.\n\n{table}"


def _round(node: BenchNode, sides: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """Measure each trial in this order of sides; yield row, side and number."""
    for runtime in RUNTIMES:  # containers end by themselves
        remove_container(node.lab_node, runtime)
        start_container(node.lab_node, runtime, f"--runtime={runtime}")
    for what, (container, command, read) in trials().items():
        for side in sides:
            node.shell(_LOAD if side == "through" else _DELETE)
            output = node.shell(f'timeout {TRIAL_TIMEOUT_S} docker exec "$@"', container, *command)
            if side == "through":
                met_all(counted(node.lab_node))
            yield what, side, read(output)


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
def _run_node() -> Iterator[BenchNode]:
    """Yield a node with the default rules, with a route to another one that plays the internet."""
    with new_nodes("egress", NodeSpec(), NodeSpec()) as (run, outside):
        for node in (run, outside):
            node.install("iperf3")
        converge({"run": run.lab_node}, gvisor_egress={})
        outside.shell(f"ip address replace {PUBLIC}/32 dev lo")
        run.shell(f"ip route replace {PUBLIC} via {outside.lab_node.address}")
        outside.lab_node.put(_ANSWERS_PATH, _ANSWERS)
        _serve(outside, "iperf3", f"iperf3 --server --bind {PUBLIC}", 5201)
        _serve(outside, "answers", f"python3 {_ANSWERS_PATH} tcp/{PORT}", PORT)
        yield run


def _serve(node: BenchNode, name: str, command: str, port: int) -> None:
    listens = f"ss -Hltn 'sport = :{port}' | grep -q ."
    node.shell(f"systemd-run --quiet --collect --unit=bench-{name} {command}")
    node.shell(f'timeout 20 sh -c "until {listens}; do sleep 0.1; done"')

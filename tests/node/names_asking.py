"""Ask for names while something happens to a node, and read what its resolver holds."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.node.audits import sh
from tests.node.containers import must, remove_container
from tests.node.names_nodes import ADDRESS, ADDRESS6, UNIT, Ground
from tests.node.watching import TEXTFILES, within
from tools.lab import LabNode

ASKER = (Path(__file__).parent / "names_asker.py").read_text()
DIRECTORY = "/root/asked"
SETTLE_S = 120
TEXTFILE = f"{TEXTFILES}/pyinfra_gvisor_resolver.prom"
FILES = (
    "/opt/gvisor/resolver",
    f"/etc/systemd/system/{UNIT}.socket",
    f"/etc/systemd/system/{UNIT}.service",
    f"/etc/systemd/system/sockets.target.wants/{UNIT}.socket",
)

_ASKER = f"-v /usr:/usr:ro -v {DIRECTORY}:/asked names:1 python3 -c"
_START = f"""
set -eu
rm -rf {DIRECTORY}
mkdir {DIRECTORY}
docker run -d --name asker --network=red --runtime=gvisor {_ASKER} "$1" keep "$2" > /dev/null
"""
_HOLDING = f"""
set -eu
program=$(systemctl show --value --property=MainPID {UNIT}.service)
echo "$program"
find "/proc/$program/fd" -type l -printf '%l\\n' | sed 's/[0-9]*\\]*$//' | sort
lsns -n -t net | wc -l
findmnt -n -t nsfs | wc -l
"""


def asked_while(node: LabNode, job: Callable[[], object], host: str) -> dict[str, Any]:
    """Count each address that a name gives in a container before, during and after a job."""
    sh(node, _START, ASKER, host)
    try:
        sh(node, "sleep 5")
        job()
        sh(node, f"sleep 5; touch {DIRECTORY}/stop")
        assert within(60, lambda: node.exec("test", "-e", f"{DIRECTORY}/keep").code == 0)
        came: dict[str, Any] = json.loads(sh(node, f"cat {DIRECTORY}/keep"))
    finally:
        remove_container(node, "asker")
    return came


def asked(node: LabNode, container: str, *what: str) -> str:
    """Return the output of ``names_asker.py`` in a container."""
    ran = must(node, "docker", "exec", container, "python3", "-c", ASKER, *what)
    return ran.strip()


def program(node: LabNode) -> str:
    """Return the resolver's pid; 0 if it does not run."""
    return sh(node, f"systemctl show --value --property=MainPID {UNIT}.service").strip()


def holding(node: LabNode) -> str:
    """
    Return the resolver's pid, kinds of open files, and network namespaces.

    Of the namespaces: how many have a process, and how many Docker holds.
    """
    return sh(node, _HOLDING)


def settled(node: LabNode, wanted: str = "") -> str:
    """
    What the resolver holds as soon as it is as wanted, or at last; "" wants the same twice.

    Whenever a container comes or goes it asks Docker, over two more sockets while that takes.
    """
    until_s = time.monotonic() + SETTLE_S
    found = holding(node)
    while time.monotonic() < until_s:
        time.sleep(0.5)
        last, found = found, holding(node)
        if found == (wanted or last):
            break
    return found


def sockets(node: LabNode) -> str:
    """Return the resolver's sockets; of those in containers' namespaces only their count."""
    process = program(node)
    return sh(node, f"ss -Hanp | grep -wF pid={process} || :; ls -l /proc/{process}/fd")


def said(node: LabNode) -> str:
    """Return everything that this process of the resolver has logged."""
    return sh(node, f"journalctl -q -o cat _PID={program(node)}")


def peak_kib(node: LabNode) -> int:
    """Return the resolver's peak memory since its start, in KiB."""
    said = sh(node, f"grep VmHWM /proc/{program(node)}/status")
    return int(said.split()[1])


@contextmanager
def counting(ground: Ground, name: str) -> Iterator[LabNode]:
    """A node that is ready, and whose resolver writes down what it counts."""
    node = ground.ready(name)
    sh(node, f"mkdir -p {TEXTFILES}")
    ground.deploy(name, textfile_dir=TEXTFILES)
    try:
        yield node
    finally:
        ground.deploy(name)


def counted(node: LabNode) -> dict[str, int]:
    """Return the counters of such a node's resolver."""
    now = "/root/now"
    sh(node, f"touch {now}")
    assert within(60, lambda: node.exec("test", TEXTFILE, "-nt", now).code == 0)
    form = r'^gvisor_resolver_\w+_total\{\w+="(\w+)"\} (\d+)$'
    found = re.findall(form, sh(node, f"cat {TEXTFILE}"), re.MULTILINE)
    return {name: int(count) for name, count in found}


def left(node: LabNode) -> list[str]:
    """Return the files of the resolver that remain."""
    found = [path for path in FILES if node.exec("test", "-e", path).code == 0]
    units = sh(node, f"systemctl list-units --all --plain --no-legend '{UNIT}*'")
    on_loopback = sh(node, "ip -o address show lo")
    addresses = [address for address in (ADDRESS, ADDRESS6) if f" {address}/" in on_loopback]
    processes = node.exec("pgrep", "-af", "gvisor/resolver").stdout.splitlines()
    return [*found, *units.splitlines(), *addresses, *processes]

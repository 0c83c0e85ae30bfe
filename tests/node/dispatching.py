"""Nodes where gVisor is the default: a node for each Docker, and containers on them."""

import re
from collections.abc import Mapping
from pathlib import Path

from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from tests.node.audits import sh
from tests.node.egress_nodes import at_once
from tests.node.equipped import equipped, free_port_80
from tests.node.running import SENTRY, Deployed, Fleet, processes
from tests.node.transactions import FILE
from tests.node.turns import versions_of_turn
from tools.lab import LabNode, NodeSpec

SPECS = {
    "docker-20": NodeSpec(equipped("debian-12")),
    "docker-29": NodeSpec(equipped("debian-13-docker-29-containerd")),
}
KINDS = versions_of_turn(*SPECS)
NEWEST = KINDS[-1]
DIVERTING = {**SPECS, "docker-26": NodeSpec(equipped("debian-13"))}
"""Also with the runc of Debian 13."""
IMAGE = "busybox:1"
MARKS = "/run/pyinfra-gvisor/runtimes"
BY_NAME = "--runtime=runsc"
DEFAULT = {"default": "sandbox"}
# Somebody else's: a removal brings it back to the byte.
ORIGINAL = '{\n   "labels" : ["rack=7"],\n  "max-concurrent-downloads":4 }\n'

_PARITY = (Path(__file__).parent / "dispatch_parity.sh").read_text()
# Arguments: an image reference, and changes to its configuration.
_IMPORT = """
set -eu
tree=$(mktemp -d)
image=$1
shift
mkdir -p "$tree/bin" "$tree/tmp" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/etc" "$tree/root"
chmod 755 "$tree"
cp "$(command -v busybox)" "$tree/bin/busybox"
"$tree/bin/busybox" --list | while read -r name; do
    [ -e "$tree/bin/$name" ] || ln -s busybox "$tree/bin/$name"
done
tar -C "$tree" -c . | docker import "$@" - "$image" > /dev/null
rm -rf "$tree"
"""


class Ground(Deployed):
    """The nodes by their names in ``SPECS``."""

    @property
    def tried(self) -> dict[str, LabNode]:
        """Return the nodes whose turn it is."""
        return {kind: self.nodes[kind] for kind in KINDS}

    def ready(self, *names: str) -> dict[str, LabNode]:
        """Return nodes where gVisor is the default, whatever earlier tests have left."""
        if missing := [name for name in names if name not in self.known]:
            self.deploy(*missing, **DEFAULT)
            self.known.update(missing)
        return {name: self.nodes[name] for name in names}


def prepare(nodes: Mapping[str, LabNode], fleet: Fleet) -> Ground:
    """Prepare nodes that have never met us, with an image and somebody's daemon.json."""
    at_once(lambda name: _prepare(nodes[name]), nodes)
    return Ground(nodes, fleet)


def _prepare(node: LabNode) -> None:
    free_port_80(node)
    if node.exec("test", "-e", FILE).code != 0:
        node.put(FILE, ORIGINAL.encode())
        sh(node, "systemctl reload docker")
    if node.exec("docker", "image", "inspect", IMAGE).code != 0:
        import_busybox(node, IMAGE)


def import_busybox(node: LabNode, reference: str, *changes: str) -> None:
    """Have an image with a static busybox under this reference, with changes as in ``--change``."""
    options = [word for change in changes for word in ("--change", change)]
    ran = node.exec("sh", "-c", _IMPORT, "sh", reference, *options)
    assert ran.code == 0, ran.stderr


def start(node: LabNode, name: str, *options: str, command: tuple[str, ...] = ()) -> None:
    """Start a container, with no runtime named unless an option does."""
    run = ("docker", "run", "-d", "--name", name, *options, IMAGE)
    ran = node.exec(*run, *(command or ("sleep", "infinity")))
    assert ran.code == 0, ran.stderr


def kernel(node: LabNode, name: str) -> str:
    """Return the kernel's version as a running container sees it."""
    return sh(node, f"docker exec {name} uname -v").strip()


def program(node: LabNode, name: str) -> str:
    """Return the program that a running container's process is, seen from the node."""
    return sh(node, f"readlink /proc/{processes(node)[name]}/exe").strip()


def in_sandbox(node: LabNode, name: str) -> bool:
    """Return True if a running container is in gVisor, and fail if the two looks disagree."""
    inside, outside = kernel(node, name) == GVISOR_KERNEL, program(node, name) == SENTRY
    assert inside == outside, f"{name}: {kernel(node, name)}, {program(node, name)}"
    return outside


def outside_sandboxes(node: LabNode, word: str) -> list[str]:
    """Return the node's processes that have this word as an argument and are in no sandbox."""
    look = "for path in /proc/[0-9]*; do tr '\\000' ' ' < $path/cmdline 2> /dev/null && echo; done"
    lines = node.exec("sh", "-c", look).stdout.splitlines()
    return [line for line in lines if re.search(rf"(^| ){re.escape(word)}( |$)", line)]


def marks(node: LabNode) -> dict[str, str]:
    """Return the chosen runtime of each container, by its name; by its id if it is removed."""
    names = _words(node, "docker ps -a --no-trunc --format '{{.ID}} {{.Names}}'")
    found = _words(node, f"find {MARKS} -type l -printf '%f %l\\n'")
    return {names.get(id_, id_): target for id_, target in found.items()}


def _words(node: LabNode, command: str) -> dict[str, str]:
    """Return the output's lines of two words each, by the first one."""
    lines = [line.partition(" ") for line in sh(node, command).splitlines()]
    return {first: second for first, _, second in lines}


def lived_through(node: LabNode, short: str, *options: str) -> dict[str, str]:
    """
    Do with a container what people do (``dispatch_parity.sh``), and return what came of it.

    + short: a short name for the containers, which the results do not have
    + options: those of ``docker run``
    """
    ran = node.exec("sh", "-c", _PARITY, "sh", short, IMAGE, *options)
    assert ran.code == 0, ran.stderr
    parts = ran.stdout.removeprefix("== ").split("\n== ")
    return {part.split(" ", 1)[0]: part.split(" ", 1)[1].strip() for part in parts}

"""The roll-out of names, run once for all tests: output, changes, and what containers resolve."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.node.audits import sh
from tests.node.egress_nodes import at_once
from tests.node.names_nodes import COMPOSED, OUTSIDE, OUTSIDE_TOO, PAIRED, SPECS, Ground, containers
from tests.node.running import Outcome
from tests.node.seeing import snapshot
from tests.node.story import channels, count_channels
from tests.node.turns import versions_of_turn
from tools.lab import LabNode

RUN = versions_of_turn(*SPECS)
CALLED = {name: f"{name}-too" for names in PAIRED.values() for name in names} | COMPOSED
"""Containers on networks of users', and what else they are called there."""

BEYOND = {"name/outside.test": OUTSIDE, "name/nowhere.test": "unknown"}
LARGE = {
    "ask/udp/large.test": "0 truncated",
    "ask/edns/large.test": "30 whole",
    "ask/tcp/large.test": "30 whole",
}
FAR = {
    "red": ("blue-runc", "blue-gvisor", "blue-gvisor-too", "till-web-1", "web"),
    "blue": ("red-runc", "red-gvisor", "red-gvisor-too", "till-web-1", "web"),
    "inner": ("red-runc", "red-gvisor", "red-gvisor-too"),
}

Came = Mapping[str, str]
"""What came of what was asked (``names_probe.py``)."""


@dataclass(frozen=True)
class NamesStory:
    """By node: what the runs printed and changed, and what each container resolves."""

    ground: Ground
    dry: Outcome
    dry_changed: tuple[str, ...]
    rolled_out: Outcome
    second: Outcome
    second_changed: tuple[str, ...]
    channels: Mapping[str, int]
    addresses: Mapping[str, Mapping[str, str]]
    came: Mapping[str, Mapping[str, Came]]


def tell(ground: Ground) -> NamesStory:
    """Run the main job on all nodes together, then start the containers."""
    nodes = ground.nodes
    before = at_once(lambda name: whole(nodes[name]), RUN)
    dry = ground.run(*RUN, flags=("--dry", "--diff"))
    dry_changed = changed(nodes, before)
    rolled_out = ground.deploy(*RUN)
    at_once(ground.have_containers, RUN)
    opened = {name: count_channels(nodes[name]) for name in RUN}
    before = at_once(lambda name: whole(nodes[name]), RUN)
    second = ground.deploy(*RUN)
    opened = {name: channels(nodes[name]) - opened[name] for name in RUN}
    second_changed = changed(nodes, before)
    ground.known.update(RUN)
    where = at_once(lambda name: addresses(nodes[name]), RUN)
    came = at_once(lambda name: look(ground, name, where[name]), RUN)
    runs = (dry, dry_changed, rolled_out, second, second_changed)
    return NamesStory(ground, *runs, opened, where, came)


def look(ground: Ground, name: str, where: Mapping[str, str]) -> Mapping[str, Came]:
    """Return the answers to each container's questions."""
    known = expected(where)
    return {item: ground.probe(name, item, targets) for item, targets in known.items()}


def expected(where: Mapping[str, str]) -> dict[str, Came]:
    """Return the expected answers by question; ``where`` are the addresses of all containers."""
    found: dict[str, Came] = {}
    for network, names in (*PAIRED.items(), ("inner", tuple(COMPOSED))):
        for name in names:
            backs = {f"back/{where[peer]}": f"{peer}.{network}" for peer in names}
            beyond = BEYOND | LARGE if network in PAIRED else dict.fromkeys(BEYOND, "failed")
            unknown = "unknown" if network in PAIRED else "failed"
            found[name] = {
                **by_name("tcp", names),
                **(by_name("tcp6", names) if network == "red" else {}),
                **{f"name/{far}": unknown for far in FAR[network]},
                **backs,
                f"back/{where[name]}": name,  # from its /etc/hosts
                **beyond,
            }
    found["options"] = {
        **by_name("tcp", PAIRED["red"]),
        **dict.fromkeys(("name/outside.test", "name/www"), OUTSIDE_TOO),
    }
    found["bridged"] = {**dict.fromkeys(map("name/{}".format, CALLED), "unknown"), **BEYOND}
    return found


def by_name(kind: str, names: Iterable[str]) -> dict[str, str]:
    """Return which container answers at each name."""
    pairs = [(called, name) for name in names for called in (name, CALLED[name])]
    return {f"{kind}/{called}/80": name for called, name in pairs}


def addresses(node: LabNode) -> dict[str, str]:
    """The IPv4 address of each container on its network."""
    form = "{{.Name}}{{range .NetworkSettings.Networks}} {{.IPAddress}}{{end}}"
    said = sh(node, f"docker inspect --format '{form}' {' '.join(containers())}")
    pairs = (line.removeprefix("/").partition(" ") for line in said.splitlines())
    return {name: address for name, _, address in pairs}


def changed(nodes: Mapping[str, LabNode], before: Mapping[str, str]) -> tuple[str, ...]:
    """Return the nodes that have changed."""
    now = at_once(lambda name: whole(nodes[name]), before)
    return tuple(name for name in before if now[name] != before[name])


def whole(node: LabNode) -> str:
    """Return everything that a run could change, including the addresses of loopback."""
    return f"{snapshot(node)}\n{sh(node, 'ip -o address show lo')}"

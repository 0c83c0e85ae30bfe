"""What every part promises, asked of each of them, on nodes that have never met us."""

from collections.abc import Iterator
from typing import Any

import pytest

from pyinfra_gvisor.node import parse_node, state_script
from tests.node.audits import sh
from tests.node.conftest import LAB, SPECS, lab_of
from tests.node.equipped import equipped
from tests.node.planted import ASIDE, plant, uproot
from tests.node.running import CURRENT, Fleet, Outcome
from tests.node.seeing import snapshot
from tests.node.test_kernel import KEPT
from tests.table import table
from tools.lab import LabNode, NodeSpec

NODES = {
    "plain": SPECS["plain"],
    "fitted": NodeSpec(equipped("debian-13")),
    "sysvinit": SPECS["sysvinit"],
}
NAMES = {"gvisor": {"network": "sandbox", "dns": "docker"}}
DECLARED: dict[str, dict[str, Any]] = {
    "kernel": {"gvisor_kernel": KEPT},
    "resolver": {"gvisor_runtimes": {"runsc": {}, **NAMES}},
    "egress": {"gvisor_egress": {}},
    "watch": {"gvisor_watch": True},
}
"""What a host's data say to have one."""

DEPLOY = """
from importlib import import_module

from pyinfra import host

from pyinfra_gvisor.settings import load_settings

settings, problems = load_settings(host.data.dict())
assert settings, problems
steps = import_module("pyinfra_gvisor.operations.%s")
if host.data.wanted:
    steps.apply(settings)
else:
    steps.remove(None)
"""
UNITS = "/etc/systemd/system/"
CALLS = "/run/calls-of-mv"
# Whoever puts files of a part there is killed when it has put the first one in its place.
KILLER = f"""#!/bin/sh
case "$2" in
    %s)
        calls=$(($(cat {CALLS} 2> /dev/null || echo 0) + 1))
        echo "$calls" > {CALLS}
        if [ "$calls" = 2 ]; then kill -9 "$PPID"; exit 1; fi
        ;;
esac
exec {ASIDE}/mv "$@"
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Nodes of its own; on ``fitted`` is what parts need of a node."""
    with lab_of(f"{LAB}-fresh", NODES) as nodes:
        sh(nodes["fitted"], "mount --make-rshared /")
        for node in nodes.values():  # has the list of changes, which stays
            sh(node, "mkdir -m 0700 /var/lib/pyinfra-gvisor")
        yield Fleet(nodes, tmp_path_factory.mktemp("fresh"))


def found(node: LabNode, part: str) -> Any:
    """What is on a node of a part, as facts read it."""
    state = parse_node(sh(node, state_script()).rstrip("\n").split("\n"))
    told: Any = state.parts[part]
    if part == "egress":  # Docker lists its networks in no order
        told = told.model_copy(update={"networks": sorted(told.networks, key=repr)})
    return told


def have(fleet: Fleet, part: str, *, wanted: bool = True, dry: bool = False) -> Outcome:
    """A run of the part's operation, and nothing else."""
    deploy = fleet.directory / f"{part}.py"
    deploy.write_text(DEPLOY % part)
    flags = ("--dry", "--diff") if dry else ("-y",)
    data = {**CURRENT, **DECLARED[part], "wanted": wanted}
    return fleet.run("fitted", deploy=deploy, data=data, flags=flags)


@table(
    "name, settings, said",
    {
        "a-firewall-that-locks-out": (
            "plain",
            {"gvisor_egress": {"interfaces": ["eth*"]}},
            "the interface connects this node to its network",
        ),
        "a-firewall-without-systemd": (
            "sysvinit",
            DECLARED["egress"],
            "the egress firewall needs systemd on the node, got ",
        ),
        "metrics-for-nobody": (
            "plain",
            {"gvisor_watch": True, "gvisor_textfile_dir": "/srv/none"},
            "preflight: node on plain: /srv/none is not a directory; create this directory, or ",
        ),
        "a-resolver-without-its-python": (
            "plain",
            DECLARED["resolver"],
            "need Python's asyncio, which python3-minimal lacks, got Python 3.13",
        ),
        "a-value-that-the-kernel-refuses": (
            "plain",
            {"gvisor_kernel": {"sysctls": {**KEPT["sysctls"], "net.ipv4.tcp_syncookies": "many"}}},
            "kernel.surface: net.ipv4.tcp_syncookies on plain: the kernel refuses 'many'",
        ),
    },
)
def test_what_a_node_cannot_have_is_refused_before_the_first_change(
    fresh: Fleet, name: str, settings: dict[str, Any], said: str
) -> None:
    node = fresh.nodes[name]
    before = snapshot(node)

    outcome = fresh.run(name, data={**CURRENT, **settings})

    assert outcome.code == 1
    assert said in outcome.stderr
    assert snapshot(node) == before


def test_what_a_node_without_systemd_can_be_it_becomes(fresh: Fleet) -> None:
    first, second = fresh.run("sysvinit"), fresh.run("sysvinit")

    assert first.code == second.code == 0, first.text + second.text
    assert second.idle


@pytest.mark.parametrize("part", DECLARED)
def test_it_comes_as_foretold_stays_and_goes_without_a_trace(fresh: Fleet, part: str) -> None:
    node = fresh.nodes["fitted"]
    before = snapshot(node)

    dry = have(fresh, part, dry=True)
    after_dry = snapshot(node)
    first = have(fresh, part)
    there = (snapshot(node), found(node, part))
    second = have(fresh, part)
    still_there = (snapshot(node), found(node, part))
    going = have(fresh, part, wanted=False, dry=True)
    after_going = snapshot(node)
    gone = have(fresh, part, wanted=False)
    after = snapshot(node)
    nothing = have(fresh, part, wanted=False)

    assert [run.code for run in (dry, first, second, going, gone, nothing)] == [0] * 6, first.text
    assert after_dry == before
    assert lines(dry) == lines(first) != []
    assert there[1].there
    assert set(there[1].files) <= {path for path in there[0].split() if path.startswith("/")}
    assert "No changes" in second.stderr
    assert still_there == there == (after_going, there[1])
    assert lines(going) == lines(gone) != []
    assert after == before
    assert not found(node, part).there
    assert "No changes" in nothing.stderr


@pytest.mark.parametrize("part", DECLARED)
def test_what_somebody_did_to_it_is_told_and_mended(fresh: Fleet, part: str) -> None:
    node = fresh.nodes["fitted"]
    have(fresh, part)
    there = found(node, part)
    units = [path.rpartition("/")[2] for path in there.files if path.startswith(UNITS)]
    sh(node, f"systemctl disable --now {' '.join(units)}" if units else ":")
    for number, path in enumerate(there.files):
        sh(node, (f"echo '# mine' >> {path}", f"chmod 0777 {path}", f"rm {path}")[number % 3])
    damaged = found(node, part)

    dry = have(fresh, part, dry=True)
    mended = have(fresh, part)
    after, second = found(node, part), have(fresh, part)
    have(fresh, part, wanted=False)

    assert all(damaged.files.get(path) != there.files[path] for path in there.files)
    assert [path for path in there.files if path not in dry.stderr] == []
    assert mended.code == 0, mended.text
    assert after == there
    assert "No changes" in second.stderr


@pytest.mark.parametrize("part", DECLARED)
def test_one_that_was_killed_half_way_is_finished_by_the_next_run(fresh: Fleet, part: str) -> None:
    node = fresh.nodes["fitted"]
    before = snapshot(node)
    have(fresh, part)
    there = found(node, part)
    have(fresh, part, wanted=False)

    plant(node, KILLER % "|".join(there.files), "mv")
    killed = have(fresh, part)
    uproot(node, "mv")
    calls = sh(node, f"cat {CALLS}; rm {CALLS}").strip()
    half = found(node, part)
    finished = have(fresh, part)
    after = found(node, part)
    have(fresh, part, wanted=False)

    assert (killed.code, calls) == (1, "2")
    assert half != there
    assert finished.code == 0, finished.text
    assert after == there
    assert snapshot(node) == before


def lines(outcome: Outcome) -> list[str]:
    """What a run said about its node, results and differences apart."""
    said = [line.split("] ", 1)[1] for line in outcome.stderr.splitlines() if "[fitted] " in line]
    start = ("Success", "No changes", "Connected", "Ready", "+", "-", "@@", " ")
    return [line for line in said if not line.startswith(start)]

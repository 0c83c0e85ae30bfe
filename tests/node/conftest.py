"""Real nodes for tests: systemd, sshd and dockerd in containers, shared by all tests of a run."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.parts.keeper.files import NAME as KEEPER
from tests.node import (
    coolify_nodes,
    dispatching,
    egress_nodes,
    names_nodes,
    sharing,
    turns,
    versions,
)
from tests.node.archives import ArchiveServer, current_archive
from tests.node.containers import remove_container
from tests.node.coolify_nodes import Coolify
from tests.node.egress_nodes import Ground
from tests.node.faults import Faults
from tests.node.running import Fleet
from tests.node.story import Story, bring, served, tell
from tools.lab import FLAVOURS, Lab, LabNode, NodeSpec, lab_arch
from tools.lab.spec import OWN_ARCH

# Tests break what the keeper restores, and then look. It checks when they start it.
SLOW_KEEPER = {
    f"/usr/lib/systemd/system/{KEEPER}.timer.d/slow.conf": (
        b"[Timer]\nOnUnitActiveSec=\nOnActiveSec=1d\n",
        0o644,
    )
}
LAB = os.environ.get("GVISOR_TEST_LAB", "gvisor-test")
SPECS = {
    "plain": NodeSpec(FLAVOURS["debian-13"]),
    "lived-in": NodeSpec(FLAVOURS["debian-13"], lived_in=True),
    "docker-20": NodeSpec(FLAVOURS["debian-12"], lived_in=True),
    "docker-28": NodeSpec(FLAVOURS["debian-13-docker-28"], lived_in=True),
    "docker-29": NodeSpec(FLAVOURS["debian-13-docker-29-containerd"], lived_in=True),
    "sysvinit": NodeSpec(FLAVOURS["debian-13-sysvinit"]),
}
FAULTY = ("plain", "lived-in", "docker-20", "docker-29", "sysvinit")
PROVING = ("plain", "docker-20", "docker-29")
# The fixtures after the main job and before it, by the lab of who asks for "converged" or "fleet".
AFTER_MAIN_JOB = {"nodes": "brought", "proving": "proving"}
BEFORE_MAIN_JOB = {"nodes": "nodes", "proving": "proving"}


def pytest_report_header() -> str:
    """Say whose turn it is, which a run that is to fail again needs."""
    return f"{turns.SETTING}={turns.current()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark all tests in this folder: they need lab nodes, which are containers."""
    if lab_arch(os.environ) != OWN_ARCH:
        raise pytest.UsageError("GVISOR_LAB_ARCH is for tests/vm alone; unset it")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.node)
            sharing.check(item)
    versions.check(item for item in items if item.get_closest_marker("node"))
    turns.leave_to_others(config, items)
    # The main job first: it restarts the old sandboxes, which cost a twentieth of a core each.
    items.sort(key=lambda item: (sharing.place(item), item.path.name != "test_main_job.py"))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> sharing.ByLab:
    """With ``-n`` a lab's tests stay in one process."""
    return sharing.ByLab(config, log)


_BEFORE: list[Lab] = []


@contextmanager
def lab_of(
    name: str, specs: dict[str, NodeSpec], *, beside: bool = False
) -> Iterator[dict[str, LabNode]]:
    """
    Yield a lab that is new for this run, unless GVISOR_KEEP_LAB keeps the old one.

    Removes the lab before it: tests of one lab run together, so no test needs it any more.

    + beside: leave that one, because its tests go on
    """
    lab = Lab(name)
    keep = os.environ.get("GVISOR_KEEP_LAB") == "1"
    if not keep:
        while _BEFORE and not beside:
            _BEFORE.pop().down()
        lab.down()
        if not beside:
            _BEFORE.append(lab)
    try:
        made = lab.up(list(specs.values()))
        for node in made:
            node.put_files(SLOW_KEEPER)
        yield dict(zip(specs, made, strict=True))
    finally:
        if not keep:
            lab.down()


@pytest.fixture(scope="session")
def nodes() -> Iterator[dict[str, LabNode]]:
    """One node of each kind."""
    with lab_of(LAB, SPECS) as made:
        yield made


@pytest.fixture(scope="session")
def archive() -> Path:
    """Today's runsc in the layout of gVisor's archives."""
    return current_archive()


@pytest.fixture(scope="session")
def server(archive: Path, nodes: dict[str, LabNode]) -> Iterator[ArchiveServer]:
    """A server with the bucket's URL layout, reached by the lab's nodes only."""
    with ArchiveServer(archive, nodes.values()) as running:
        yield running


@pytest.fixture(scope="session")
def story(
    nodes: dict[str, LabNode], server: ArchiveServer, tmp_path_factory: pytest.TempPathFactory
) -> Story:
    """The main job, done before any other test has touched a node."""
    return tell(nodes, server, Fleet(nodes, tmp_path_factory.mktemp("fleet")))


@pytest.fixture(scope="session")
def brought(
    nodes: dict[str, LabNode], server: ArchiveServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, LabNode]:
    """Return the nodes after the main job; run it if no test has."""
    bring(nodes, Fleet(nodes, tmp_path_factory.mktemp("fleet")), served(server))
    return nodes


@pytest.fixture(scope="session")
def proving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, LabNode]]:
    """More nodes after the main job, for tests of the proof and of rollback."""
    with lab_of(f"{LAB}-proving", {name: SPECS[name] for name in PROVING}) as made:
        bring(made, Fleet(made, tmp_path_factory.mktemp("fleet")))
        yield made


@pytest.fixture
def converged(request: pytest.FixtureRequest) -> dict[str, LabNode]:
    """The nodes of the test's lab after the main job."""
    return _nodes(request, AFTER_MAIN_JOB)


@pytest.fixture
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Fleet:
    """Runs pyinfra on these nodes, as a user would, with an inventory made for the test."""
    return Fleet(_nodes(request, BEFORE_MAIN_JOB), tmp_path)


def _nodes(request: pytest.FixtureRequest, fixtures: dict[str, str]) -> dict[str, LabNode]:
    lab = sharing.lab_of_item(request.node)
    if lab not in fixtures:
        raise pytest.UsageError(f"{request.node.nodeid}: {lab} has no main job; make a fleet of it")
    found: dict[str, LabNode] = request.getfixturevalue(fixtures[lab])
    return found


@pytest.fixture(scope="session")
def faulty() -> Iterator[dict[str, LabNode]]:
    """
    Separate nodes for faults: nothing of this package was ever on them.

    One of them keeps its old sandbox, which costs a twentieth of a core as long as it runs.
    """
    with lab_of(f"{LAB}-faults", {name: SPECS[name] for name in FAULTY}) as made:
        for name in ("docker-20", "docker-29"):
            remove_container(made[name], "old-sandbox")
        yield made


@pytest.fixture(scope="session")
def coolify() -> Iterator[Coolify]:
    """A stand-in for Coolify's control host, and a run node that it deploys to."""
    with lab_of(f"{LAB}-coolify", coolify_nodes.SPECS) as made:
        yield coolify_nodes.prepare(made)


@pytest.fixture(scope="session")
def egress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Run nodes with every version of Docker, and one that plays what is outside of them."""
    with lab_of(f"{LAB}-egress", egress_nodes.SPECS) as made:
        yield egress_nodes.prepare(made, tmp_path_factory.mktemp("egress"))


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[names_nodes.Ground]:
    """Run nodes with sandboxes that have a network stack of their own."""
    with lab_of(f"{LAB}-names", names_nodes.SPECS) as made:
        yield names_nodes.prepare(made, tmp_path_factory.mktemp("names"))


@pytest.fixture(scope="session")
def dispatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dispatching.Ground]:
    """Nodes with every version of Docker, on which gVisor becomes the default."""
    with lab_of(f"{LAB}-dispatch", dispatching.SPECS) as made:
        yield dispatching.prepare(made, Fleet(made, tmp_path_factory.mktemp("dispatch")))


@pytest.fixture(scope="session")
def broken(
    faulty: dict[str, LabNode], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Faults]:
    """Nodes on which things go wrong, by name."""
    fleet = Fleet(faulty, tmp_path_factory.mktemp("faults"))
    known: dict[str, Faults] = {}

    def of(name: str) -> Faults:
        known.setdefault(name, Faults(fleet, name)).remember()
        return known[name]

    return of


@pytest.fixture
def faults(broken: Callable[[str], Faults]) -> Faults:
    """A lived-in node on which things go wrong."""
    return broken("lived-in")


@pytest.fixture
def plain(broken: Callable[[str], Faults]) -> Faults:
    """The same node without containers, for faults that end containers anyway."""
    return broken("plain")

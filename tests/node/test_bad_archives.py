"""Archives that must not be installed: a clear error, and an unchanged node."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.node.archives import ArchiveServer, sha512, small_members, write_archive
from tests.node.releases import RELEASES_DIR, Place
from tests.node.running import Fleet
from tests.node.seeing import no_leftovers, snapshot
from tests.table import table
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

WANTED = "20260914.0"
TOOLS = [
    pytest.param("lived-in", id="with curl", marks=pytest.mark.slow),
    pytest.param("docker-20", id="with wget"),
]


@pytest.fixture
def place(converged: dict[str, LabNode], fleet: Fleet) -> Iterator[Callable[[str], Place]]:
    """Places for the release, which are gone afterwards."""
    made: list[Place] = []

    def of(name: str) -> Place:
        made.append(Place(fleet, name, WANTED, {"gvisor_download_timeout_s": 1}))
        return made[-1]

    yield of
    for each in made:
        each.remove()


def a_good_one(place: Place, *, size_bytes: int = 1 << 16) -> Path:
    """An archive of the release with nothing against it, larger than this."""
    path = place.fleet.directory / "good.tar.bz2"
    return write_archive(path, small_members(WANTED, size_bytes=size_bytes))


# What can be wrong with an archive, and with the server: tests/unit, with the same scripts.
@pytest.mark.parametrize("name", TOOLS)
def test_an_archive_with_another_sum_is_refused_and_a_good_run_converges(
    place: Callable[[str], Place], server: ArchiveServer, name: str
) -> None:
    here = place(name)
    good = a_good_one(here)
    server.put(WANTED, good.read_bytes())
    before = snapshot(here.node)

    outcome = here.install(gvisor_source=server.source, gvisor_sha512={"x86_64": "a" * 128})
    after = snapshot(here.node)
    left = no_leftovers(here.node)
    second = here.install(gvisor_source=server.source, gvisor_sha512={"x86_64": sha512(good)})

    assert outcome.code == 1
    says = rf"gvisor\.release: {WANTED} on {name}: sha512 of http://\S+ is [0-9a-f]{{128}}, "
    assert re.search(f"{says}expected a{{128}}; check the mirror", outcome.stderr), outcome.text
    assert "; nothing was changed" in outcome.stderr
    assert (after, left) == (before, "")
    assert second.code == 0, second.text
    assert here.is_whole()


@pytest.mark.slow
@table("name", {"with curl": "lived-in", "with wget": "docker-20"})
@table("size_mib", {"in the download": 4, "in unpacking": 20})
def test_a_full_disk_is_named_and_leaves_nothing(
    place: Callable[[str], Place], server: ArchiveServer, name: str, size_mib: int
) -> None:
    here = place(name)
    good = a_good_one(here, size_bytes=12 << 20)
    server.put(WANTED, good.read_bytes())
    here.node.exec("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", RELEASES_DIR)

    outcome = here.install(gvisor_source=server.source, gvisor_sha512={"x86_64": sha512(good)})

    left = here.node.exec("ls", "-A", RELEASES_DIR).stdout
    here.node.exec("umount", RELEASES_DIR)
    assert outcome.code == 1
    says = rf"gvisor\.release: {WANTED} on {name}: .*no space is left in {RELEASES_DIR}"
    assert re.search(says, outcome.stderr), outcome.text
    assert left == ""


@pytest.mark.parametrize("name", ["lived-in", "docker-20"])
def test_afterwards_a_good_run_finds_nothing_to_do(fleet: Fleet, name: str) -> None:
    outcome = fleet.deploy(name)

    assert outcome.idle
    assert no_leftovers(fleet.nodes[name]) == ""

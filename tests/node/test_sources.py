"""Where a release comes from: each way onto a real node, and what a second run does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.node.archives import ArchiveServer, sha512, small_members, write_archive
from tests.node.releases import Place
from tests.node.running import Fleet
from tools.lab import LabNode

NEW = "20260928.0"

Placed = Callable[..., Place]


@pytest.fixture
def placed(converged: dict[str, LabNode], fleet: Fleet) -> Iterator[Placed]:
    """Places for releases, which are gone afterwards."""
    made: list[Place] = []

    def place(name: str, **data: object) -> Place:
        made.append(Place(fleet, name, NEW, data))
        return made[-1]

    yield place
    for each in made:
        each.remove()


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of August's layout."""
    directory = tmp_path_factory.mktemp("new")
    return write_archive(directory / "gvisor.tar.bz2", small_members(NEW, size_bytes=12 << 20))


def pin(path: Path) -> dict[str, dict[str, str]]:
    """The setting that names an archive's sum."""
    return {"gvisor_sha512": {"x86_64": sha512(path)}}


@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        pytest.param("lived-in", False, id="curl-no-range"),
        pytest.param("docker-20", True, id="wget-range"),
    ],
)
def test_a_download_that_breaks_off_is_resumed(
    placed: Placed, server: ArchiveServer, new: Path, name: str, ranges: bool
) -> None:
    half = new.stat().st_size // 2
    place = placed(name, gvisor_source=server.source, **pin(new))
    server.put(NEW, new.read_bytes(), dies=[half], ranges=ranges)
    server.requests.clear()

    outcome = place.install()

    assert outcome.code == 0, outcome.text
    assert place.is_whole()
    (_, first), (asked, second) = server.asked(NEW)
    assert 0 < first <= half
    assert asked is not None
    assert (second < new.stat().st_size) is ranges
    assert place.manifest()["sha512"] == {"gvisor.tar.bz2": sha512(new)}


def test_a_node_without_a_way_out_gets_it_from_the_controller_once(
    placed: Placed, new: Path, tmp_path: Path
) -> None:
    below = tmp_path / "mirror" / NEW / "x86_64"
    below.mkdir(parents=True)
    (below / "gvisor.tar.bz2").write_bytes(new.read_bytes())
    place = placed("lived-in", gvisor_source=str(tmp_path / "mirror"), **pin(new))
    route = place.node.exec("ip", "route", "show", "default").stdout.split()
    place.node.exec("ip", "route", "del", "default")

    try:
        outcome = place.install()
        second = place.install()
    finally:
        place.node.exec("ip", "route", "add", *route)

    assert outcome.code == 0, outcome.text
    assert place.is_whole()
    assert "upload gvisor" not in outcome.stderr  # how far it is, is for terminals
    assert second.code == 0, second.text
    assert second.stderr.count("No changes") == 1, second.text

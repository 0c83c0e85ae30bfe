"""Where a release comes from: each way onto a real node, and what a second run does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.archives import PATH, ArchiveServer, sha512, small_members, write_archive
from tests.node.old_runsc import loose_files
from tests.node.releases import Place
from tests.node.running import Fleet

NEW, LOOSE = "20260928.0", "20260817.0"

Placed = Callable[..., Place]


@pytest.fixture
def placed(converged: dict[str, LabNode], fleet: Fleet) -> Iterator[Placed]:
    """Places for releases, which are gone afterwards."""
    made: list[Place] = []

    def place(name: str, release: str = NEW, **data: object) -> Place:
        made.append(Place(fleet, name, release, data))
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


def assert_nothing_to_do(place: Place) -> None:
    """A second run changes nothing and says so."""
    outcome = place.install()
    assert outcome.code == 0, outcome.text
    assert outcome.stderr.count("No changes") == 1, outcome.text


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


def test_loose_files_are_installed_together(
    placed: Placed, nodes: dict[str, LabNode], server: ArchiveServer, tmp_path: Path
) -> None:
    files = loose_files(nodes["lived-in"], LOOSE, tmp_path)
    sums = {name: sha512(path) for name, path in files.items()}
    for name, path in files.items():
        server.put(LOOSE, path.read_bytes(), file=name)
    source = server.source.replace("gvisor.tar.bz2", "{file}")
    place = placed("docker-20", LOOSE, gvisor_source=source, gvisor_sha512={"x86_64": sums})

    outcome = place.install()

    assert outcome.code == 0, outcome.text
    assert place.is_whole()
    assert place.manifest()["sha512"] == sums
    assert_nothing_to_do(place)


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


def test_the_proxy_of_the_nodes_own_environment_file_is_used(
    placed: Placed, server: ArchiveServer, new: Path
) -> None:
    place = placed("docker-20", gvisor_source=f"http://mirror.invalid{PATH}", **pin(new))
    server.put(NEW, new.read_bytes())
    server.requests.clear()
    kept = place.node.exec("cat", "/etc/environment").stdout
    place.node.put("/etc/environment", f'{kept}http_proxy="{server.url}"\n'.encode())

    try:
        outcome = place.install()
    finally:
        place.node.put("/etc/environment", kept.encode())

    assert outcome.code == 0, outcome.text
    assert place.is_whole()
    assert [request.proxied for request in server.requests] == [True]


def test_an_url_like_githubs_is_enough(placed: Placed, server: ArchiveServer, new: Path) -> None:
    path = f"/google/gvisor/releases/download/release-{NEW}/gvisor-x86_64.tar.bz2"
    server.files[path] = server.put(NEW, new.read_bytes())
    template = path.replace(NEW, "{release}").replace("x86_64", "{arch}")
    place = placed("plain", gvisor_source=server.url + template, **pin(new))

    outcome = place.install()

    assert outcome.code == 0, outcome.text
    assert place.is_whole()
    assert place.manifest()["source"] == server.url + path

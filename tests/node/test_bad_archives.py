"""Archives that must not be installed: a clear error, and an unchanged node."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.archives import (
    ArchiveServer,
    sha512,
    small_members,
    write_archive,
)
from tests.node.releases import RELEASES_DIR, Place
from tests.node.running import Fleet, no_leftovers, snapshot
from tests.unit.programs import program

WANTED = "20260914.0"
FAST = {"wrong sha512", "path that leaves", "other architecture inside"}
NAMES = {"with curl": "lived-in", "with wget": "docker-20"}

Members = dict[str, bytes]


@dataclass(frozen=True)
class Bad:
    """What the server has in place of a good archive, and what the operator is told."""

    says: str
    change: Callable[[Members], Mapping[str, bytes]] = lambda members: members
    served: Mapping[str, Any] = field(default_factory=dict)
    pin: str | None = None


def with_file(name: str, body: bytes = b"x") -> Callable[[Members], Members]:
    """The members and another, or one replaced."""
    return lambda members: {**members, name: body}


# What is wrong with what is in it: tests/unit has the rest, with the same scripts.
BAD = {
    "wrong sha512": Bad(
        r"sha512 of http://\S+ is [0-9a-f]{128}, expected a{128}; check the mirror",
        pin="a" * 128,
    ),
    "connection breaks for good": Bad(
        r"cannot fetch http://\S+: exit code \d+, .* bytes, after 3 attempts",
        served={"dies_always": 1000},
    ),
    "server stalls": Bad(r"cannot fetch http://\S+: .*after 3 attempts", served={"stalls_at": 1}),
    "path that leaves": Bad(
        r"contains a path that leaves its directory: \.\./\.\./etc/cron\.d/x",
        with_file("../../etc/cron.d/x"),
    ),
    "other architecture inside": Bad(
        r"runsc in http://\S+ is built for aarch64, this node is x86_64",
        with_file("runsc", program("x", "aarch64")),
    ),
    "other version inside": Bad(
        r'calls itself "runsc version release-20200101\.0"',
        with_file("runsc", program("runsc version release-20200101.0\n")),
    ),
}


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


def cases() -> list[Any]:
    """Every bad archive; by curl and by wget what goes wrong on the way. Some are not slow."""
    return [
        pytest.param(
            bad,
            name,
            id=f"{id_}, {how}",
            marks=() if id_ in FAST and how == "with wget" else pytest.mark.slow,
        )
        for id_, bad in BAD.items()
        for how, name in NAMES.items()
        if bad.served or how == "with wget"
    ]


@pytest.mark.parametrize(("bad", "name"), cases())
def test_a_bad_archive_is_refused(
    place: Callable[[str], Place], server: ArchiveServer, bad: Bad, name: str
) -> None:
    here = place(name)
    path = here.fleet.directory / "gvisor.tar.bz2"
    write_archive(path, bad.change(small_members(WANTED, size_bytes=1 << 16)))
    server.put(WANTED, path.read_bytes(), **bad.served)
    before = snapshot(here.node)

    pin = {"x86_64": bad.pin or sha512(path)}
    outcome = here.install(gvisor_source=server.source, gvisor_sha512=pin)

    assert outcome.code == 1
    assert re.search(bad.says, outcome.stderr), outcome.text
    assert f"gvisor.release: {WANTED} on {name}: " in outcome.stderr
    assert "; nothing was changed" in outcome.stderr
    assert snapshot(here.node) == before
    assert no_leftovers(here.node) == ""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("lived-in", id="with curl", marks=pytest.mark.slow),
        pytest.param("docker-20", id="with wget"),
    ],
)
def test_a_404_with_an_xml_body_is_refused_and_a_good_run_converges(
    place: Callable[[str], Place], server: ArchiveServer, name: str
) -> None:
    here = place(name)
    good = a_good_one(here)
    server.put(WANTED, good.read_bytes())
    pin = {"x86_64": sha512(good)}
    nothing = server.source.replace("gvisor.tar.bz2", "nothing.tar.bz2")
    before = snapshot(here.node)

    outcome = here.install(gvisor_source=nothing, gvisor_sha512=pin)
    after = snapshot(here.node)
    second = here.install(gvisor_source=server.source, gvisor_sha512=pin)

    assert outcome.code == 1
    says = rf"gvisor\.release: {WANTED} on {name}: cannot fetch http://\S+: answers HTTP 404; check"
    assert re.search(says, outcome.stderr), outcome.text
    assert after == before
    assert second.code == 0, second.text
    assert here.is_whole()


def test_a_file_that_is_not_on_the_controller_is_refused(
    place: Callable[[str], Place], tmp_path: Path
) -> None:
    here = place("lived-in")
    before = snapshot(here.node)

    outcome = here.install(
        gvisor_source=f"{tmp_path}/no.tar.bz2", gvisor_sha512={"x86_64": "a" * 128}
    )

    assert outcome.code == 1
    assert "no such file on the controller, got " in outcome.stderr
    assert snapshot(here.node) == before


@pytest.mark.slow
def test_an_uploaded_file_with_the_wrong_sha512_is_refused_and_its_upload_removed(
    place: Callable[[str], Place], archive: Path
) -> None:
    here = place("lived-in")
    before = snapshot(here.node)

    outcome = here.install(gvisor_source=str(archive), gvisor_sha512={"x86_64": "b" * 128})

    assert outcome.code == 1
    assert re.search(r"sha512 of \S+ is [0-9a-f]{128}, expected b{128}; ", outcome.stderr), (
        outcome.text
    )
    assert snapshot(here.node) == before
    assert here.leftovers() == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lived-in", "docker-20"], ids=["with curl", "with wget"])
@pytest.mark.parametrize(
    "size_mib", [pytest.param(4, id="in the download"), pytest.param(20, id="in unpacking")]
)
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


@pytest.mark.slow
def test_a_node_without_bzip2_is_told_so_before_the_download(
    place: Callable[[str], Place], server: ArchiveServer
) -> None:
    here = place("lived-in")
    server.put(WANTED, a_good_one(here).read_bytes())
    server.requests.clear()
    here.node.exec("mv", "/usr/bin/bzip2", "/usr/bin/hidden")

    outcome = here.install(gvisor_source=server.source, gvisor_sha512={"x86_64": "a" * 128})

    here.node.exec("mv", "/usr/bin/hidden", "/usr/bin/bzip2")
    assert outcome.code == 1
    assert "bzip2 is not installed, but is needed to unpack" in outcome.stderr
    assert not server.requests


@pytest.mark.parametrize("name", ["lived-in", "docker-20"])
def test_afterwards_a_good_run_finds_nothing_to_do(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    outcome = fleet.run(name)

    assert outcome.code == 0, outcome.text
    assert outcome.idle
    assert no_leftovers(converged[name]) == ""

"""Archives that must not be installed: a clear error, and an unchanged node."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.archives import RELEASE, ArchiveServer, sha512, write_archive
from tests.node.running import DEBIAN, Fleet, no_leftovers, snapshot

WANTED = "20240728.0"  # not the one that is installed
SCRIPT = b"#!/bin/sh\necho runsc version release-20240728.0\n"


@dataclass(frozen=True)
class Bad:
    """What the server has in place of a good archive, and what the operator is told."""

    says: str
    members: Mapping[str, bytes]
    link: str | None = None
    break_it: Callable[[bytes], bytes] = lambda body: body
    pin: str | None = None
    truncated: bool = False


BAD = {
    "wrong sha512": Bad(
        r"sha512 of http://\S+ is [0-9a-f]{16}…, expected aaaaaaaaaaaaaaaa…; check the mirror",
        {"runsc": SCRIPT},
        pin="a" * 128,
    ),
    "truncated, as it is": Bad(
        r"cannot be read: |cannot be unpacked: ",
        {"runsc": SCRIPT * 4000},
        break_it=lambda body: body[:-40],
    ),
    "connection breaks": Bad(
        r"cannot fetch http://\S+: exit code \d+|sha512 of", {"runsc": SCRIPT}, truncated=True
    ),
    "path that leaves": Bad(
        r"holds a path that leaves its directory: \.\./\.\./etc/cron\.d/x",
        {"runsc": SCRIPT, "../../etc/cron.d/x": b"x"},
    ),
    "absolute path": Bad(
        r"holds a path that leaves its directory: /etc/cron\.d/x",
        {"runsc": SCRIPT, "/etc/cron.d/x": b"x"},
    ),
    "symbolic link": Bad(
        r"holds something that is neither file nor directory", {"runsc": SCRIPT}, link="gvisor-bin"
    ),
    "without runsc": Bad(r"holds no runsc; got README", {"README": b"hello"}),
    "other version inside": Bad(
        r'calls itself "runsc version release-20200101\.0"',
        {"runsc": SCRIPT.replace(b"20240728", b"20200101")},
    ),
    "other architecture inside": Bad(
        r'calls itself "', {"runsc": b"\x7fELF\x02\x01\x01" + bytes(57)}
    ),
}


def settings(source: str, pin: str) -> dict[str, Any]:
    return {
        **DEBIAN,
        "gvisor_release": WANTED,
        "gvisor_source": source,
        "gvisor_sha512": {"x86_64": pin},
    }


@pytest.mark.parametrize("name", ["lived-in", "docker-20"], ids=["with curl", "with wget"])
@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in BAD.items()])
def test_a_bad_archive_is_refused(
    converged: dict[str, LabNode],
    server: ArchiveServer,
    fleet: Fleet,
    bad: Bad,
    name: str,
) -> None:
    archive = write_archive(fleet.directory / "gvisor.tar.bz2", bad.members, link=bad.link)
    archive.write_bytes(bad.break_it(archive.read_bytes()))
    server.put(WANTED, archive.read_bytes(), truncated=bad.truncated)
    before = snapshot(converged[name])

    outcome = fleet.run(name, data=settings(server.source, bad.pin or sha512(archive)))

    assert outcome.code == 1
    assert re.search(bad.says, outcome.stderr), outcome.text
    assert f"gvisor.release: {WANTED} on {name}: " in outcome.stderr
    assert snapshot(converged[name]) == before


@pytest.mark.parametrize("name", ["lived-in", "docker-20"], ids=["with curl", "with wget"])
def test_a_404_with_an_xml_body_is_refused(
    converged: dict[str, LabNode], server: ArchiveServer, fleet: Fleet, name: str
) -> None:
    source = server.source.replace("gvisor.tar.bz2", "nothing.tar.bz2")
    before = snapshot(converged[name])

    outcome = fleet.run(name, data=settings(source, "a" * 128))

    assert outcome.code == 1
    assert re.search(rf"gvisor\.release: {WANTED} on {name}: .*404", outcome.stderr), outcome.text
    assert snapshot(converged[name]) == before


def test_a_file_that_is_not_on_the_controller_is_refused(
    converged: dict[str, LabNode], fleet: Fleet, tmp_path: Path
) -> None:
    before = snapshot(converged["lived-in"])

    outcome = fleet.run("lived-in", data=settings(f"{tmp_path}/no.tar.bz2", "a" * 128))

    assert outcome.code == 1
    assert "no such file on the controller, got " in outcome.stderr
    assert snapshot(converged["lived-in"]) == before


def test_an_uploaded_file_with_the_wrong_sha512_is_refused(
    converged: dict[str, LabNode], fleet: Fleet, archive: Path
) -> None:
    before = snapshot(converged["lived-in"])

    outcome = fleet.run("lived-in", data=settings(str(archive), "b" * 128))

    assert outcome.code == 1
    assert re.search(r"sha512 of \S+ is [0-9a-f]{16}…, expected b{16}…", outcome.stderr), (
        outcome.text
    )
    assert snapshot(converged["lived-in"]) == before


def test_a_full_disk_is_named_and_leaves_nothing(
    converged: dict[str, LabNode], server: ArchiveServer, fleet: Fleet, archive: Path
) -> None:
    node = converged["lived-in"]
    node.exec("mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", "/opt/gvisor/releases")
    good = {**settings(server.source, sha512(archive)), "gvisor_release": RELEASE}

    outcome = fleet.run("lived-in", data=good)

    left = node.exec("ls", "-A", "/opt/gvisor/releases").stdout
    node.exec("umount", "/opt/gvisor/releases")
    assert outcome.code == 1
    assert re.search(rf"gvisor\.release: {RELEASE} on lived-in: .*[Nn]o space", outcome.stderr), (
        outcome.text
    )
    assert left == ""


def test_a_node_without_bzip2_is_told_so_before_the_download(
    converged: dict[str, LabNode], server: ArchiveServer, fleet: Fleet
) -> None:
    node = converged["lived-in"]
    node.exec("mv", "/usr/bin/bzip2", "/usr/bin/hidden")

    outcome = fleet.run("lived-in", data=settings(server.source, "a" * 128))

    node.exec("mv", "/usr/bin/hidden", "/usr/bin/bzip2")
    assert outcome.code == 1
    assert "bzip2 is not there to unpack" in outcome.stderr


@pytest.mark.parametrize("name", ["lived-in", "docker-20"])
def test_afterwards_a_good_run_finds_nothing_to_do(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    outcome = fleet.run(name)

    assert outcome.code == 0, outcome.text
    assert outcome.stderr.count("No changes") == 5
    assert no_leftovers(converged[name]) == ""

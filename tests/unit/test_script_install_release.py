"""``releases/install.sh``: an archive is checked, unpacked and put into place, or nothing is."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.file_server import FileServer, Served
from tests.unit.programs import program
from tests.unit.release_script import MEMBERS, RUNSC, Machine, archive


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server on loopback."""
    with FileServer() as running:
        yield running


def _link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            archive({**MEMBERS, "../../out": b"x"}),
            "contains a path that leaves its directory: ../../out",
            id="dots",
        ),
        pytest.param(
            archive({**MEMBERS, "/tmp/pyinfra-gvisor-out": b"x"}),
            "contains a path that leaves its directory: /tmp/pyinfra-gvisor-out",
            id="absolute",
        ),
        pytest.param(
            archive(MEMBERS, _link("gvisor-bin/x", "../../../out", tarfile.SYMTYPE)),
            "contains something that is neither a file nor a directory: l",
            id="symlink",
        ),
        pytest.param(
            archive(MEMBERS, _link("gvisor-bin/x", "runsc", tarfile.LNKTYPE)),
            "contains something that is neither a file nor a directory: h",
            id="hard-link",
        ),
        pytest.param(
            archive(MEMBERS, _link("gvisor-bin/x", "", tarfile.FIFOTYPE)),
            "contains something that is neither a file nor a directory: p",
            id="fifo",
        ),
        pytest.param(
            archive({**MEMBERS, 'x"y': b"x"}),
            'contains a file name with characters that are not allowed: x"y',
            id="quote",
        ),
        pytest.param(archive()[:-60], "cannot be unpacked: ", id="truncated"),
        pytest.param(
            archive({"README": b"x"}), "does not contain runsc, got README;", id="no-runsc"
        ),
        pytest.param(
            archive({"runsc": RUNSC}),
            "does not contain containerd-shim-runsc-v1, got runsc;",
            id="no-shim",
        ),
        pytest.param(
            archive({"runsc": RUNSC, "containerd-shim-runsc-v1": b"x"}),
            "does not contain gvisor-bin/gvisor_sentry, got containerd-shim-runsc-v1 runsc;",
            id="no-sidecars",
        ),
        pytest.param(
            archive({**MEMBERS, "runsc": program("x", "aarch64")}),
            "is built for aarch64, this node is x86_64",
            id="other-machine",
        ),
        pytest.param(
            archive({**MEMBERS, "runsc": b"#!/bin/sh\n"}),
            "is not an ELF program, this",
            id="script",
        ),
        pytest.param(
            archive({**MEMBERS, "runsc": program("runsc version release-20200101.0\n")}),
            'calls itself "runsc version release-20200101.0"',
            id="other-release",
        ),
    ],
)
def test_an_archive_that_is_not_right_leaves_nothing(
    tmp_path: Path, server: FileServer, body: bytes, message: str
) -> None:
    machine = Machine(tmp_path / "in", server)
    machine.root.mkdir()

    said = machine.fetch(body)

    assert message in said
    assert said.endswith("; nothing was changed\n")
    assert not machine.releases.exists()
    assert not Path("/tmp/pyinfra-gvisor-out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_loose_files_become_executable(tmp_path: Path, server: FileServer) -> None:
    machine = Machine(tmp_path, server)
    words = []
    for name in ("runsc", "containerd-shim-runsc-v1"):
        server.files[f"/{name}"] = Served(MEMBERS[name])
        pin = hashlib.sha512(MEMBERS[name]).hexdigest()
        words += [name, pin, f"http://127.0.0.1:{server.port}/{name}", name]

    ran = machine.install(*words, sidecars="no")

    assert ran.returncode == 0, ran.stderr
    assert {path.name: path.stat().st_mode & 0o777 for path in machine.home.iterdir()} == {
        "runsc": 0o755,
        "containerd-shim-runsc-v1": 0o755,
        "manifest.json": 0o644,
    }
    assert list(machine.manifest()["sha512"]) == ["runsc", "containerd-shim-runsc-v1"]  # type: ignore[call-overload]


def test_what_killed_runs_left_behind_goes(tmp_path: Path, server: FileServer) -> None:
    machine = Machine(tmp_path, server)
    (machine.releases / ".staging-20250101.0" / "tree").mkdir(parents=True)

    machine.fetch()

    assert machine.is_whole()


def test_an_uploaded_archive_is_gone_afterwards(tmp_path: Path, server: FileServer) -> None:
    machine = Machine(tmp_path, server)
    upload = tmp_path / "upload"
    upload.write_bytes(archive())
    pin = hashlib.sha512(archive()).hexdigest()

    ran = machine.install("gvisor.tar.bz2", pin, str(upload), "/srv/x.tar.bz2", source="file")

    assert ran.returncode == 0, ran.stderr
    assert machine.is_whole()
    assert not upload.exists()

"""The lock: what this package knows of releases, and what is taken for a broken one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import escapes_in
from pyinfra_gvisor.releases.lock import DEFAULT, LOCK, known
from pyinfra_gvisor.releases.lockfile import PACKAGED, lock_text, read_lock
from tests.unit.commands import releases as main

NEW, OLD = "20260928.0", "20260831.0"
ARCHIVE = "gvisor.tar.bz2"

Break = Callable[[dict[str, Any]], object]


def test_no_known_checksum_is_of_a_release_with_a_known_escape() -> None:
    assert all(escapes_in(parse_release(release)) == () for release in LOCK["releases"])


def test_the_packaged_lock_has_no_fault_and_is_written_as_we_write_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["check"])

    assert (code, capsys.readouterr().err) == (0, "")
    assert PACKAGED.read_text() == lock_text(read_lock(PACKAGED))


def test_what_is_known_is_found_by_release_and_architecture() -> None:
    assert DEFAULT in LOCK["releases"]
    assert list(known(DEFAULT, "aarch64")) == [ARCHIVE]
    assert known(DEFAULT, "x86_64") != known(DEFAULT, "aarch64")
    assert known(DEFAULT, "riscv64") == known("20990101.0", "x86_64") == {}


def _entry(lock: dict[str, Any], release: str = NEW) -> dict[str, Any]:
    found: dict[str, Any] = lock["releases"][release]
    return found


def _sums(lock: dict[str, Any], release: str = NEW) -> dict[str, Any]:
    found: dict[str, Any] = _entry(lock, release)["sha512"]["x86_64"]
    return found


SUM = "a" * 128


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        pytest.param(
            lambda lock: _sums(lock).update({ARCHIVE: "a" * 127}),
            f"releases/{NEW}/sha512/x86_64/{ARCHIVE}: string should match pattern",
            id="short",
        ),
        pytest.param(
            lambda lock: _sums(lock).update({ARCHIVE: SUM + "\n"}),
            f"releases/{NEW}/sha512/x86_64/{ARCHIVE}: string should match",
            id="newline",
        ),
        pytest.param(
            lambda lock: _sums(lock).update({ARCHIVE: SUM.upper()}), "match pattern", id="capitals"
        ),
        pytest.param(
            lambda lock: _sums(lock).update({ARCHIVE: 1}), "a valid string, got 1", id="number"
        ),
        pytest.param(
            lambda lock: _entry(lock)["sha512"].pop("aarch64"),
            f"releases/{NEW}/sha512: must also have aarch64",
            id="one-architecture",
        ),
        pytest.param(
            lambda lock: _entry(lock)["sha512"].update(riscv64={}),
            f"releases/{NEW}/sha512/riscv64: input should be 'x86_64' or 'aarch64'",
            id="another-architecture",
        ),
        pytest.param(
            lambda lock: _entry(lock).pop("corroborated"),
            f"releases/{NEW}/corroborated: field required",
            id="not-corroborated",
        ),
        pytest.param(
            lambda lock: _entry(lock)["corroborated"].update(x86_64=" "),
            f"releases/{NEW}/corroborated/x86_64: string should match",
            id="corroborated-nowhere",
        ),
        pytest.param(
            lambda lock: _entry(lock).update(note="x"),
            f"releases/{NEW}/note: extra inputs are not permitted",
            id="unknown-key",
        ),
        pytest.param(
            lambda lock: lock["releases"].update({"20260907": _entry(lock)}),
            "releases/20260907: not a gVisor release, got 20260907",
            id="bad-name",
        ),
        pytest.param(
            lambda lock: lock["releases"].update({"20260907.00": _entry(lock)}),
            "releases/20260907.00: not the usual form of this release, got 20260907.00",
            id="leading-zero",
        ),
        pytest.param(lambda lock: lock.pop("default"), "default: field required", id="no-default"),
        pytest.param(
            lambda lock: lock.update(default="20260907.0"),
            "default: not among the releases, got 20260907.0",
            id="default-not-there",
        ),
        pytest.param(
            lambda lock: lock.update(default="20240729.0"),
            "default: open to CVE-2025-2713, CVE-2026-96812, got 20240729.0; choose 20260831.0",
            id="default-with-an-escape",
        ),
        pytest.param(
            lambda lock: _entry(lock).update(layout="loose"),
            f"releases/{NEW}/layout: must be archive for a release of this date, got loose",
            id="layout-of-another-date",
        ),
        pytest.param(
            lambda lock: _sums(lock).update(runsc=SUM),
            f"releases/{NEW}/sha512/x86_64: must name gvisor.tar.bz2, got gvisor.tar.bz2, runsc",
            id="files-of-another-layout",
        ),
        pytest.param(
            lambda lock: _sums(lock).update(_sums(lock, OLD)),
            f"releases/{OLD}/sha512/x86_64/{ARCHIVE}: the same checksum as "
            f"releases/{NEW}/sha512/x86_64",
            id="two-equal",
        ),
        pytest.param(
            lambda lock: lock.update(releases=dict(reversed(lock["releases"].items()))),
            "releases: not in order",
            id="oldest-first",
        ),
    ],
)
def test_a_wrong_lock_is_told_by_file_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: Break, message: str
) -> None:
    lock = copy.deepcopy(LOCK)
    broken(lock)
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(lock))

    code = main(["check", "--lock", str(path)])

    err = capsys.readouterr().err
    assert code == 1
    assert f"pyinfra-gvisor: {path}: " in err
    assert message in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "line 1 column 1: Expecting value", id="empty"),
        pytest.param(b'{\n  "default": "x",,\n}', "line 2 column 18: ", id="comma"),
        pytest.param(b"<<<<<<< HEAD\n{}", "line 1 column 1: ", id="merge-conflict"),
        pytest.param(
            b'{"default": "a", "default": "b"}', "a key exists twice, got default", id="twice"
        ),
        pytest.param(b"\xff{}", "not UTF-8 at byte 0", id="not-utf-8"),
        pytest.param(b"[" * 100_000, "recursion", id="deep"),
        pytest.param(b"[]", "top: input should be a valid dict", id="a-list"),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["check"], ["add", NEW]])
def test_a_lock_that_is_none_stops_every_command(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    content: bytes,
    message: str,
) -> None:
    path = tmp_path / "lock.json"
    path.write_bytes(content)

    code = main([*command, "--lock", str(path)])

    err = capsys.readouterr().err
    assert code == 1
    assert f"{path}: " in err
    assert message in err
    assert "restore this file from the repository, or install this package again" in err
    assert path.read_bytes() == content


def test_all_that_is_wrong_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = copy.deepcopy(LOCK)
    lock["default"] = "20240729.0"
    _entry(lock)["layout"] = "loose"
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(lock))

    main(["check", "--lock", str(path)])

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"pyinfra-gvisor: {path}: ") for line in lines)

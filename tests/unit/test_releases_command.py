"""``python -m pyinfra_gvisor.releases`` against a real server that plays both origins."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyinfra_gvisor.releases.known import known
from pyinfra_gvisor.releases.lockfile import PACKAGED, read_lock
from tests.unit.commands import releases as main
from tests.unit.origin_server import (
    RELEASE,
    Origin,
    serving,
    some_sums,
)

LOOSE_FILES = ("runsc", "containerd-shim-runsc-v1")


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as found:
        yield found


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.json"
    path.write_bytes(PACKAGED.read_bytes())
    return path


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["add", "20261005"], "not a gVisor release, got 20261005", id="no-number"),
        pytest.param(["add", "latest"], "not a gVisor release, got latest", id="a-word"),
        pytest.param(["add", RELEASE, "--bucket", "http://a.b"], "not a valid base URL", id="http"),
        pytest.param(
            ["add", RELEASE, "--github", "file:///etc"], "not a valid base URL", id="file"
        ),
        pytest.param(["check", "--bucket", "https://a:0x/"], "not a valid base URL", id="port"),
        pytest.param(["check", "--bucket", "https://u:pw@h/"], "got h/;", id="password"),
        pytest.param(
            ["add", RELEASE, "--bucket", "https://m/a", "--github", "https://m/a/"],
            "both origins have the same URL, got https://m/a;",
            id="one-origin",
        ),
        pytest.param(["list", "--lock", "/no/where"], "No such file", id="no-lock"),
    ],
)
def test_a_wrong_command_line_is_told_without_asking_anybody(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    code = main(argv)

    err = capsys.readouterr().err
    assert code == 1
    assert message in err
    assert "pw" not in err


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param([], id="no-command"),
        pytest.param(["add"], id="no-release"),
        pytest.param(["lsit"], id="misspelt"),
        pytest.param(["add", RELEASE, "--dry"], id="abbreviated"),
    ],
)
def test_what_is_no_command_ends_with_the_same_code(argv: list[str]) -> None:
    assert main(argv) == 1


def test_check_online_compares_every_entry_with_both_origins(
    origin: Origin, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    releases = read_lock(lock).releases
    for name, entry in releases.items():
        origin.publish(name, {str(arch): sums for arch, sums in entry.sha512.items()})
    origin.tag(*releases)

    code = main(["check", "--lock", str(lock), *origin.online])

    out = capsys.readouterr().out
    assert code == 0
    assert out.count("has the same checksums") == 2 * len(releases)
    assert len(origin.asked) == 3 * len(releases) + 1
    assert out.splitlines()[-1] == "newer releases in gVisor's tags: none"


def test_check_online_names_newer_releases(
    origin: Origin, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    releases = read_lock(lock).releases
    for name, entry in releases.items():
        origin.publish(name, {str(arch): sums for arch, sums in entry.sha512.items()})
    origin.tag(*releases, *(f"2099010{day}.0" for day in range(1, 8)))

    code = main(["check", "--lock", str(lock), *origin.online])

    named = ", ".join(f"2099010{day}.0" for day in range(7, 2, -1))
    assert code == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"newer releases in gVisor's tags: {named}, and 2 more"
    )


def test_check_names_newer_releases_that_are_known_without_network(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(lock.read_text())
    document["releases"].pop(document["default"])
    document["default"] = next(iter(document["releases"]))
    lock.write_text(json.dumps(document))

    code = main(["check", "--lock", str(lock)])

    newest = known().gvisor_releases[0]
    assert code == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[1]
        .startswith(f"newer releases in known.json of {known().as_of}: {newest}")
    )


def test_check_online_puts_a_disagreement_before_a_silent_origin(
    origin: Origin, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin.publish("20260831.0", some_sums("another"))

    silent = main(["check", "--lock", str(lock), *origin.online])

    err = capsys.readouterr().err
    assert silent == 1
    assert err.count("have different checksums") == 4
    assert err.count("answers 404") == 2
    assert "/tags" not in origin.asked


def test_check_online_says_which_origin_is_silent(
    lock: Path, origin: Origin, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{unused.getsockname()[1]}"
        code = main(
            [
                "check",
                "--online",
                "--lock",
                str(lock),
                "--bucket",
                f"{gone}/a",
                "--github",
                f"{gone}/b",
                "--tags",
                f"{gone}/c",
            ]
        )

    assert code == 1
    assert capsys.readouterr().err.count("Connection refused") == 4


def test_the_list_fits_a_terminal_and_names_what_to_know(
    origin: Origin, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin.publish("20240729.999", some_sums("20240729.999", *LOOSE_FILES))
    main(["add", "20240729.999", "--lock", str(lock), *origin.options])
    capsys.readouterr()

    code = main(["list", "--lock", str(lock)])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert max(map(len, lines)) <= 100
    assert lines[1].startswith("20260928.0    default  archive  x86_64 aarch64  none known")
    assert next(line for line in lines if "20240729.999" in line).split()[1] == "loose"
    assert "CVE-2025-2713" in "\n".join(lines)
    assert "CVE-2026-96812" in "\n".join(lines)


def test_the_list_as_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["list", "--json"])

    rows = {row["release"]: row for row in json.loads(capsys.readouterr().out)}
    assert code == 0
    assert [name for name, row in rows.items() if row["default"]] == ["20260928.0"]
    assert rows["20260831.0"]["corroborated"]["aarch64"] == "one public repository"
    assert rows["20260831.0"]["escapes"] == []

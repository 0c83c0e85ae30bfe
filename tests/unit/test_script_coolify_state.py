"""``coolify/state.sh`` on control hosts of every kind, read as the fact reads it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.coolify.control_host import STATE_SCRIPTS
from pyinfra_gvisor.coolify.files import (
    ENTRY,
    KEEPER,
    MOUNTS,
    REDEPLOYS,
    SOURCE_DIR,
    TIMER,
    patcher_text,
)
from tests.unit.coolify_scripts import SECRET, WORKS, Factory
from tests.unit.shells import stub

STATE = ("function patched", "name convertDockerRunToCompose", "block present", WORKS, "end")
WRITERS = ("chmod", "chown", "cp", "mkdir", "mktemp", "mv", "rm", "sync")


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    """A control host whose Coolify runs and honours the option."""
    found = Factory(tmp_path)
    found.container(mounts=MOUNTS)
    found.php("state", *STATE)
    return found


def write(path: Path, data: bytes = b"") -> None:
    """Write a file and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_a_running_coolify_is_asked_by_the_patcher_and_read(factory: Factory) -> None:
    found = factory.state()

    assert found.container is not None
    assert (found.container.image, found.container.running) == (
        "ghcr.io/coollabsio/coolify:4.3.11",
        True,
    )
    assert [f"{item.source}:{item.target}:ro" for item in found.container.mounts] == list(MOUNTS)
    assert found.function is not None
    assert (found.function.state, found.function.honours) == ("patched", True)
    assert found.source_dir
    assert found.init == Path("/proc/1/comm").read_text().strip()
    assert (factory.stubs / "sent.state").read_text() == patcher_text()


def test_a_host_without_docker_is_told(factory: Factory) -> None:
    (factory.path / "docker").unlink()

    ran = factory.look()
    found = factory.state()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (found.docker, found.docker_error, found.container) == (False, None, None)


def test_a_docker_that_does_not_answer_is_told_in_one_line(factory: Factory) -> None:
    factory.says("version", "echo; echo 'WARNING: a' >&2; echo 'Cannot connect' >&2; exit 1")

    found = factory.state()

    assert (found.docker, found.docker_error, found.container) == (True, "Cannot connect", None)


def test_a_host_without_the_container_is_told(tmp_path: Path) -> None:
    found = Factory(tmp_path).state()

    assert (found.docker, found.docker_error, found.container) == (True, None, None)


def test_a_container_that_goes_while_it_is_looked_at_is_none(factory: Factory) -> None:
    factory.says("gone", "")

    found = factory.state()

    assert (found.container, found.function, found.function_error) == (None, None, None)


def test_a_container_that_does_not_run_is_not_asked(factory: Factory) -> None:
    factory.container(running=False)

    found = factory.state()

    assert found.container is not None
    assert not found.container.running
    assert (found.function, factory.told("verbs")) == (None, [])


@pytest.mark.parametrize(
    ("does", "error"),
    [
        pytest.param("echo one; echo 'no php' >&2; exit 127", "no php", id="last-of-two-lines"),
        pytest.param(f"echo {'x' * 400} >&2; exit 1", "x" * 300, id="cut"),
        pytest.param("echo function patched; exit 0", None, id="answer-without-its-end"),
        pytest.param("kill -9 $$", "no answer within 120 s, or killed", id="killed"),
    ],
)
def test_a_patcher_that_fails_is_told_in_one_line_and_says_nothing_else(
    factory: Factory, does: str, error: str | None
) -> None:
    factory.says("php.state", does)

    found = factory.state()

    assert (found.function, found.function_error) == (None, error)
    assert found.container is not None


def test_a_patcher_that_does_not_answer_is_told_as_that(factory: Factory) -> None:
    factory.says("php.state", "echo function patched; exec sleep 20")

    found = factory.state({"coolify_timeout_s=120": "coolify_timeout_s=0.3"})

    assert found.function is None
    assert found.function_error == "no answer within 0.3 s, or killed"


@pytest.mark.parametrize(
    ("make", "state"),
    [
        pytest.param(lambda _: None, "absent", id="absent"),
        pytest.param(Path.mkdir, "unreadable", id="a-directory"),
        pytest.param(lambda path: path.symlink_to("nowhere"), "unreadable", id="a-link-to-nothing"),
        pytest.param(lambda path: path.write_bytes(b"\xff\xfe"), "not utf-8", id="not-utf-8"),
    ],
)
def test_a_compose_file_that_is_no_text_is_told(
    factory: Factory, make: Callable[[Path], object], state: str
) -> None:
    make(factory.compose)

    found = factory.state().compose

    assert (found.state, found.text) == (state, None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("services:\r\n  c: $(id) '%s' \u00fc", id="odd-characters-no-newline"),
        pytest.param("# " + "x" * 5000 + "\n\n\n", id="long"),
    ],
)
def test_a_compose_file_is_read_to_the_byte(factory: Factory, text: str) -> None:
    factory.compose.write_bytes(text.encode())

    found = factory.state().compose

    assert (found.state, found.text) == ("text", text)
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.root
def test_files_of_ours_are_told_with_mode_and_owner(factory: Factory) -> None:
    for path in (ENTRY, KEEPER):
        write(factory.at(path), path.encode())
    factory.at(ENTRY).chmod(0o700)
    os.chown(factory.at(ENTRY), 9999, 0)

    found = {
        path: (item.sha256, item.mode, item.owner) for path, item in factory.state().files.items()
    }

    assert found == {
        str(factory.at(ENTRY)): (hashlib.sha256(ENTRY.encode()).hexdigest(), "700", "9999:0"),
        str(factory.at(KEEPER)): (hashlib.sha256(KEEPER.encode()).hexdigest(), "644", "0:0"),
    }


@pytest.mark.parametrize(
    ("link", "file", "active", "expected"),
    [
        pytest.param(True, True, "active", (True, "active"), id="on"),
        pytest.param(True, True, "failed", (True, "failed"), id="failed"),
        pytest.param(False, True, "inactive", (False, "inactive"), id="off"),
        pytest.param(True, False, "active", (True, None), id="somebody-removed-the-file"),
        pytest.param(False, False, "inactive", (False, None), id="not-there"),
    ],
)
def test_the_timer_is_told_as_systemd_has_it(
    factory: Factory, link: bool, file: bool, active: str, expected: tuple[bool, str | None]
) -> None:
    timer = factory.at(TIMER)
    wants = timer.parent / "timers.target.wants"
    wants.mkdir()
    if link:
        (wants / timer.name).symlink_to(timer)
    if file:
        write(timer)
    factory.systemctl(active)

    found = factory.state()

    assert (found.timer_enabled, found.timer) == expected


def test_redeploys_that_are_owed_are_told(factory: Factory) -> None:
    write(factory.at(REDEPLOYS), b"abc\ndef\n")

    assert factory.state().redeploys == {"abc", "def"}


def test_a_host_without_coolifys_directory_is_told(factory: Factory) -> None:
    factory.at(SOURCE_DIR).rmdir()

    assert not factory.state().source_dir


def test_the_containers_environment_does_not_leave_the_host(factory: Factory) -> None:
    whole = factory.run("docker container inspect --format '{{json .}}' coolify")

    ran = factory.look()

    assert SECRET in whole.stdout
    assert SECRET not in ran.stdout + ran.stderr
    assert '"Image":"ghcr.io/coollabsio/coolify:4.3.11"' in ran.stdout


def test_looking_changes_nothing(factory: Factory) -> None:
    write(factory.at(REDEPLOYS), b"abc\n")
    write(factory.at(TIMER))
    factory.compose.write_text("services:\n")
    before = factory.tree()
    # nor does it elsewhere: it calls no program that writes, and no output goes to a file
    for name in WRITERS:
        stub(factory.path, name, f"echo {name} >> {factory.stubs}/wrote")
    text = re.sub(r"^ *#.*$", "", script(*STATE_SCRIPTS), flags=re.MULTILINE)

    ran = factory.look()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (factory.tree(), factory.told("wrote")) == (before, [])
    assert set(re.findall(r">+\|? *(\S+?)[;)]*(?:\s|$)", text)) == {"/dev/null", "&1", "&2"}

"""``wrapper_dns.sh``: runsc is started whatever goes wrong, and other commands are let through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.wrapper_host import (
    DEFAULT_ROUTE,
    GLOBAL,
    ID,
    OLD,
    OURS,
    Shim,
    ended,
)


@pytest.fixture
def shim(tmp_path: Path) -> Shim:
    """A container whose resolv.conf is Docker's."""
    shim = Shim(tmp_path)
    shim.config(shim.resolv_conf())
    shim.dockers.write_text(OLD)
    return shim


@pytest.mark.parametrize("code", [pytest.param(0, id="good"), pytest.param(128, id="bad-code")])
@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda shim: shim.dockers.unlink(), id="dockers-file-missing"),
        pytest.param(lambda shim: (shim.dockers.unlink(), shim.dockers.mkdir()), id="a-directory"),
        pytest.param(
            lambda shim: (shim.bundle / "resolv.conf.docker").write_text("\n"), id="no-source"
        ),
        pytest.param(lambda shim: (shim.bundle / "init.pid").unlink(), id="no-pid"),
        pytest.param(lambda shim: (shim.bundle / "init.pid").write_text("12"), id="no-such-pid"),
        pytest.param(
            lambda shim: (
                (shim.bundle / "resolv.conf").unlink(),
                (shim.bundle / "resolv.conf").mkdir(),
            ),
            id="own-file-cannot-be-written",
        ),
    ],
)
def test_what_goes_wrong_at_start_is_logged_and_the_container_starts(
    tmp_path: Path, break_it: Any, code: int
) -> None:
    shim = Shim(tmp_path, code=code)
    shim.config(shim.resolv_conf())
    shim.dockers.write_text(OLD)
    shim.runs(DEFAULT_ROUTE)
    shim.create()
    break_it(shim)

    ran = shim.start()

    ended(ran, code)
    assert shim.asked() == [*GLOBAL, "start", ID]
    assert shim.logged().startswith(f"-t pyinfra-gvisor-resolver -- {ID}: ")
    assert shim.logged().endswith("; Docker's names may not resolve in this container")


@pytest.mark.parametrize(
    ("program", "then"),
    [
        pytest.param("config", "", id="no-config"),
        pytest.param("sed", "echo 'No space left on device' >&2; exit 4", id="sed-fails"),
        pytest.param("logger", "exit 1", id="nor-can-it-be-logged"),
    ],
)
def test_what_goes_wrong_at_create_is_logged_and_the_container_is_created(
    shim: Shim, program: str, then: str
) -> None:
    before = (shim.bundle / "config.json").read_text()
    if program == "config":
        (shim.bundle / "config.json").unlink()
    else:
        shim.does(program, then)
        shim.does("sed", "echo 'No space left on device' >&2; exit 4")

    ran = shim.create()

    ended(ran)
    assert shim.asked()[-1] == ID
    assert f"-t pyinfra-gvisor-resolver -- {ID}: " in shim.logged()
    assert shim.logged().endswith("; Docker's names may not resolve in this container")
    if program != "config":
        assert (shim.bundle / "config.json").read_text() == before


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--version"], id="version"),
        pytest.param(["--log=", "--debug-log=", "help"], id="help"),
        pytest.param([*GLOBAL, "state", ID], id="state"),
        pytest.param([*GLOBAL, "kill", "--all", ID, "9"], id="kill"),
        pytest.param([*GLOBAL, "delete", "--force", ID], id="delete"),
        pytest.param(
            [*GLOBAL, "exec", "--process", "/tmp/a b", "--detach", ID], id="exec-of-a-shims"
        ),
        pytest.param(["exec", ID, "sh", "-c", "create start"], id="exec-by-hand"),
        pytest.param(
            [*GLOBAL, "exec", ID, "create", "--bundle", "."], id="a-program-called-create"
        ),
        pytest.param([*GLOBAL, "state", "create"], id="a-container-called-create"),
        pytest.param([*GLOBAL, "delete", "start"], id="a-container-called-start"),
        pytest.param(["--root", "create", "state", ID], id="a-root-called-create"),
        pytest.param(["--log", "start", "--root=/x", "delete", ID], id="a-log-called-start"),
        pytest.param(["", "'", '"', "$(id)", "a\nb", "\\", "*", "create"], id="blanks-and-quotes"),
        pytest.param([], id="nothing"),
    ],
)
def test_any_other_command_goes_straight_to_runsc(shim: Shim, words: list[str]) -> None:
    (shim.bundle / "resolv.conf.docker").write_text(f"{shim.dockers}\n")
    before = {item.name: item.read_bytes() for item in shim.bundle.iterdir()}

    ran = shim.call(*words)

    ended(ran)
    assert shim.asked() == words
    assert {item.name: item.read_bytes() for item in shim.bundle.iterdir()} == before
    assert shim.started() == []


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in ("create", "start")])
@pytest.mark.parametrize(
    "root", [pytest.param("create", id="create"), pytest.param("start", id="start")]
)
def test_a_container_and_a_root_may_be_called_like_a_command(
    shim: Shim, name: str, root: str
) -> None:
    shim.runs(DEFAULT_ROUTE)

    created = shim.call("--root", root, "--systemd-cgroup", "create", "--bundle", ".", name)
    started = shim.call("--root", root, "--log-format", "json", "start", name)

    ended(created)
    ended(started)
    assert shim.asked() == ["--root", root, "--log-format", "json", "start", name]
    assert shim.files()["resolv.conf"] == f"{OURS}options ndots:0\n"
    assert shim.logged() == ""


def test_one_program_is_started_at_create_and_none_at_start(shim: Shim) -> None:
    shim.runs(DEFAULT_ROUTE)

    shim.create()
    at_create = shim.started()
    (shim.root / "started").unlink()
    shim.start()

    assert [line.split("<")[0] for line in at_create] == ["sed"]
    assert shim.started() == []

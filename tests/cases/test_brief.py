"""What a command prints of a run, what it asks, and that only a yes changes a host."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped] # it is not annotated
import pytest
from pyinfra import logger
from pyinfra.api import Config, Inventory, State

from pyinfra_gvisor.base.columns import plain
from pyinfra_gvisor.command import fleet as fleets
from pyinfra_gvisor.run_support.brief import Brief
from tests.arguments import Log, Patch
from tests.cases.cli import fake, inventory
from tests.cases.proven import proven
from tests.table import table
from tests.unit.answers import answer

PLAIN = fake(answer())
FAILING = {**PLAIN, "gvisor_docker": "snap"}
ASKED = "dockerd restarts on 1: @fake/run-1. Change the hosts as shown above? [y/N]"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A fleet of two hosts that say the same, and the working directory."""
    fleets.begin(tmp_path / "fleet", fleets.Fleet(run=["run-1", "run-2"]))
    monkeypatch.chdir(tmp_path / "fleet")
    have(**{"run-1": PLAIN, "run-2": PLAIN})
    return tmp_path / "fleet"


def have(**hosts: object) -> None:
    """Let the fleet have these hosts."""
    text = inventory(run=hosts, build={}, coolify={})  # type: ignore[arg-type]
    Path("inventories/run.py").write_text(text)


def typed(*words: str, keys: str = "") -> tuple[int, str]:
    """How a command ends, and what it has printed, at a keyboard with these keys."""
    keyboard, stdin = os.openpty()
    os.write(keyboard, keys.encode())
    command = [sys.executable, "-P", "-m", "pyinfra_gvisor.command", *words]
    ran = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
    os.close(stdin)
    os.close(keyboard)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.usefixtures("here")
def test_a_plan_says_once_what_is_the_same_on_two_hosts_and_keeps_indentation() -> None:
    code, said = typed("plan")

    assert code == 0, said
    assert len(said.splitlines()) <= 80
    assert said.count("/etc/docker/daemon.json: new, restart") == 1
    named = said.index("    @fake/run-1, @fake/run-2:\n      install runsc")
    assert named < said.index("\n        restart, because dockerd") < said.index("--> Detected")
    assert said.count("@fake/run-1] ") == 0


@pytest.mark.usefixtures("here")
def test_an_apply_says_no_success_of_each_step_and_with_v_it_does() -> None:
    _, brief = typed("apply", "-y")
    have(**{"run-1": PLAIN})
    _, whole = typed("apply", "-y", "--", "-v")

    assert len(brief.splitlines()) <= 40
    proven = "    @fake/run-1, @fake/run-2:\n      proven runsc 20260928.0 as runsc"
    assert (
        brief.index("| Prove isolation") < brief.index(proven) < brief.index("| Update the runsc")
    )
    for left_out in ("] Success", "Grand total"):
        assert (left_out in brief, left_out in whole) == (False, True)


@pytest.fixture
def explained() -> set[str]:
    """The hosts of which the end says why they fail."""
    return set()


@pytest.fixture
def said(caplog: Log, monkeypatch: Patch, explained: set[str]) -> Callable[..., list[str]]:
    """Lets pyinfra say something of host a in a step; returns all that is printed so far."""
    state = State(Inventory((["a"], {})), Config())
    host, brief = state.inventory.get_host("a"), Brief(state, lambda host: host.name in explained)
    caplog.handler.addFilter(brief)
    caplog.set_level(logging.INFO, logger="pyinfra")
    monkeypatch.setattr("pyinfra_gvisor.run_support.brief._HELD_S", 0.01)

    def say(*lines: str, level: int = logging.INFO) -> list[str]:
        for line in lines:
            logger.log(level, line if line.startswith("-->") else f"{host.print_prefix}{line}")
        return [plain(line) for line in caplog.messages]

    return say


def test_what_a_host_says_is_printed_within_a_second_and_before_its_error(
    said: Callable[..., list[str]],
) -> None:
    assert said("--> Starting operation: x", "one") == ["--> Starting operation: x"]
    gevent.sleep(0.05)
    assert said("two")[1:] == ["a:", "  one"]
    assert said("three", level=logging.ERROR)[3:] == ["a:", "  two", "[a] three"]


def test_that_a_step_has_failed_is_left_out_only_where_the_step_has_said_more(
    said: Callable[..., list[str]], explained: set[str]
) -> None:
    failed = "Error: executed 1 command"

    said("--> Starting operation: x", "why")
    assert said(failed, level=logging.ERROR) == ["--> Starting operation: x"]
    said("--> Starting operation: y")
    assert said(failed, level=logging.ERROR)[-1] == f"[a] {failed}"
    explained.add("a")
    before = said("--> Starting operation: z")
    assert said(failed, level=logging.ERROR) == before


@pytest.mark.usefixtures("here")
def test_a_plan_goes_on_without_asking_after_a_host_failed() -> None:
    have(**{"run-1": PLAIN, "run-2": FAILING})

    ended, said = typed("plan", keys="")

    assert ended == 1
    assert "Go on without" not in said
    assert "changes pending on 1 host: @fake/run-1" in said


@pytest.mark.usefixtures("here")
def test_no_error_of_pyinfras_follows_a_failed_audit() -> None:
    have(**{"run-1": fake(answer())})

    ended, said = typed("audit")

    assert (ended, "NOT COMPLIANT" in said) == (1, True)
    assert "Error: executed" not in said


@table(
    "keys, code, changes",
    enter=("\n\n", 1, False),
    no=("y\nn\n", 1, False),
    yes=("y\ny\n", 1, True),  # one host has failed
    closed=("\n\x04", 1, False),
)
@pytest.mark.usefixtures("here")
def test_only_a_yes_changes_hosts(keys: str, code: int, *, changes: bool) -> None:
    have(**{"run-1": PLAIN, "run-2": FAILING})

    ended, said = typed("apply", keys=keys)

    assert ended == code
    assert "Go on without the hosts that failed? [Y/n]" in said
    assert ASKED in said
    assert ("--> Starting operation" in said) is changes
    assert ("run pyinfra-gvisor apply again, and say yes" in said) is not changes


CHANGED = {"gvisor_daemon_json": {"log-driver": "local"}}


@table(
    "found, settings",
    interrupted=({"pending": "yes"}, {}),
    mended=({"without": ("state.owned.copy",)}, CHANGED),
)
@pytest.mark.usefixtures("here")
def test_who_has_something_unfinished_is_named_before_the_question(
    found: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    unfinished = {**fake(answer(**{**proven(), **found})), **settings}
    have(**{"run-1": unfinished, "run-2": fake(answer(**proven()))})

    ended, said = typed("apply", keys="n\n")

    assert (ended, ASKED in said) == (1, True), said


@pytest.mark.usefixtures("here")
def test_no_line_of_pyinfras_follows_a_result_of_ours() -> None:
    have(**{"run-1": FAILING})

    _, said = typed("apply", "-y")

    assert "refused: @fake/run-1" in said
    assert "No hosts remaining" not in said

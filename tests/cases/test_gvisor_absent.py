"""``gvisor.absent``: releases, wrappers and records go, what is in use stays."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import ENVIRONMENT
from pyinfra_gvisor.operations import gvisor
from tests.cases.fleet import Fleet, Node
from tests.cases.kept import changed
from tests.cases.proven import INSTALLED, RELEASE
from tests.unit.answers import Running, answer

LEFT: dict[str, Any] = {**INSTALLED, "state_dir": "yes"}
DIRECTORY = f"/opt/gvisor/releases/{RELEASE}"
(WRAPPER,) = INSTALLED["wrappers"]
SANDBOX = Running("shop", executable=f"{DIRECTORY}/runsc", argv0="runsc-sandbox")


def sent(item: Node) -> tuple[list[str], dict[str, str]]:
    """The paths that the script is given, and its variables."""
    words = shlex.split(item.of("remove").command)
    script = words[words.index("-c") + 1]
    text = script.partition("record_change 'gvisor.absent: remove'\n")[2]
    head = text.removeprefix(ENVIRONMENT).split("#!/bin/sh")[0]
    return words[words.index("-c") + 3 :], dict(line.split("=") for line in head.splitlines())


def test_everything_of_ours_goes_in_one_command() -> None:
    nodes = {"a": Node([answer(**LEFT), answer()])}
    fleet = Fleet(nodes)

    meta = fleet.add(gvisor.absent)
    fleet.run()

    paths, variables = sent(nodes["a"])
    assert sorted(paths) == [DIRECTORY, WRAPPER]
    assert variables == {
        "link": "yes",
        "state": "yes",
        "state_dir": "/var/lib/pyinfra-gvisor",
        "file": "/etc/docker/daemon.json",
    }
    assert meta["a"].did_change()


def test_what_a_running_sandbox_uses_stays_and_a_second_run_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    kept = {"releases": [RELEASE], "wrappers": INSTALLED["wrappers"], "containers": [SANDBOX]}
    nodes = {"a": Node([answer(**{**LEFT, **kept}), answer(**kept)])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(gvisor.absent)
    again = fleet.add(gvisor.absent)
    fleet.run()

    assert sent(nodes["a"])[0] == []
    assert f"keep {DIRECTORY}, it is in use" in caplog.text
    assert not again["a"].did_change()


def test_while_another_owner_has_a_key_our_records_stay() -> None:
    given = changed({}, {"labels": ["a=b"]}, "other")
    nodes = {"a": Node([answer(**{**given, **LEFT})])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(gvisor.absent)
    fleet.run()

    assert sent(nodes["a"])[1]["state"] == "no"

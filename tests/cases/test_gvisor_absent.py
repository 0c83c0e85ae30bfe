"""``gvisor.absent``: releases, wrappers and records go, what is in use stays."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import ENVIRONMENT
from pyinfra_gvisor.operations import gvisor
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.kept import changed, users
from tests.cases.proven import INSTALLED, RELEASE, converged
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


@pytest.mark.parametrize("prepare", [True, False], ids=["interactive", "with-yes"])
def test_everything_of_ours_goes_in_one_command(prepare: bool) -> None:
    nodes = {"a": Node([answer(**LEFT), answer()])}
    fleet = Fleet(nodes, prepare=prepare)

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


def test_a_node_without_us_is_left_as_it_is() -> None:
    nodes = {"a": Node([answer()])}
    fleet = Fleet(nodes)

    meta = fleet.add(gvisor.absent)
    fleet.run()

    assert nodes["a"].kinds() == ["state"]
    assert not meta["a"].did_change()


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


def test_preparing_removes_nothing_and_says_what_would_go(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    nodes = {"a": Node([answer(**{**converged(), "state_dir": "yes"})], {"users": users()})}

    meta = Fleet(nodes, DIFF=True).add(gvisor.absent)

    assert meta["a"].will_change
    assert nodes["a"].kinds() == ["state", "users"]
    for path in (DIRECTORY, WRAPPER, "/usr/local/bin/runsc", "/var/lib/pyinfra-gvisor"):
        assert caplog.text.count(f"remove {path}\n") == 1


def test_a_node_whose_file_may_still_point_at_something_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = {"bad": Node([answer(**LEFT, daemon_json='{"a" 1}')]), "good": Node([answer(**LEFT)])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(gvisor.absent)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].kinds() == ["state"]
    assert "gvisor.absent: /etc/docker/daemon.json on @fake/bad: line 1 column 6" in caplog.text


def test_a_removal_that_fails_fails_its_host_and_the_other_goes_on() -> None:
    failing = {"remove": Reply(ok=False, stderr=["rm: cannot remove"])}
    nodes = {"bad": Node([answer(**LEFT)], failing), "good": Node([answer(**LEFT)])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.absent)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert nodes["good"].acted() == ["remove"]

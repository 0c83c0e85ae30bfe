"""``watch.watch`` on the real engine, and the deploys that call it only where it has to be."""

from __future__ import annotations

import base64
import shlex
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.operations import watch
from pyinfra_gvisor.parts.watch.files import POLICY, SCRIPT, SERVICE, TIMER
from pyinfra_gvisor.parts.watch.plan import Watch, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.policy.selectors import COOLIFY
from tests.cases.fleet import MARKS, Fleet, Node, Reply
from tests.cases.kept import users
from tests.cases.proven import proven_answer
from tests.unit.answers import answer, node
from tests.unit.keeper_answers import timed

WANTED: dict[str, Any] = {"wanted": True, "must": (COOLIFY,)}
ON = {"gvisor_watch": True}
GONE: dict[str, Any] = {"wanted": False}
INSTALLS = "# Installs a timer with a service"
REMOVES = "# Removes a timer with its service"
BOTH_WAYS = [pytest.param(True, id="interactive"), pytest.param(False, id="with-yes")]


def there(wanted: Watch | None = None, state: str = "active") -> list[str]:
    """The lines of a node on which this watch is."""
    plan = plan_watch(node().part(WatchState), wanted or Watch((COOLIFY,), ()), init="systemd")
    return timed("watch", plan.files, state)


def acted(item: Node) -> list[str]:
    """What was done on a host: ``install`` and ``remove``."""
    sent = [one.command for one in item.sent if one.kind != "state"]
    return [
        "install" if INSTALLS in command else "remove" if REMOVES in command else command
        for command in sent
    ]


def written(item: Node) -> dict[str, tuple[str, str]]:
    """Mode and text by path, as they were sent."""
    (command,) = (one.command for one in item.sent if one.kind != "state")
    words = shlex.split(command)
    words = words[words.index("-c") + 3 :]
    return {
        path: (mode, base64.b64decode(text).decode())
        for path, mode, text in zip(words[::3], words[1::3], words[2::3], strict=True)
    }


@pytest.mark.parametrize("prepare", BOTH_WAYS)
def test_a_watch_is_put_there_in_one_command(prepare: bool) -> None:
    nodes = {"a": Node([answer(), [*there(), *answer()]])}
    fleet = Fleet(nodes, prepare=prepare)

    meta = fleet.add(watch.watch, **WANTED)
    fleet.run()

    assert acted(nodes["a"]) == ["install"]
    assert {path: mode for path, (mode, _) in written(nodes["a"]).items()} == {
        SCRIPT: "755",
        POLICY: "644",
        SERVICE: "644",
        TIMER: "644",
    }
    assert "label =coolify.managed =true" in written(nodes["a"])[POLICY][1]
    assert meta["a"].did_change()


@pytest.mark.parametrize("prepare", BOTH_WAYS)
@pytest.mark.parametrize(
    ("operation", "state"),
    [
        pytest.param(WANTED, [*there(), *answer()], id="wanted-and-there"),
        pytest.param(GONE, answer(), id="not-wanted-and-not-there"),
    ],
)
def test_a_node_that_is_as_declared_is_left_so(
    operation: dict[str, Any], state: list[str], prepare: bool
) -> None:
    nodes = {"a": Node([state])}
    fleet = Fleet(nodes, prepare=prepare)

    meta = fleet.add(watch.watch, **operation)
    fleet.run()

    assert nodes["a"].kinds() == ["state"]
    assert not meta["a"].did_change()


def test_a_watch_that_is_not_wanted_is_taken_off() -> None:
    nodes = {"a": Node([[*there(), *answer()], answer()])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(watch.watch, **GONE)
    again = fleet.add(watch.watch, **GONE)
    fleet.run()

    assert acted(nodes["a"]) == ["remove"]
    assert not again["a"].did_change()


def test_preparing_changes_nothing_and_says_what_would_be(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    nodes = {"a": Node([answer()]), "b": Node([[*there(), *answer()]])}

    metas = Fleet(nodes, DIFF=True).add(watch.watch, wanted=True, must=(COOLIFY,), interval_s=30)

    assert all(meta.will_change for meta in metas.values())
    assert [item.kinds() for item in nodes.values()] == [["state"], ["state"]]
    assert "check every 30 s" in caplog.text
    assert caplog.text.count(f"write {TIMER}\n") == 2
    assert caplog.text.count(f"write {SCRIPT}\n") == 1


def test_a_host_without_systemd_is_refused_and_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = Node([answer(init="init")])
    fleet = Fleet({"bad": bad, "good": Node([[*there(), *answer()]])}, prepare=False)

    fleet.add(watch.watch, **WANTED)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert bad.kinds() == ["state"]
    assert (
        "watch.watch: pyinfra-gvisor-watch on @fake/bad: the watch needs systemd on the node, got "
        "init; turn gvisor_watch off"
    ) in caplog.text


def test_what_cannot_be_written_into_a_unit_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    bad = Node([answer()])
    fleet = Fleet({"bad": bad}, prepare=False)

    fleet.add(watch.watch, **WANTED, textfile_dir="x")
    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.run()

    assert bad.kinds() == ["state"]
    assert "the textfile directory cannot be written into a systemd unit, got x" in caplog.text


def test_a_node_that_is_not_known_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    nodes = {"bad": Node([["nonsense"]]), "good": Node([answer()])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(watch.watch, **WANTED)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert acted(nodes["bad"]) == []
    assert acted(nodes["good"]) == ["install"]
    assert "on @fake/bad: the node's state is not known" in caplog.text


def test_a_second_attempt_reads_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MARKS, "watch", INSTALLS)
    nodes = {"a": Node([answer()], {"watch": Reply(ok=False)}), "b": Node([answer()])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(watch.watch, **WANTED, _retries=1, _retry_delay=0)
    fleet.run()

    assert nodes["a"].kinds() == ["state", "watch"] * 2
    assert fleet.failed() == {"a"}


@pytest.mark.parametrize("prepare", BOTH_WAYS)
@pytest.mark.parametrize(
    ("data", "lines", "expected"),
    [
        pytest.param({}, [], [], id="neither-wanted-nor-there"),
        pytest.param(ON, [], ["install"], id="wanted"),
        pytest.param(ON, there(), [], id="wanted-and-there"),
        pytest.param({"gvisor_watch": False}, there(), ["remove"], id="not-wanted-any-more"),
        pytest.param(
            {"gvisor_watch": True, "gvisor_watch_action": "stop"},
            there(),
            ["install"],
            id="changed",
        ),
    ],
)
def test_the_deploy_has_a_watch_as_the_data_say(
    data: dict[str, Any], lines: list[str], expected: list[str], prepare: bool
) -> None:
    nodes = {"a": Node([[*lines, *proven_answer()]], data=data)}
    fleet = Fleet(nodes, prepare=prepare)

    fleet.deploy(run_node)
    fleet.run()

    assert acted(nodes["a"]) == expected
    operations = len(fleet.state.get_op_order())
    assert operations == (6 if data or lines else 5)


def test_the_removal_takes_the_watch_first() -> None:
    nodes = {"a": Node([[*there(), *answer()], answer()], {"users": users()})}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(remove)
    fleet.run()

    assert [item for item in acted(nodes["a"]) if item in ("install", "remove")] == ["remove"]
    assert fleet.failed() == set()

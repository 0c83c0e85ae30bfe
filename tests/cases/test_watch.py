"""``watch.watch`` on the real engine, and the deploys that call it only where it has to be."""

from __future__ import annotations

import base64
import shlex
from typing import Any

import pytest

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.operations import watch
from pyinfra_gvisor.parts.watch.files import POLICY, SCRIPT, SERVICE, TIMER
from pyinfra_gvisor.parts.watch.plan import Watch, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.policy.selectors import COOLIFY
from tests.cases.fleet import Fleet, Node
from tests.cases.proven import proven_answer
from tests.unit.answers import answer, node
from tests.unit.parts.keeper_answers import timed

WANTED: dict[str, Any] = {"wanted": True, "must": (COOLIFY,)}
ON = {"gvisor_watch": True}
GONE: dict[str, Any] = {"wanted": False}
INSTALLS = "# Installs a timer with a service"
REMOVES = "# Removes a timer with its service"


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


def test_a_watch_is_put_there_in_one_command() -> None:
    nodes = {"a": Node([answer(), [*there(), *answer()]])}
    fleet = Fleet(nodes)

    meta = fleet.add(watch.watch, **WANTED, interval_s=30)
    fleet.run()

    assert acted(nodes["a"]) == ["install"]
    assert {path: mode for path, (mode, _) in written(nodes["a"]).items()} == {
        SCRIPT: "755",
        POLICY: "644",
        SERVICE: "644",
        TIMER: "644",
    }
    assert "label =coolify.managed =true" in written(nodes["a"])[POLICY][1]
    assert "\nOnUnitActiveSec=30\n" in written(nodes["a"])[TIMER][1]
    assert meta["a"].did_change()


def test_a_watch_that_is_not_wanted_is_taken_off() -> None:
    nodes = {"a": Node([[*there(), *answer()], answer()])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(watch.watch, **GONE)
    again = fleet.add(watch.watch, **GONE)
    fleet.run()

    assert acted(nodes["a"]) == ["remove"]
    assert not again["a"].did_change()


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
    data: dict[str, Any], lines: list[str], expected: list[str]
) -> None:
    nodes = {"a": Node([[*lines, *proven_answer()]], data=data)}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)
    fleet.run()

    assert acted(nodes["a"]) == expected
    operations = len(fleet.state.get_op_order())
    assert operations == (6 if data or lines else 5)

"""``watch.watch`` on the real engine, and the deploys that call it only where it has to be."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.operations import watch
from pyinfra_gvisor.parts.watch.files import POLICY, SCRIPT, SERVICE, TIMER
from pyinfra_gvisor.parts.watch.plan import Watch, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.policy.selectors import COOLIFY
from tests.arguments import Data
from tests.cases.fleet import Fleet, Node
from tests.cases.proven import proven_answer
from tests.table import table
from tests.unit.answers import answer, node
from tests.unit.parts.keeper_answers import timed

WANTED: dict[str, Any] = {"wanted": True, "must": (COOLIFY,)}
ON = {"gvisor_watch": True}


def there(wanted: Watch | None = None, state: str = "active") -> list[str]:
    """The lines of a node on which this watch is."""
    plan = plan_watch(node().part(WatchState), wanted or Watch((COOLIFY,), ()), init="systemd")
    return timed("watch", plan.files, state)


def test_a_watch_is_put_there_in_one_command() -> None:
    nodes = {"a": Node([answer(), [*there(), *answer()]])}

    fleet = Fleet(nodes).done(watch.watch, **WANTED, interval_s=30)

    files = nodes["a"].of("watch").files
    modes = {path: mode for path, (mode, _) in files.items()}
    assert modes == {SCRIPT: "755", **dict.fromkeys((POLICY, SERVICE, TIMER), "644")}
    assert "label =coolify.managed =true" in files[POLICY][1]
    assert "\nOnUnitActiveSec=30\n" in files[TIMER][1]
    assert fleet.meta["a"].did_change()


@table(
    "data, lines, expected",
    neither_wanted_nor_there=({}, [], []),
    wanted=(ON, [], ["watch"]),
    wanted_and_there=(ON, there(), []),
    not_wanted_any_more=({"gvisor_watch": False}, there(), ["watch remove"]),
    changed=({"gvisor_watch": True, "gvisor_watch_action": "stop"}, there(), ["watch"]),
)
def test_a_deploy_has_the_watch_declared(data: Data, lines: list[str], expected: list[str]) -> None:
    nodes = {"a": Node([[*lines, *proven_answer()]], data=data)}

    fleet = Fleet(nodes, prepare=False).deployed(run_node)

    assert nodes["a"].acted() == expected
    operations = len(fleet.state.get_op_order())
    assert operations == (6 if data or lines else 5)

"""A restart that is left owed is told in every run, and is no change."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.operations import docker
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, done_by
from tests.cases.kept import changed
from tests.cases.proven import DEFAULTS, WANTED, proven, proven_answer
from tests.table import table
from tests.unit.answers import answer, node

WISH: dict[str, Any] = {"userland-proxy": False, "live-restore": True}
OWING = changed({}, WISH, restart="reload")
RELOADING: dict[str, Any] = {"gvisor_restart": "reload"}
TOLD = "/etc/docker/daemon.json on @fake/a: /userland-proxy: changed since dockerd started"


def test_a_change_that_owes_a_restart_reloads_and_every_later_run_says_so(caplog: Log) -> None:
    nodes = {"a": Node([answer(), answer(**OWING)])}
    Fleet(nodes).done(docker.daemon_json, WISH, owner=GVISOR, restart="reload")
    assert "\naction=reload\n" in (nodes["a"].of("daemon.json").stdin or "")
    assert TOLD in caplog.text
    caplog.clear()
    later = {"a": Node([answer(**OWING)])}
    fleet = Fleet(later)

    meta = fleet.add(docker.daemon_json, WISH, owner=GVISOR, restart="reload")
    will_change = meta["a"].will_change
    fleet.run()

    assert later["a"].acted() == []
    assert (will_change, meta["a"].did_change()) == (False, False)
    assert [item.levelname for item in caplog.records if TOLD in item.message] == ["WARNING"]


def owing_deploy() -> Data:
    """A node on which the deploy has left its restarts owed."""
    given = proven()
    plan = plan_daemon_json(node(), WANTED, if_absent=DEFAULTS, restart="reload")
    applied = {**given["state"]["applied"], "started_with": dict(plan.started_with or {})}
    return {**given, "state": {**given["state"], "applied": applied}}


@table(
    "data, given, told, acted",
    owed=(RELOADING, owing_deploy(), True, []),
    nothing_owed=(RELOADING, proven(), False, []),
    allowed_now=({}, owing_deploy(), False, ["daemon.json"]),
)
def test_the_setting_decides_for_a_deploy(
    data: Data, given: Data, told: bool, acted: list[str], caplog: Log
) -> None:
    nodes = {"a": Node([answer(**given), proven_answer()], data=data)}

    assert done_by(run_node, nodes["a"], prepare=False) == acted
    assert (TOLD in caplog.text) is told


def test_a_deploy_that_needs_a_restart_and_may_not_is_refused_first(caplog: Log) -> None:
    never = {"gvisor_restart": "never"}
    nodes = {"a": Node([answer()], data=never), "good": Node([proven_answer()], data=never)}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)

    assert fleet.failed() == {"a"}
    assert nodes["a"].acted() == []
    where = "preflight: /etc/docker/daemon.json on @fake/a"
    assert f"{where}: the change needs a restart" in caplog.text

"""The removal on the real engine: refused where it is in use, in order, quiet when done."""

import json
from typing import Any

from pyinfra_gvisor.daemon_json.runtime_users import RuntimeUser
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.planning.wanted import plan_without_us
from tests.arguments import Data, Log, Patch
from tests.cases.fleet import Fleet, Node, Reply, as_from_a_wheel, done_by
from tests.cases.guarded import LOADED, PLAIN
from tests.cases.kept import users
from tests.cases.proven import RELEASE, proven
from tests.table import table
from tests.unit.answers import Running, after, answer, node
from tests.unit.egress.egress_states import told
from tests.unit.kernel.kernel_answers import in_force
from tests.unit.kernel.kernel_answers import told as weak
from tests.unit.resolver.resolver_answers import there
from tests.unit.resolver.resolver_answers import told as named

ORIGINAL = '{"dns": ["1.1.1.1"]}'
WITH_US: dict[str, Any] = {**proven(), "state_dir": "yes"}
NONE = {"users": users()}
SANDBOX = Running(
    "shop",
    runtime="runsc",
    executable=f"/opt/gvisor/releases/{RELEASE}/runsc",
    argv0="runsc-sandbox",
)
IN_USE = {"users": users(("shop", True, "runsc"), ("idle", False, "runsc"))}
IDLE = RuntimeUser(name="idle", running=False, runtime="runsc")


def installed(replies: dict[str, Reply] | None = None, **more: Any) -> Node:
    """A node with everything, that does as it is told."""
    data = more.pop("data", {})
    given_back = {**WITH_US, **more, "daemon_json": None, "state": {}}
    given_back.pop("docker")
    states = [{**WITH_US, **more}, given_back, more]
    return Node([answer(**state) for state in states], replies or NONE, data)


def test_what_stands_around_the_sandbox_goes_the_way_back() -> None:
    whole, given_back, bare = installed().states
    states = (
        [*told(LOADED), *in_force(), *whole],
        [*told(PLAIN), *in_force(), *whole],
        [*told(PLAIN), *in_force(), *given_back],
        [*told(PLAIN), *weak(), *given_back],
        bare,
    )
    nodes = {"a": Node(list(states), NONE)}

    assert done_by(remove, nodes["a"]) == ["egress remove", "daemon.json", "kernel", "remove"]
    script, _, *paths = nodes["a"].of("remove").words
    assert sorted(paths) == [f"/opt/gvisor/releases/{RELEASE}", *WITH_US["wrappers"]]
    for line in ("link=yes", "state=yes", "file=/etc/docker/daemon.json"):
        assert f"\n{line}\n" in script
    assert script.count("\nstate_dir=/var/lib/pyinfra-gvisor\n") == 2, "of the record, too"


def test_a_dry_run_tells_the_whole_story_and_hosts_of_a_wheel_may_have_had_different_parts(
    monkeypatch: Patch, caplog: Log
) -> None:
    planned = installed()
    Fleet({"a": planned}, DIFF=True).deploy(remove)
    assert planned.acted() == []
    for line in ("removed, restart", f"remove /opt/gvisor/releases/{RELEASE}", "remove /var/lib"):
        assert line in caplog.text
    as_from_a_wheel(monkeypatch)
    whole = installed().states[0]
    parts = (told(LOADED), in_force(), named(there()), [*told(LOADED), *in_force()], [])
    nodes = {str(number): Node([[*told_of, *whole]], NONE) for number, told_of in enumerate(parts)}

    Fleet(nodes, DIFF=True).deployed(remove)


def test_what_answers_for_docker_goes_when_no_runtime_leads_to_it() -> None:
    whole, given_back, bare = installed().states
    states = [[*named(there()), *whole], [*named(there()), *given_back], given_back, bare]
    item = Node(states, NONE)

    assert done_by(remove, item) == ["daemon.json", "resolver remove", "remove"]


@table("asks", running=("f" * 64,), stopped=())
def test_what_answers_for_docker_stays_for_a_runtime_that_is_kept(asks: tuple[str, ...]) -> None:
    given = {**WITH_US, "containers": [SANDBOX] if asks else []}
    kept = {**given, **after(plan_without_us(node(**given), lambda: [IDLE], restart="auto"))}
    states = [[*named(there(asks=asks)), *answer(**state)] for state in (given, kept)]
    in_use = IN_USE if asks else {"users": users(("idle", False, "runsc"))}
    item = Node(states, in_use, {"gvisor_keep_running": True})

    assert done_by(remove, item) == ["daemon.json", "remove"]


def test_what_containers_need_stays_where_that_is_asked_for_and_they_are_named(caplog: Log) -> None:
    data = {"gvisor_keep_running": True}
    given = {**WITH_US, "containers": [SANDBOX]}
    kept = after(plan_without_us(node(**given), lambda: [IDLE], restart="auto"))
    states = [answer(**given), answer(**{**given, **kept})]
    nodes = {"a": Node(states, IN_USE, data)}

    Fleet(nodes).deployed(remove)

    assert nodes["a"].acted() == ["daemon.json", "remove"]
    paths = nodes["a"].of("remove").words[2:]
    assert paths == []
    assert "\nstate=no\n" in nodes["a"].of("remove").words[0]
    assert caplog.text.count(f"keep /opt/gvisor/releases/{RELEASE}, it is in use") == 1
    said = "runtime runsc is not declared, but these containers need it: shop, idle (stopped). "
    assert said in caplog.text
    assert json.loads(nodes["a"].of("daemon.json").written()) == {
        "runtimes": json.loads(WITH_US["daemon_json"])["runtimes"]
    }


@table(
    "replies, given, reason",
    a_sandbox=(
        IN_USE,
        {"containers": [SANDBOX]},
        (
            "remove: /etc/docker/daemon.json on @fake/bad: the change would remove runtimes that "
            "containers need: runsc (these need it to start: shop, idle (stopped)); "
        ),
    ),
    containers_not_told=({"users": Reply(ok=False, stderr=["Broken"])}, {}, "Broken"),
    docker_down=(NONE, {"without": ("info",)}, "dockerd does not answer"),
    a_sandbox_of_ours_under_another_runtime=(
        {"users": users(("shop", True, "other"))},
        {"containers": [SANDBOX]},
        "running containers use a release that would be removed: shop; ",
    ),
)
@table("prepare", planned=True, with_yes=False)
def test_a_host_on_which_somebody_runs_or_may_run_is_refused_before_any_is_touched(
    replies: dict[str, Reply], given: Data, reason: str, prepare: bool, caplog: Log
) -> None:
    nodes = {"bad": Node([answer(**{**WITH_US, **given})], replies), "good": installed()}
    fleet = Fleet(nodes, prepare=prepare)

    fleet.deploy(remove)
    touched = [item.acted() for item in nodes.values()]
    fleet.run()

    assert (fleet.failed(), touched) == ({"bad"}, [[], []])
    assert [item.acted() for item in nodes.values()] == [[], ["daemon.json", "remove"]]
    assert reason in caplog.text
    assert "Nothing was changed." in caplog.text

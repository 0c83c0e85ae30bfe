"""The watch as it has to be, what is done so that it is, and what a node tells of it."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import FoundFile
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.watch.files import POLICY, SERVICE, TIMER, policy_text
from pyinfra_gvisor.parts.watch.plan import Watch, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.policy.selectors import COOLIFY, Exemption, Selector
from tests.table import table
from tests.unit.answers import answer
from tests.unit.node_script import Machine
from tests.unit.shells import stub

WATCH = Watch((COOLIFY,), ())
NONE = WatchState()


def planned(found: WatchState = NONE, wanted: Watch | None = WATCH) -> PartPlan:
    """The plan for a node with systemd."""
    return plan_watch(found, wanted, init="systemd")


def carried_out(plan: PartPlan, **changes: Any) -> WatchState:
    """The node behind a plan."""
    files = {
        item.path: FoundFile(
            sha256=hashlib.sha256(item.text.encode()).hexdigest(), mode=item.mode, owner="0:0"
        )
        for item in plan.files
    }
    return WatchState(**{"files": files, "enabled": True, "timer": "active", **changes})


def texts(wanted: Watch) -> dict[str, str]:
    """What is written, by path."""
    return {item.path: item.text for item in planned(wanted=wanted).files}


@table(
    "changes", stopped={"timer": "inactive"}, unknown={"timer": None}, disabled={"enabled": False}
)
def test_a_timer_that_does_not_look_is_started_and_nothing_written(changes: dict[str, Any]) -> None:
    plan = planned(carried_out(planned(), **changes))

    assert plan.action == "apply"
    assert not [line for line in plan.lines if line.startswith("write ")]


@table("change", content={"sha256": "0" * 64}, mode={"mode": "777"}, owner={"owner": "1000:0"})
def test_a_file_that_somebody_has_changed_is_put_right(change: dict[str, str]) -> None:
    found = carried_out(planned())
    files = {**found.files, POLICY: found.files[POLICY].model_copy(update=change)}

    plan = planned(found.model_copy(update={"files": files}))

    assert (plan.action, plan.lines[0], len(plan.files)) == ("apply", f"write {POLICY}", 4)


def test_a_watch_or_a_part_of_one_that_is_not_wanted_goes_and_none_is_left_so() -> None:
    plan = planned(carried_out(planned()), None)

    assert plan.action == "remove"
    assert f"remove {TIMER}" in plan.lines
    assert planned(wanted=None) == PartPlan()
    assert planned(WatchState(files={POLICY: FoundFile(sha256="0" * 64)}), None).action == "remove"
    assert planned(WatchState(enabled=True), None).action == "remove"


def test_a_node_without_systemd_is_refused_a_watch_and_may_have_none() -> None:
    with pytest.raises(Problem) as refused:
        plan_watch(NONE, WATCH, init="sysvinit")

    assert str(refused.value).startswith("the watch needs systemd on the node, got sysvinit; ")
    assert "turn gvisor_watch off" in refused.value.todo
    assert plan_watch(NONE, None, init="sysvinit") == PartPlan()


@table(
    "wanted",
    no_interval={"interval_s": 0},
    no_such_action={"action": "kill"},
    relative_directory={"textfile_dir": "text"},
    another_line={"textfile_dir": "/a\nExecStart=/bin/sh"},
    a_specifier_of_systemd={"textfile_dir": "/a%h"},
)
def test_what_cannot_be_a_unit_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(Problem):
        Watch((), (), **wanted)


def test_the_timer_looks_at_the_interval_at_once_and_after_a_boot() -> None:
    lines = texts(Watch((), (), interval_s=45))[TIMER].splitlines()

    assert {"OnActiveSec=0", "OnUnitActiveSec=45", "WantedBy=timers.target"} <= set(lines)


@table(
    "directory, writable",
    nowhere=(None, []),
    its_directory=("/srv/text", ["ReadWritePaths=-/srv/text"]),
)
def test_the_service_may_write_where_its_metrics_go_and_nowhere_else(
    directory: str | None, writable: list[str]
) -> None:
    lines = texts(Watch((), (), textfile_dir=directory))[SERVICE].splitlines()

    assert "ProtectSystem=strict" in lines
    assert [line for line in lines if line.startswith("ReadWritePaths")] == writable


def test_the_policy_can_be_read_by_a_person_too() -> None:
    exempt = Exemption(name="shop-*", labels={"a b": ""}, reason="moves next week")

    text = policy_text((COOLIFY,), (exempt,), "stop", "/srv/text/x.prom")

    assert text.splitlines() == [
        *("action stop", "textfile /srv/text/x.prom", "app coolify.resourceName"),
        *("must", "label =coolify.managed =true"),
        "label =coolify.type =application =service =database",
        *("exempt", "name shop-.*", "label =a%20b ="),
    ]


def test_what_a_policy_says_of_one_label_stays_on_one_line() -> None:
    selector = Selector(labels={"x\nmust": "y\nname .*"})

    assert len(policy_text((selector,), (), "report", None).splitlines()) == 3


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node on which Docker does not run, with a systemctl that knows one answer."""
    machine = Machine(tmp_path)
    stub(machine.path, "systemctl", f'echo "$*" >> {tmp_path}/asked; echo active')
    return machine


def install(machine: Machine) -> dict[str, Path]:
    """The files of a watch, with their names as content."""
    watch = machine.gvisor / "watch"
    unit = machine.units / "pyinfra-gvisor-watch"
    paths = [watch / "watch.pl", watch / "policy", Path(f"{unit}.service"), Path(f"{unit}.timer")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
        path.chmod(0o640)
    return {path.name: path for path in paths}


def test_a_node_without_a_watch_has_none_and_systemd_is_not_asked(machine: Machine) -> None:
    found = machine.node().part(WatchState)

    assert found == WatchState()
    assert not found.there
    assert not (machine.root / "asked").exists()


def test_every_file_of_a_watch_is_told_with_sum_mode_and_owner_and_a_part_of_one_too(
    machine: Machine,
) -> None:
    paths = install(machine)

    found = machine.node().part(WatchState)

    assert found.there
    assert set(found.files) == {str(path) for path in paths.values()}
    policy = found.files[str(paths["policy"])]
    assert policy.sha256 == hashlib.sha256(b"policy").hexdigest()
    assert policy.mode == "640"
    assert policy.owner == f"{paths['policy'].stat().st_uid}:{paths['policy'].stat().st_gid}"
    for name in ("pyinfra-gvisor-watch.timer", "policy"):
        paths[name].unlink()
    left = machine.node().part(WatchState)
    assert {Path(path).name for path in left.files} == {"watch.pl", "pyinfra-gvisor-watch.service"}
    assert left.timer is None


def test_a_timer_is_told_as_systemd_has_it(machine: Machine) -> None:
    paths = install(machine)
    wants = machine.units / "timers.target.wants"
    wants.mkdir()
    disabled = machine.node().part(WatchState)
    (wants / paths["pyinfra-gvisor-watch.timer"].name).symlink_to("nowhere")

    enabled = machine.node().part(WatchState)

    assert (disabled.timer, disabled.enabled) == ("active", False)
    assert (enabled.timer, enabled.enabled) == ("active", True)
    assert (machine.root / "asked").read_text() == "is-active pyinfra-gvisor-watch.timer\n" * 2


@table("line", cut_short="watch sum", of_no_kind="watch neither 1 /x", no_path="watch stat /x")
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node([line, *answer()])

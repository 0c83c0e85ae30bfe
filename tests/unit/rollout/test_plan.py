"""How a fleet is cut into waves, and what stops a rollout."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.drift.record import HostRecord, Record
from pyinfra_gvisor.drift.run import Ran
from pyinfra_gvisor.rollout import shard
from pyinfra_gvisor.rollout.engine import over_budget
from pyinfra_gvisor.rollout.plan import Plan, PlannedHost, read_plan, waves
from pyinfra_gvisor.rollout.shard import audited, read_records, record_path, run_shard
from tests.arguments import Patch
from tests.table import table

NAMES = [f"run-{number}" for number in range(12)]


def plan(**given: object) -> Plan:
    """A rollout of these hosts."""
    hosts = tuple(PlannedHost(name=name, release="20260928.0", settings="") for name in NAMES)
    cut = waves(NAMES, NAMES[:2], "10%,50", 4)
    known = {"inventory": "i.py", "inputs": "", "hosts": hosts, "waves": cut}
    return Plan.model_validate({"id": "20261203-1405-0001", **known, **given})


@table(
    "canary, sizes, sizes_of_waves",
    usual=(NAMES[:2], "10%,50", [2, 2, 8]),
    no_canary=([], "1,2", [1, 2, 2, 2, 2, 2, 1]),
    all_at_once=([], "100%", [12]),
)
def test_waves_are_the_canary_then_sizes_of_which_the_last_is_repeated(
    canary: list[str], sizes: str, sizes_of_waves: list[int]
) -> None:
    made = waves(NAMES, canary, sizes, 4)

    assert [len(wave.hosts) for wave in made] == sizes_of_waves
    assert sorted(name for wave in made for name in wave.hosts) == sorted(NAMES)
    assert all(len(part) <= 4 for wave in made for part in wave.shards)


def test_no_wave_has_more_than_fifty_hosts() -> None:
    many = [f"run-{number}" for number in range(2000)]

    assert max(len(wave.hosts) for wave in waves(many, many[:60], "100%", 25)) == 50


@pytest.mark.parametrize("sizes", ["", "0", "101%", "ten", "10%,"])
def test_what_is_no_size_is_refused(sizes: str) -> None:
    with pytest.raises(Problem, match="--waves has no size of a wave"):
        waves(NAMES, [], sizes, 4)


@table(
    "given, states, why",
    well=({}, {"run-0": "proven"}, ""),
    failed=({}, {"run-0": "failed"}, "1 of canary not proven: run-0"),
    silent=({}, {"run-1": "unreachable"}, "1 of canary not proven: run-1"),
    named=({"absent": ("run-1",)}, {"run-1": "unreachable"}, ""),
    within=({"max_failed": 1, "max_failed_all": 1}, {"run-0": "unknown"}, ""),
    in_all=(
        {"max_failed": 1, "max_failed_all": 1},
        {"run-0": "failed", "run-9": "unproven"},
        "2 in all not proven: run-0, run-9",
    ),
)
def test_a_rollout_stops_when_its_budget_is_spent(
    given: dict[str, object], states: dict[str, str], why: str
) -> None:
    assert over_budget(plan(**given), 0, states) == why


def _ran(*hosts: HostRecord) -> Ran:
    record = Record(looks_for_changes=False, hosts=hosts, deploys=(0,))
    return Ran(0, "", "last words", record.model_dump_json())


def _host(name: str, outcome: str | None, *, connected: bool = True) -> HostRecord:
    known = {"name": name, "groups": [], "chosen": True, "connected": connected, "failed": False}
    return HostRecord.model_validate({**known, "operations": 1, "said": [], "outcome": outcome})


def test_a_host_is_judged_by_the_record_that_it_left(tmp_path: Path, monkeypatch: Patch) -> None:
    ran = _ran(
        _host("run-0", "still proven"),
        _host("run-1", "as declared"),
        _host("run-2", "no answer"),
        _host("run-3", "refused"),
        _host("run-4", None, connected=False),
        _host("run-5", None),
    )
    monkeypatch.setattr(shard, "recorded", lambda *_: ran)

    states = run_shard(plan(), NAMES[:7], tmp_path)

    assert [*states.values()] == [
        *("proven", "unproven", "unreachable", "failed", "unreachable", "unknown", "unknown"),
    ]
    read = read_records(plan(), tmp_path)
    assert {name: end.state for name, end in read.items() if name in states} == states
    assert read["run-6"].why == ("last words",)
    assert read["run-7"].state == "unknown"


def test_all_hosts_are_audited_by_processes_with_a_shard_each(monkeypatch: Patch) -> None:
    runs: list[list[str]] = []

    def ran(arguments: list[str], *_: object) -> Ran:
        mine = [found for word in arguments for found in re.findall(r"--limit=\[r\](.+)", word)]
        runs.append(mine)
        left = {"r1", "r7"} if len(runs) == 1 else {"r40"}
        hosts = (_host(f"r{name}", "compliant") for name in mine)
        return _ran(*(host for host in hosts if host.name not in left))

    monkeypatch.setattr(shard, "recorded", ran)
    names = [f"r{number}" for number in range(60)]
    hosts = tuple(PlannedHost(name=name, release="20260928.0", settings="") for name in names)

    found = audited(plan(hosts=hosts), names)

    assert [len(mine) for mine in runs] == [25, 25, 10]
    assert found == dict.fromkeys(["r1", "r7", "r40"], "it left no record")


def test_a_record_of_another_rollout_is_refused(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(shard, "recorded", lambda *_: _ran(_host("run-0", "proven")))
    run_shard(plan(id="20261203-1405-0002"), NAMES[:1], tmp_path)

    with pytest.raises(Problem, match="a record of another rollout"):
        read_records(plan(), tmp_path)

    record_path(tmp_path, "run-0").write_text("{")
    with pytest.raises(Problem, match="not a record"):
        read_records(plan(), tmp_path)


def test_a_plan_of_another_version_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(plan().model_dump_json().replace('"version":1', '"version":2'))

    with pytest.raises(Problem, match="not a plan that this version follows"):
        read_plan(path)
    assert read_plan(_written(tmp_path)) == plan()


def _written(directory: Path) -> Path:
    path = directory / "plan.json"
    path.write_text(plan().model_dump_json())
    return path


def test_only_the_host_is_meant_not_a_group_of_its_name() -> None:
    for name in ("run-1", "@docker/a", "[2001:db8::1]", "*"):
        pattern = shard._exactly(name)
        assert pattern != name
        assert fnmatch(name, pattern)
        assert not fnmatch(f"{name}0", pattern)

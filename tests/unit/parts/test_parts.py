"""The list of parts: one shape, known to all that go over it, and asked before a change."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest

from pyinfra_gvisor import parts
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.parts.every import PARTS, at, refusals
from pyinfra_gvisor.parts.part import Part, Stage
from pyinfra_gvisor.parts_common.members import NAMES
from pyinfra_gvisor.planning.wanted import wanted_daemon_json
from tests.unit.answers import answer, node
from tests.unit.planning.test_preflight import settings_of

DECLARED: dict[str, dict[str, Any]] = {
    "divert": {"gvisor_default": "sandbox-all"},
    "kernel": {"gvisor_kernel": {}},
    "resolver": {"gvisor_runtimes": {"net": {"network": "sandbox", "dns": "docker"}}},
    "egress": {"gvisor_egress": {}},
    "watch": {"gvisor_watch": True},
    "keeper": {"gvisor_default": "sandbox"},
    "judge": {"gvisor_default": "sandbox"},
}
"""What a host's data say to have one."""


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_is_declared_by_its_setting_and_by_nothing_else(part: Part) -> None:
    others = {key: item for name, one in DECLARED.items() if name != part.name
              for key, item in one.items()}  # fmt: skip

    assert part.declared(settings_of(**DECLARED[part.name]))
    assert part.declared(settings_of(**others)) == (part.name in ("keeper", "judge"))
    assert not part.declared(settings_of())


@pytest.mark.parametrize("name", DECLARED)
def test_whatever_protects_brings_the_keeper(name: str) -> None:
    keeper = next(part for part in PARTS if part.name == "keeper")

    assert keeper.declared(settings_of(**DECLARED[name])) == (name != "watch")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_has_a_package_and_an_operation_that_has_it_or_takes_it_away(part: Part) -> None:
    operations = import_module(f"pyinfra_gvisor.operations.{part.name}")

    assert import_module(f"pyinfra_gvisor.parts.{part.name}.plan")
    assert [
        len(inspect.signature(step).parameters) for step in (operations.apply, operations.remove)
    ] == [1, 1]
    assert bool(part.needs) == bool(part.source)


def test_every_package_of_a_part_is_in_the_list_and_is_read() -> None:
    folders = {path.parent.name for path in Path(parts.__file__).parent.glob("*/part.py")}

    assert folders == set(NAMES) == set(DECLARED) == set(node().parts)
    assert {part.name for part in PARTS} == folders
    assert not any(part.there(node()) for part in PARTS)


def test_what_parts_tell_is_told_apart_from_what_a_node_tells_itself() -> None:
    assert not {line.partition(" ")[0] for line in answer(releases=["20260928.0"])} & set(NAMES)


def test_every_part_has_its_turn() -> None:
    assert [part for stage in get_args(Stage) for part in at(stage)] == list(PARTS)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_what_is_refused_is_refused_where_it_is_declared(part: Part) -> None:
    without_systemd, settings = node(init="lab-init"), settings_of(**DECLARED[part.name])
    plan = plan_daemon_json(without_systemd, wanted_daemon_json(settings))

    found = [problem.what for problem in refusals(without_systemd, settings, plan)]
    before_it_is_known = [problem.what for problem in refusals(without_systemd, settings)]

    needing = [one for one in PARTS if one.needs and one.declared(settings)]
    assert [("systemd" in what) for what in found] == [True] * len(needing)
    assert before_it_is_known == found
    assert refusals(without_systemd, settings_of(), plan) == []

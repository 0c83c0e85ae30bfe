"""A key that is absent from the settings takes nothing from a node; its off value does."""

import ast
import runpy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.node import Node, parse_node
from pyinfra_gvisor.parts.every import PARTS
from pyinfra_gvisor.parts_common.members import members
from pyinfra_gvisor.planning.absence import PROTECTIONS, absence_problems
from pyinfra_gvisor.planning.wanted import plan_for_settings
from pyinfra_gvisor.runtimes.wrappers import wrappers
from tests.cases.guarded import LOADED
from tests.cases.proven import converged
from tests.cases.test_watch import there as watching
from tests.unit.answers import END, answer
from tests.unit.egress.egress_states import told
from tests.unit.kernel import kernel_answers
from tests.unit.settings.loaded_settings import good

DECLARED: dict[str, dict[str, Any]] = {
    "runtimes": {"gvisor_runtimes": {"runsc": {}, "net": {"network": "sandbox"}}},
    "default": {"gvisor_default": "sandbox"},
    "default_runtime": {"gvisor_default_runtime": "net"},
    "seal": {"gvisor_seal": {}},
    "daemon_json": {"gvisor_daemon_json": {"icc": False}},
    "daemon_json_if_absent": {"gvisor_daemon_json_if_absent": {"debug": False}},
    "kernel": {"gvisor_kernel": {}},
    "egress": {"gvisor_egress": {}},
    "watch": {"gvisor_watch": True},
}
BESIDE: dict[str, dict[str, Any]] = {
    "default": {"gvisor_seal": None},
    "default_runtime": {
        "gvisor_runtimes": DECLARED["runtimes"]["gvisor_runtimes"],
        "gvisor_default": "sandbox",
    },
}
LINES = {
    "kernel": kernel_answers.in_force(),
    "egress": told(LOADED),
    "watch": watching(),
}
LOST = {
    "runtimes": "runtime net",
    "default": "gVisor as its default runtime",
    "default_runtime": "net for containers that ask for no runtime",
    "seal": "a seal for runtime runsc",
    "daemon_json": "icc in daemon.json",
    "daemon_json_if_absent": "debug in daemon.json",
    "kernel": "the blocked kernel modules and sysctls",
    "egress": "the egress firewall",
    "watch": "the watch",
}


def node_with(data: dict[str, Any], more: Iterable[str] = ()) -> Node:
    """A node that was deployed with this data."""
    settings = good(**data)
    scripts = [
        line
        for item in wrappers(settings.release, settings.runtimes, settings.dispatch)
        for text in item.text.splitlines()
        for line in (
            [f"starts {item.path} {text}"] if text.startswith("exec /opt/gvisor/") else [],
            [f"sealed {item.path}"] if text.startswith("mounts=") else [],
            [f"default_sandbox {item.path} {text[8:]}"] if text.startswith("sandbox=") else [],
        )
        for line in line
    ]
    return parse_node([*answer(**converged(settings))[:-1], *more, *scripts, END])


def refused(node: Node, **data: Any) -> dict[str, str]:
    """What is said about the keys that are absent."""
    found = map(str, absence_problems(node, good(**data)))
    return {text.partition(" ")[0]: text for text in found}


@pytest.mark.parametrize("row", PROTECTIONS, ids=lambda row: row.key)
def test_what_a_node_has_goes_by_the_off_value_of_its_key_and_not_without_it(row: Any) -> None:
    key = f"gvisor_{row.key}"
    beside = BESIDE.get(row.key, {})
    node = node_with({**beside, **DECLARED[row.key]}, LINES.get(row.key, ()))

    assert refused(node, **beside) == {
        key: f"{key} is not set, but the node has {LOST[row.key]}; set {key}, or write {key} = "
        f"{row.off} to remove {row.what}"
    }
    assert refused(node, **beside, **{key: ast.literal_eval(row.off)}) == {}
    assert refused(node, **beside, **DECLARED[row.key]) == {}


def test_every_part_with_settings_of_its_own_has_a_key_and_a_title() -> None:
    keyed = {part.name: part.key for part in PARTS if part.key}

    assert set(members("settings", "SETTINGS")) <= keyed.keys()
    assert all(part.title for part in PARTS if part.key)


def test_a_node_as_the_defaults_make_it_loses_nothing() -> None:
    assert refused(node_with({})) == {}
    assert refused(parse_node(answer())) == {}


def test_a_default_that_is_absent_is_named_without_its_seal_and_does_not_take_it_along() -> None:
    assert list(refused(node_with({"gvisor_default": "sandbox"}))) == ["gvisor_default"]
    node = node_with({"gvisor_default": "sandbox", "gvisor_seal": {"binds": ["/srv"]}})

    assert list(refused(node, gvisor_default="off")) == ["gvisor_seal"]
    assert refused(node, gvisor_default="off", gvisor_seal=None) == {}
    assert refused(node, gvisor_default="off", gvisor_seal={}) == {}


def test_a_runtime_that_is_not_declared_any_more_is_no_lost_choice_of_the_default() -> None:
    chosen = {"gvisor_runtimes": {"old": {}}, "gvisor_default": "sandbox"}
    node = node_with({**chosen, "gvisor_default_runtime": "old"})

    assert refused(node, **{**chosen, "gvisor_runtimes": {"new": {}}}) == {}
    assert refused(node, **chosen) == {}, "it is the only one"
    assert list(refused(node, **{**chosen, "gvisor_runtimes": {"runsc": {}, "old": {}}})) == [
        "gvisor_default_runtime"
    ]


def test_options_that_isolate_more_than_the_default_are_not_lost_with_their_key() -> None:
    node = node_with({"gvisor_runtimes": {"runsc": {"network": "none", "hardening": "strict"}}})

    found = refused(node)["gvisor_runtimes"]

    assert "runtime runsc with --network=none --oci-seccomp --directfs=false" in found
    assert refused(node, gvisor_runtimes={"runsc": {}}) == {}


def test_keys_of_daemon_json_that_another_key_declares_are_no_loss() -> None:
    key, other = "gvisor_daemon_json", "gvisor_daemon_json_if_absent"
    both = {key: {"icc": False}, other: {"debug": False}}
    node = node_with(both)

    assert refused(node).keys() == both.keys()
    assert list(refused(node, **{key: both[key]})) == [other]
    assert list(refused(node, **{other: both[other]})) == [key]
    assert refused(node, **{key: {"icc": False, "debug": True}}) == {}
    assert refused(node, **{other: {"icc": False, "debug": None}}) == {}


def test_a_key_that_moves_between_the_two_kinds_of_keys_belongs_to_the_last_one() -> None:
    node = node_with(DECLARED["daemon_json_if_absent"])
    moved = good(gvisor_daemon_json={"debug": False})

    plan = plan_for_settings(node, moved, list)

    assert plan.record
    assert not plan.owned.if_absent & {"debug"}


def group_data(name: str) -> dict[str, Any]:
    """The settings that the inventory of this repository has for a group."""
    path = Path(__file__).parents[3] / "inventories" / "group_data" / f"{name}.py"
    return {key: value for key, value in runpy.run_path(str(path)).items() if "gvisor_" in key}


def older(record: dict[str, Any]) -> dict[str, Any]:
    """A record as the first versions of this package wrote it."""
    new = ("owners", "earlier", "if_absent")
    paths = {
        name: {key: value for key, value in mine.items() if key not in new}
        for name, mine in record["paths"].items()
    }
    return {**record, "version": 1, "paths": paths}


@pytest.mark.parametrize("group", ["run", "build", "coolify"])
@pytest.mark.parametrize("written_by", ["this-version", "an-older-version"])
def test_a_host_of_a_group_of_this_repository_is_not_refused(group: str, written_by: str) -> None:
    data = group_data(group)
    given = converged(good(**data))
    if written_by == "an-older-version":
        given["state"]["owned"] = older(given["state"]["owned"])
    node = parse_node(answer(**given))

    assert refused(parse_node(answer()), **data) == {}, "a node that never met this package"
    assert refused(node, **data) == {}
    plan = plan_for_settings(node, good(**data), list)
    assert plan.before == plan.after
    assert not plan.action
    assert plan.record is (written_by == "an-older-version")

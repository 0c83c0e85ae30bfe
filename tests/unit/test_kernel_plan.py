"""What is done so that a node's kernel is as declared, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.part_api.plan import PartPlan
from pyinfra_gvisor.parts.kernel.files import DIRECTORY, MODULES_FILE, SYSCTL_FILE
from pyinfra_gvisor.parts.kernel.keep import KEEP
from pyinfra_gvisor.parts.kernel.plan import plan_kernel
from pyinfra_gvisor.parts.kernel.settings import Kernel
from tests.unit.answers import answer
from tests.unit.kernel_answers import ALL, WEAK, in_force, surface, told
from tests.unit.loaded_settings import good

FEW = Kernel(modules=("sctp", "tipc"), sysctls={"vm.swappiness": "10"})
OTHERS = sorted({*ALL.kept_out} - {"sctp"})
INTERFACES = "interfaces that are already up keep their values until the next boot"
KEY = "net.ipv4.conf.all.send_redirects"


def planned(*lines: str, wanted: Kernel | None = ALL) -> PartPlan:
    """The plan for a node that tells this."""
    return plan_kernel(surface(lines), wanted)


def test_a_weak_node_gets_two_files_and_every_setting() -> None:
    plan = planned(*told())

    assert plan.action == "apply"
    assert [item.path for item in plan.files] == [MODULES_FILE, SYSCTL_FILE]
    assert plan.settings == ALL.settings
    assert plan.lines[0] == f"write {MODULES_FILE}: block {', '.join(ALL.kept_out)}"
    assert {f"{key}: {WEAK[key]} -> {value}" for key, value in ALL.settings.items()} <= {
        *plan.lines
    }
    assert (plan.removed, plan.warnings) == ((), (INTERFACES,))


def test_a_second_plan_does_nothing() -> None:
    assert planned(*in_force()) == PartPlan()
    assert planned(*in_force(FEW), wanted=FEW) == PartPlan()


def test_a_value_that_somebody_changed_is_put_right_and_nothing_is_written() -> None:
    plan = planned(*in_force(values={KEY: "1"}))

    assert plan.lines == (f"{KEY}: 1 -> 0",)
    assert plan.files == ()
    assert plan.settings == ALL.settings


@pytest.mark.parametrize(
    ("given", "line"),
    [
        pytest.param(
            {"stat": "666:0:0"}, f"write {SYSCTL_FILE}: correct mode and owner", id="mode"
        ),
        pytest.param(
            {"stat": "644:1:0"}, f"write {SYSCTL_FILE}: correct mode and owner", id="owner"
        ),
        pytest.param({"texts": {SYSCTL_FILE: ""}}, f"write {SYSCTL_FILE}", id="content"),
        pytest.param(
            {"texts": {MODULES_FILE: "install sctp /bin/true\ninstall esp4 /bin/false\n"}},
            f"write {MODULES_FILE}: block {', '.join(OTHERS)}; allow esp4",
            id="modules",
        ),
    ],
)
def test_a_file_that_somebody_changed_is_written_again(given: dict[str, Any], line: str) -> None:
    plan = planned(*in_force(**given))

    assert plan.action == "apply"
    assert line in plan.lines


def test_a_setting_that_the_kernel_lacks_is_passed_over_and_told_with_the_first_change() -> None:
    lacking = {"net.core.bpf_jit_harden": ""}
    said = "net.core.bpf_jit_harden: skipped, this kernel does not have it"

    plan = planned(*told(values=lacking))

    assert said in plan.lines
    assert planned(*in_force(values=lacking)) == PartPlan()


def test_a_setting_whose_value_is_not_known_yet_is_only_said_to_be_set() -> None:
    plan = planned(*told(), wanted=FEW)

    assert "vm.swappiness: set to 10" in plan.lines


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("kernel.kptr_restrict", "2", id="hidden-from-root-too"),
        pytest.param("kernel.unprivileged_bpf_disabled", "1", id="for-good"),
        pytest.param("fs.protected_fifos", "2", id="group-writable-too"),
        pytest.param("net.ipv4.tcp_syncookies", "2", id="always"),
    ],
)
def test_what_is_set_more_strictly_is_left_to_whoever_set_it(key: str, value: str) -> None:
    plan = planned(*told(values={key: value}))

    assert key not in plan.settings
    assert f"{key} = " not in plan.files[1].text
    assert not [line for line in plan.lines if line.startswith(key)]
    files = {item.path: item.text for item in plan.files}
    assert planned(*told(texts=files, values={**plan.settings, key: value})) == PartPlan()


def test_what_is_ours_and_is_set_more_strictly_since_stays_in_our_file_and_is_not_loosened() -> (
    None
):
    key = "kernel.kptr_restrict"

    assert planned(*in_force(values={key: "2"})) == PartPlan()
    plan = planned(*in_force(values={key: "2", KEY: "1"}))

    assert plan.lines == (f"{KEY}: 1 -> 0",)
    assert key not in plan.settings


def test_a_stricter_value_than_an_operators_own_is_no_excuse() -> None:
    wanted = Kernel(sysctls={"kernel.kptr_restrict": "0"})

    plan = planned(*told(values={"kernel.kptr_restrict": "2"}), wanted=wanted)

    assert "kernel.kptr_restrict: 2 -> 0" in plan.lines


def test_a_setting_that_is_declared_no_longer_gets_its_earlier_value_back() -> None:
    plan = planned(*in_force(), wanted=Kernel(sysctls={KEY: None}))

    assert plan.lines == (f"write {SYSCTL_FILE}", f"{KEY}: 0 -> 1, its value before this package")
    assert KEY not in plan.settings


def test_removal_gives_back_every_value_and_leaves_nothing() -> None:
    plan = planned(*in_force(), wanted=None)

    assert plan.removed == (MODULES_FILE, SYSCTL_FILE)
    assert (plan.files, plan.settings, plan.warnings) == ((), {}, (INTERFACES,))
    assert f"{KEY}: 0 -> 1, its value before this package" in plan.lines
    assert plan.lines[-1] == f"remove {DIRECTORY}"
    assert planned(*told(), wanted=None) == PartPlan()


def test_a_value_that_is_not_ours_any_more_is_left_at_removal_and_told() -> None:
    plan = planned(*in_force(values={KEY: "7"}), wanted=None)

    assert f"{KEY}: left at 7, somebody has changed it since we set it" in plan.lines


def test_a_value_that_was_the_same_before_us_is_not_mentioned() -> None:
    lines = [line for line in in_force() if not line.startswith(f"kernel before {KEY} ")]

    plan = planned(*lines, f"kernel before {KEY} 0", wanted=None)

    assert not [line for line in plan.lines if line.startswith(KEY)]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(told(kept=True), id="an-empty-record"),
        pytest.param(told(before={KEY: "1"}, written={KEY: "0"}), id="a-record-without-a-file"),
        pytest.param(told(texts={MODULES_FILE: ""}), id="an-empty-file"),
    ],
)
def test_what_is_left_of_it_goes_too(lines: list[str]) -> None:
    assert surface(lines).there
    assert planned(*lines, wanted=None).action == "remove"


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        pytest.param(Kernel(modules=()), MODULES_FILE, id="modules"),
        pytest.param(Kernel(sysctls=None), SYSCTL_FILE, id="settings"),
    ],
)
def test_one_half_can_be_had_without_the_other(wanted: Kernel, gone: str) -> None:
    plan = planned(*in_force(), wanted=wanted)

    assert plan.removed == (gone,)
    assert plan.files == ()
    assert planned(*in_force(wanted), wanted=wanted) == PartPlan()


def test_a_module_that_is_loaded_is_told_and_stays() -> None:
    plan = planned(*told(modules={"tipc": 2, "ext4": 1, "esp4": 0}), wanted=Kernel(also=("esp4",)))

    assert plan.warnings == (
        INTERFACES,
        "esp4 is loaded (used by 0) and stays loaded until the next boot",
        "tipc is loaded (used by 2) and stays loaded until the next boot",
    )


def test_a_loaded_module_alone_is_no_reason_to_act() -> None:
    assert planned(*in_force(modules={"tipc": 2})) == PartPlan()


def test_a_builtin_module_is_told() -> None:
    plan = planned(*in_force(builtin=["cuse"], values={KEY: "1"}))

    assert plan.warnings == ("cuse is built into this kernel and cannot be blocked",)


def test_a_kernel_that_loads_no_modules_is_told_once() -> None:
    first = planned(*told(loads=False))

    assert first.warnings == (
        INTERFACES,
        f"this kernel cannot load modules, so {MODULES_FILE} has no effect on it",
    )
    assert first.files[0].path == MODULES_FILE
    assert planned(*in_force(loads=False)) == PartPlan()


@pytest.mark.parametrize(
    ("later", "warned"),
    [
        pytest.param([f"/etc/sysctl.d/99-x.conf:{KEY} = 1"], "/etc/sysctl.d/99-x.conf", id="etc"),
        pytest.param(
            ["/etc/sysctl.conf:-net/ipv4/conf/all/send_redirects=1"], "/etc/sysctl.conf", id="last"
        ),
        pytest.param(
            [f"/etc/sysctl.conf:{KEY}=1", f"/usr/lib/sysctl.d/99-x.conf:{KEY}=0"],
            "/etc/sysctl.conf",
            id="the-last-one-counts",
        ),
        pytest.param(
            [f"/etc/sysctl.d/99-x.conf:{KEY}=1", f"/etc/sysctl.conf:{KEY}=0"], None, id="mended"
        ),
        pytest.param(["/etc/sysctl.conf:kernel.kptr_restrict=2"], None, id="stricter"),
        pytest.param([f"/etc/sysctl.d/90-a.conf:{KEY} = 1"], None, id="read-before-ours"),
        pytest.param(["/etc/sysctl.d/99-x.conf:net.ipv4.conf.*.x = 1"], None, id="pattern"),
        pytest.param([f"/etc/ufw/sysctl.conf:{KEY}=1"], None, id="ufw-is-off"),
        pytest.param(
            ["/etc/ufw/ufw.conf:ENABLED=yes", f"/etc/ufw/sysctl.conf:{KEY}=1"],
            "/etc/ufw/sysctl.conf",
            id="ufw-is-on",
        ),
    ],
)
def test_a_file_that_is_read_behind_ours_and_says_otherwise_is_named(
    later: list[str], warned: str | None
) -> None:
    plan = planned(*told(later=later))

    expected = f"{warned} sets {KEY} to 1 and is read after {SYSCTL_FILE}"
    assert plan.warnings == ((INTERFACES, expected) if warned else (INTERFACES,))
    assert planned(*in_force(later=later)) == PartPlan()


def test_the_keeper_also_checks_a_setting_that_our_file_leaves_out_as_stricter() -> None:
    node = parse_node([*told(values={"kernel.kptr_restrict": "2"}), *answer()])

    given = KEEP.given(node, good(gvisor_kernel={}))

    assert "kernel/kptr_restrict\t1\t2" in given["kernel_sysctls"].splitlines()

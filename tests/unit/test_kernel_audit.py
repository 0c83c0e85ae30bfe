"""The audit of the kernel: what is declared of it, in its files, in force, and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pyinfra_gvisor.audit.observed import parse_observed
from pyinfra_gvisor.audit.rules import Audited, look
from pyinfra_gvisor.parts.kernel.audit import RULES
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE
from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.settings import load_settings
from tests.unit.answers import answer
from tests.unit.kernel_answers import in_force, told

KEY = "net.ipv4.conf.all.send_redirects"


def found(lines: Sequence[str] = (), **settings: Any) -> dict[str, Finding]:
    """What the rules find, by ``rule subject``, on a node that tells this of its kernel."""
    read, problems = load_settings({"gvisor_kernel": {}, **settings})
    assert read, problems
    host = Audited(parse_observed([*lines, *answer()]), read)
    return {f"{item.id} {item.subject}": item for item in look(RULES, host, {})}


def test_a_node_as_declared_is_clean() -> None:
    assert found(in_force()) == {}


def test_sockets_of_the_nodes_kernel_without_a_word_about_it_are_told() -> None:
    finding = found(told(), gvisor_kernel=None)["kernel-not-declared gvisor_kernel"]

    assert finding.severity is Severity.INFO
    assert "runsc" in finding.evidence


def test_sandboxes_with_a_network_of_their_own_need_no_word_about_it() -> None:
    own = {"gvisor_runtimes": {"runsc": {"network": "none"}}}

    assert found(told(), gvisor_kernel=None, **own) == {}


@pytest.mark.parametrize(
    ("lines", "evidence"),
    [
        pytest.param(told(), "the file is missing", id="missing"),
        pytest.param(in_force(texts={SYSCTL_FILE: ""}), "its content was changed", id="content"),
        pytest.param(in_force(stat="666:0:0"), "its mode or owner was changed", id="mode"),
    ],
)
def test_a_file_that_is_not_as_declared_is_found(lines: list[str], evidence: str) -> None:
    finding = found(lines)[f"kernel-files {SYSCTL_FILE}"]

    assert finding.severity is Severity.MEDIUM
    assert finding.evidence == evidence


def test_a_file_of_which_nothing_is_declared_is_found() -> None:
    every = found(in_force(), gvisor_kernel=None)

    said = "the file is on the node, but not declared"
    assert every[f"kernel-files {SYSCTL_FILE}"].evidence == said
    assert every[f"kernel-files {MODULES_FILE}"].evidence == said


@pytest.mark.parametrize(
    ("later", "by"),
    [
        pytest.param([], "", id="by-nobody-knows-whom"),
        pytest.param([f"/etc/sysctl.conf:{KEY}=1"], "; /etc/sysctl.conf sets it", id="by-a-file"),
        pytest.param([f"/etc/sysctl.conf:{KEY}=5"], "", id="a-file-has-a-third-value"),
    ],
)
def test_a_setting_with_another_value_is_found(later: list[str], by: str) -> None:
    finding = found(in_force(values={KEY: "1"}, later=later))[f"kernel-setting {KEY}"]

    assert finding.severity is Severity.MEDIUM
    assert finding.evidence == f"{KEY} is 1, declared 0{by}"


def test_a_stricter_value_and_a_setting_that_the_kernel_lacks_are_no_finding() -> None:
    values = {"kernel.kptr_restrict": "2", "net.core.bpf_jit_harden": ""}

    assert found(in_force(values=values)) == {}


def test_a_module_that_is_loaded_or_built_in_is_found() -> None:
    every = found(in_force(modules={"tipc": 2, "overlay": 9}, builtin=["cuse"]))

    assert set(every) == {"kernel-module tipc", "kernel-module cuse"}
    assert every["kernel-module tipc"].evidence == "loaded, used by 2"
    assert every["kernel-module tipc"].severity is Severity.MEDIUM
    assert every["kernel-module cuse"].severity is Severity.INFO


def test_a_kernel_without_modules_and_a_node_of_which_nothing_is_declared_have_none_loaded() -> (
    None
):
    assert found(in_force(loads=False)) == {}
    assert "kernel-module tipc" not in found(told(modules={"tipc": 1}), gvisor_kernel=None)

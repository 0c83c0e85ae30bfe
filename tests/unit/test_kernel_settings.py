"""What ``gvisor_kernel`` may say, and what comes of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pyinfra_gvisor.parts.kernel.defaults import MODULES, SYSCTLS
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE, kernel_files, set_by
from pyinfra_gvisor.parts.kernel.names import may_be_kept_out, may_be_set, module_name, sysctl_key
from pyinfra_gvisor.parts.kernel.settings import Kernel
from pyinfra_gvisor.parts.kernel.tables import modules_table, sysctls_table
from pyinfra_gvisor.settings import load_settings


def loaded(**kernel: Any) -> Kernel:
    """What a group data file says, as it is read."""
    settings, problems = load_settings({"gvisor_kernel": kernel})
    assert settings, problems
    assert settings.kernel
    return settings.kernel


def problem(**kernel: Any) -> str:
    """Why it is refused."""
    settings, problems = load_settings({"gvisor_kernel": kernel})
    assert settings is None
    return problems["gvisor_kernel"]


def text_of(wanted: Kernel, path: str) -> str:
    """What a file of ours says for it, nothing if there is none."""
    files = kernel_files(wanted.kept_out, wanted.settings)
    return next((item.text for item in files if item.path == path), "")


def test_without_the_key_nothing_is_declared() -> None:
    settings, _ = load_settings({})

    assert settings
    assert settings.kernel is None


def test_an_empty_one_is_everything_that_no_node_needs() -> None:
    wanted = loaded()

    assert set(wanted.kept_out) == set(MODULES)
    assert wanted.settings == {key: item.value for key, item in sorted(SYSCTLS.items())}


def test_every_default_keeps_the_rules_that_an_operator_is_held_to() -> None:
    for name, module in MODULES.items():
        assert may_be_kept_out(module_name(name)) == name
        assert all(module)
    for key, setting in SYSCTLS.items():
        may_be_set(sysctl_key(key), setting.value)
        assert sysctl_key(key) == key
        assert setting.source
        assert setting.value not in setting.stricter


def test_the_files_say_what_is_declared_and_can_be_read_back() -> None:
    wanted = loaded(modules=["sctp", "firewire-core"], sysctls={"vm.swappiness": 10})

    files = {item.path: item for item in kernel_files(wanted.kept_out, wanted.settings)}

    assert files[MODULES_FILE].text.splitlines()[1:] == [
        "install firewire_core /bin/false",
        "install sctp /bin/false",
    ]
    assert set_by(files[SYSCTL_FILE].text) == wanted.settings
    assert "vm.swappiness = 10" in files[SYSCTL_FILE].text.splitlines()
    assert {item.mode for item in files.values()} == {"644"}


@pytest.mark.parametrize(
    ("kernel", "kept_out"),
    [
        pytest.param({"modules": []}, (), id="none"),
        pytest.param({"modules": None}, (), id="not-managed"),
        pytest.param({"modules": ["b", "a-b", "a_b"]}, ("a_b", "b"), id="hyphens-and-twice"),
        pytest.param({"modules": ["sctp"], "also": ["esp4"]}, ("esp4", "sctp"), id="besides"),
        pytest.param({"modules": ["sctp", "rds"], "needed": ["sctp"]}, ("rds",), id="needed"),
    ],
)
def test_modules_are_those_that_are_named_less_those_that_are_needed(
    kernel: dict[str, Any], kept_out: tuple[str, ...]
) -> None:
    wanted = loaded(**kernel)

    assert wanted.kept_out == kept_out
    assert bool(text_of(wanted, MODULES_FILE)) == bool(kept_out)


def test_settings_are_laid_over_the_defaults_and_none_drops_one() -> None:
    wanted = loaded(
        sysctls={
            "kernel.kptr_restrict": 2,
            "net.ipv4.tcp_syncookies": None,
            "net.ipv4.tcp_rmem": "4096\t131072  6291456",
        }
    )

    assert wanted.settings["kernel.kptr_restrict"] == "2"
    assert "net.ipv4.tcp_syncookies" not in wanted.settings
    assert wanted.settings["net.ipv4.tcp_rmem"] == "4096 131072 6291456"
    assert wanted.settings["kernel.dmesg_restrict"] == "1"


def test_no_settings_at_all_are_no_file() -> None:
    wanted = loaded(sysctls=None)

    assert wanted.settings == {}
    assert text_of(wanted, SYSCTL_FILE) == ""


@pytest.mark.parametrize(
    ("text", "key"),
    [
        pytest.param("net.ipv4.tcp_syncookies", "net.ipv4.tcp_syncookies", id="dots"),
        pytest.param("net/ipv4/tcp_syncookies", "net.ipv4.tcp_syncookies", id="slashes"),
        pytest.param(
            "net.ipv4.conf.eth0/100.mc_forwarding",
            "net/ipv4/conf/eth0.100/mc_forwarding",
            id="dots-and-an-interface-with-one",
        ),
        pytest.param(
            "net/ipv4/conf/eth0.100/mc_forwarding",
            "net/ipv4/conf/eth0.100/mc_forwarding",
            id="slashes-and-an-interface-with-a-dot",
        ),
    ],
)
def test_a_key_has_one_form(text: str, key: str) -> None:
    assert sysctl_key(text) == key
    assert sysctl_key(key) == key


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        pytest.param({"modules": ["over-lay"]}, None, id="another-name-is-no-matter"),
        pytest.param(
            {"modules": ["overlay"]}, "Docker needs this module, got overlay", id="overlay"
        ),
        pytest.param(
            {"also": ["br-netfilter"]}, "Docker needs this module, got br_netfilter", id="hyphen"
        ),
        pytest.param(
            {"also": ["nf_tables"]}, "Docker needs this module, got nf_tables", id="pattern"
        ),
        pytest.param(
            {"also": ["kvm_intel"]}, "gVisor needs this module, got kvm_intel", id="gvisor"
        ),
        pytest.param({"also": ["virtio_net"]}, "the node itself needs", id="boot"),
        pytest.param(
            {"modules": ["-r"]}, "not the name of a kernel module, got -r", id="an-option"
        ),
        pytest.param(
            {"modules": ["a b"]}, "not the name of a kernel module, got a b", id="two-words"
        ),
        pytest.param(
            {"modules": ["a\nb"]}, "not the name of a kernel module, got a?b", id="two-lines"
        ),
        pytest.param({"modules": [""]}, "not the name of a kernel module", id="no-name"),
        pytest.param(
            {"needed": ["sctpp"]}, "names a module that is not blocked, got sctpp", id="needed-slip"
        ),
    ],
)
def test_a_module_that_must_stay_and_what_is_no_module_are_refused(
    kernel: dict[str, Any], expected: str | None
) -> None:
    if expected is None:
        assert loaded(**kernel).kept_out == ("over_lay",)
    else:
        assert expected in problem(**kernel)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        pytest.param("net.ipv4.ip_forward", 0, "Docker forwards", id="forwarding"),
        pytest.param("net/ipv6/conf/eth0.1/forwarding", 0, "Docker forwards", id="of-one"),
        pytest.param("net.ipv4.conf.all.route_localnet", 0, "Docker publishes", id="localnet"),
        pytest.param("net.bridge.bridge-nf-call-iptables", 0, "its bridges", id="bridge"),
        pytest.param("user.max_user_namespaces", 0, "user namespaces", id="namespaces"),
        pytest.param("kernel.modules_disabled", 1, "only a reboot reverts", id="modules"),
        pytest.param("kernel.modprobe", "/bin/false", "Docker needs kernel modules", id="modprobe"),
        pytest.param("kernel.unprivileged_bpf_disabled", 1, "write 2, which", id="bpf"),
        pytest.param("kernel.yama.ptrace_scope", 3, "the ptrace that sandboxes need", id="ptrace"),
        pytest.param("kernel.unprivileged_bpf_disabled", 0, None, id="another-value"),
        pytest.param("net.ipv4.ip_forward", None, None, id="left-alone"),
        pytest.param("kernel", 1, "not the name of a sysctl, got kernel", id="one-word"),
        pytest.param("/kernel/x", 1, "not the name of a sysctl", id="absolute"),
        pytest.param("kernel/../../etc/x", 1, "not the name of a sysctl", id="upwards"),
        pytest.param("net.ipv4.conf.*.rp_filter", 1, "not the name of a sysctl", id="pattern"),
        pytest.param("-kernel.x", 1, "not the name of a sysctl", id="an-option"),
        pytest.param("kernel.x\ny", 1, "not the name of a sysctl", id="two-lines"),
        pytest.param("kernel.x", "", "not the value of a sysctl", id="no-value"),
        pytest.param("kernel.x", "1\n2", "not the value of a sysctl", id="value-of-two-lines"),
        pytest.param("kernel.x", "\x1b[31m", "not the value of a sysctl", id="control-character"),
        pytest.param("kernel.x", "1" * 300, "not the value of a sysctl", id="long"),
        pytest.param("kernel.x", True, "input should be", id="boolean"),
        pytest.param("kernel.x", 1.5, "input should be", id="fraction"),
    ],
)
def test_a_setting_of_somebody_elses_and_what_is_no_setting_are_refused(
    key: str, value: object, expected: str | None
) -> None:
    if expected is None:
        assert loaded(sysctls={key: value}).settings.get(key) == (
            None if value is None else str(value)
        )
    else:
        assert expected in problem(sysctls={key: value})


def test_one_key_in_two_forms_is_refused() -> None:
    assert "the sysctl is given twice" in problem(sysctls={"kernel.x": 1, "kernel/x": 2})


def test_the_tables_name_each_with_its_source() -> None:
    modules, sysctls = modules_table(), sysctls_table()

    assert set(re.findall(r"`([a-z0-9_]+)`", modules)) == set(MODULES)
    assert set(re.findall(r"`([a-z0-9_.]+\.[a-z0-9_.]+)`", sysctls)) == set(SYSCTLS)
    said = "| `cuse` | character devices in user space | CVE-2026-96812, a way out of gVisor |"
    assert said in modules.splitlines()
    assert "`kernel.kptr_restrict` | `1` or `2` | " in sysctls
    assert {row.count("|") for row in modules.splitlines()} == {4}
    assert {row.count("|") for row in sysctls.splitlines()} == {5}

"""``gvisor_kernel``: what it may say, what is done for it and told of it, and its audit."""

import re
from collections.abc import Sequence
from typing import Any

from pyinfra_gvisor.audit.observed import parse_observed
from pyinfra_gvisor.audit.rules import Audited, look
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.kernel.audit import RULES
from pyinfra_gvisor.parts.kernel.defaults import MODULES, SYSCTLS
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE, kernel_files, set_by
from pyinfra_gvisor.parts.kernel.keep import KEEP
from pyinfra_gvisor.parts.kernel.names import may_be_kept_out, may_be_set, module_name, sysctl_key
from pyinfra_gvisor.parts.kernel.plan import plan_kernel
from pyinfra_gvisor.parts.kernel.settings import Kernel
from pyinfra_gvisor.parts.kernel.tables import modules_list, sysctls_list
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.policy.findings import Finding, Severity
from tests.table import table
from tests.unit.answers import answer
from tests.unit.kernel.kernel_answers import ALL, in_force, surface, told
from tests.unit.settings.loaded_settings import good, problems_of

FEW = Kernel(modules=("sctp", "tipc"), sysctls={"vm.swappiness": "10"})
OTHERS = sorted({*ALL.kept_out} - {"sctp"})
INTERFACES = "interfaces that are already up keep their values until the next boot"
KEY = "net.ipv4.conf.all.send_redirects"


def loaded(**kernel: Any) -> Kernel:
    """What a group data file says, as it is read."""
    wanted = good(gvisor_kernel=kernel).kernel
    assert wanted
    return wanted


def problem(**kernel: Any) -> str:
    """Why it is refused."""
    return problems_of(gvisor_kernel=kernel)["gvisor_kernel"]


def text_of(wanted: Kernel, path: str) -> str:
    """What a file of ours says for it, nothing if there is none."""
    files = kernel_files(wanted.kept_out, wanted.settings)
    return next((item.text for item in files if item.path == path), "")


def test_without_the_key_nothing_is_declared_and_an_empty_one_is_what_no_node_needs() -> None:
    wanted = loaded()

    assert good().kernel is None
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

    blocked = ["install firewire_core /bin/false", "install sctp /bin/false"]
    assert files[MODULES_FILE].text.splitlines()[1:] == blocked
    assert set_by(files[SYSCTL_FILE].text) == wanted.settings
    assert "vm.swappiness = 10" in files[SYSCTL_FILE].text.splitlines()
    assert {item.mode for item in files.values()} == {"644"}


@table(
    "kernel, kept_out",
    none=({"modules": []}, ()),
    not_managed=({"modules": None}, ()),
    hyphens_and_twice=({"modules": ["b", "a-b", "a_b"]}, ("a_b", "b")),
    besides=({"modules": ["sctp"], "also": ["esp4"]}, ("esp4", "sctp")),
    needed=({"modules": ["sctp", "rds"], "needed": ["sctp"]}, ("rds",)),
)
def test_modules_are_those_named_and_not_needed(kernel: Any, kept_out: tuple[str, ...]) -> None:
    wanted = loaded(**kernel)

    assert wanted.kept_out == kept_out
    assert bool(text_of(wanted, MODULES_FILE)) == bool(kept_out)


def test_settings_are_laid_over_the_defaults_none_drops_one_and_none_at_all_are_no_file() -> None:
    over = {"kernel.kptr_restrict": 2, "net.ipv4.tcp_rmem": "4096\t131072  6291456"}
    not_ours = {"kernel.unprivileged_bpf_disabled": 0, "net.ipv4.ip_forward": None}

    settings = loaded(sysctls={**over, **not_ours, "net.ipv4.tcp_syncookies": None}).settings
    none = loaded(sysctls=None)

    assert settings["kernel.kptr_restrict"] == "2"
    assert settings["net.ipv4.tcp_rmem"] == "4096 131072 6291456"
    assert settings["kernel.dmesg_restrict"] == "1"
    assert settings["kernel.unprivileged_bpf_disabled"] == "0"
    assert not {"net.ipv4.tcp_syncookies", "net.ipv4.ip_forward"} & settings.keys()
    assert (none.settings, text_of(none, SYSCTL_FILE)) == ({}, "")


DOTTED = "net/ipv4/conf/eth0.100/mc_forwarding"  # an interface whose name has a dot


@table(
    "text, key",
    dots=("net.ipv4.tcp_syncookies", "net.ipv4.tcp_syncookies"),
    slashes=("net/ipv4/tcp_syncookies", "net.ipv4.tcp_syncookies"),
    dots_and_a_slash=("net.ipv4.conf.eth0/100.mc_forwarding", DOTTED),
    slashes_and_a_dot=(DOTTED, DOTTED),
)
def test_a_key_has_one_form(text: str, key: str) -> None:
    assert sysctl_key(text) == key
    assert sysctl_key(key) == key


@table(
    "kernel, expected",
    hyphen=({"also": ["br-netfilter"]}, "needs this module, got br_netfilter"),
    pattern=({"also": ["nf_tables"]}, "needs this module, got nf_tables"),
    gvisor=({"also": ["kvm_intel"]}, "gVisor needs this module, got kvm"),
    boot=({"also": ["virtio_net"]}, "the node itself needs"),
    an_option=({"modules": ["-r"]}, "not the name of a kernel module, got -r"),
    lines=({"modules": ["a\nb"]}, "not the name of a kernel module, got a?"),
    no_name=({"modules": [""]}, "not the name of a kernel module"),
    needed=({"needed": ["sctpp"]}, "a module that is not blocked, got sctpp"),
)
def test_what_is_no_module_or_must_stay_is_refused(kernel: Any, expected: str) -> None:
    assert expected in problem(**kernel)
    assert loaded(modules=["over-lay"]).kept_out == ("over_lay",)


@table(
    "key, value, expected",
    forwarding=("net.ipv4.ip_forward", 0, "Docker forwards"),
    of_one=("net/ipv6/conf/eth0.1/forwarding", 0, "Docker forwards"),
    localnet=("net.ipv4.conf.all.route_localnet", 0, "Docker publishes"),
    bridge=("net.bridge.bridge-nf-call-iptables", 0, "its bridges"),
    namespaces=("user.max_user_namespaces", 0, "user namespaces"),
    modules=("kernel.modules_disabled", 1, "only a reboot reverts"),
    modprobe=("kernel.modprobe", "/bin/false", "Docker needs kernel modules"),
    bpf=("kernel.unprivileged_bpf_disabled", 1, "write 2, which"),
    ptrace=("kernel.yama.ptrace_scope", 3, "the ptrace that sandboxes need"),
    one_word=("kernel", 1, "not the name of a sysctl, got kernel"),
    absolute=("/kernel/x", 1, "not the name of a sysctl"),
    an_option=("-kernel.x", 1, "not the name of a sysctl"),
    upwards=("kernel/../../etc/x", 1, "not the name of a sysctl"),
    pattern=("net.ipv4.conf.*.rp_filter", 1, "not the name of a sysctl"),
    two_lines=("kernel.x\ny", 1, "not the name of a sysctl"),
    no_value=("kernel.x", "", "not the value of a sysctl"),
    value_of_two_lines=("kernel.x", "1\n2", "not the value of a sysctl"),
    fraction=("kernel.x", 1.5, "must be"),
    control_character=("kernel.x", "\x1b[31m", "not the value of a sysctl"),
    long=("kernel.x", "1" * 300, "not the value of a sysctl"),
    boolean=("kernel.x", True, "must be"),
)
def test_what_is_no_setting_of_ours_is_refused(key: str, value: object, expected: str) -> None:
    assert expected in problem(sysctls={key: value})


def test_one_key_in_two_forms_is_refused() -> None:
    assert "the sysctl is given twice" in problem(sysctls={"kernel.x": 1, "kernel/x": 2})


def test_the_lists_name_each_once_with_its_reason() -> None:
    modules, sysctls = modules_list(), sysctls_list()

    assert sorted(re.findall(r"`([a-z0-9_]+)`", modules)) == sorted(MODULES)
    assert sorted(re.findall(r"`([a-z0-9_.]+\.[a-z0-9_.]+)=", sysctls)) == sorted(SYSCTLS)
    assert "`cuse` (CVE-2026-96812)" in modules
    assert "`kernel.kptr_restrict=1` (or `2`)" in sysctls


def planned(*lines: str, wanted: Kernel | None = ALL) -> PartPlan:
    """The plan for a node that tells this."""
    return plan_kernel(surface(lines), wanted)


LACKS = "net.core.bpf_jit_harden"
LACKING = {LACKS: ""}
LOOSE = Kernel(sysctls={"kernel.kptr_restrict": "0"})
LEFT = f"{KEY}: left at 7, somebody has changed it since we set it"
STRICTER = {"kernel.kptr_restrict": "2"}
NO_MODULES, NO_SETTINGS = Kernel(modules=()), Kernel(sysctls=None)


@table(
    "lines, wanted",
    as_declared=(in_force(), ALL),
    few=(in_force(FEW), FEW),
    no_modules=(in_force(NO_MODULES), NO_MODULES),
    no_settings=(in_force(NO_SETTINGS), NO_SETTINGS),
    a_setting_that_the_kernel_lacks=(in_force(values=LACKING), ALL),
    set_more_strictly_since=(in_force(values=STRICTER), ALL),
    a_module_is_loaded=(in_force(modules={"tipc": 2}), ALL),
    a_kernel_without_modules=(in_force(loads=False), ALL),
    another_file=(in_force(later=[f"/etc/sysctl.conf:{KEY}=1"]), ALL),
    nothing_there_and_nothing_wanted=(told(), None),
)
def test_a_second_plan_does_nothing(lines: list[str], wanted: Kernel | None) -> None:
    assert planned(*lines, wanted=wanted) == PartPlan()


OTHER_MODULES = "install sctp /bin/true\ninstall esp4 /bin/false\n"
MODULES_WRITTEN = f"write {MODULES_FILE}: block {', '.join(OTHERS)}; allow esp4"


@table(
    "lines, wanted, said",
    mode=(in_force(stat="666:0:0"), ALL, f"write {SYSCTL_FILE}: correct mode and owner"),
    owner=(in_force(stat="644:1:0"), ALL, f"write {SYSCTL_FILE}: correct mode and owner"),
    content=(in_force(texts={SYSCTL_FILE: ""}), ALL, f"write {SYSCTL_FILE}"),
    modules=(in_force(texts={MODULES_FILE: OTHER_MODULES}), ALL, MODULES_WRITTEN),
    lacking=(told(values=LACKING), ALL, f"{LACKS}: skipped, this kernel does not have it"),
    not_known_yet=(told(), FEW, "vm.swappiness: set to 10"),
    an_operators_own=(told(values=STRICTER), LOOSE, "kernel.kptr_restrict: 2 -> 0"),
    not_ours_any_more=(in_force(values={KEY: "7"}), None, LEFT),
)
def test_what_is_done_or_left_is_told(lines: list[str], wanted: Kernel | None, said: str) -> None:
    plan = planned(*lines, wanted=wanted)

    assert plan.action == ("apply" if wanted else "remove")
    assert said in plan.lines


@table(
    "key, value",
    hidden_from_root_too=("kernel.kptr_restrict", "2"),
    for_good=("kernel.unprivileged_bpf_disabled", "1"),
    group_writable_too=("fs.protected_fifos", "2"),
    always=("net.ipv4.tcp_syncookies", "2"),
)
def test_what_is_set_more_strictly_is_left_to_whoever_set_it(key: str, value: str) -> None:
    plan = planned(*told(values={key: value}))

    assert key not in plan.settings
    assert f"{key} = " not in plan.files[1].text
    assert not [line for line in plan.lines if line.startswith(key)]
    files = {item.path: item.text for item in plan.files}
    assert planned(*told(texts=files, values={**plan.settings, key: value})) == PartPlan()


def test_a_changed_value_is_put_right_and_what_is_set_more_strictly_is_not_loosened() -> None:
    plan = planned(*in_force(values={**STRICTER, KEY: "1"}))

    assert (plan.lines, plan.files) == ((f"{KEY}: 1 -> 0",), ())
    assert ALL.settings.items() - plan.settings.items() == {("kernel.kptr_restrict", "1")}


def test_a_setting_that_is_declared_no_longer_gets_its_earlier_value_back() -> None:
    plan = planned(*in_force(), wanted=Kernel(sysctls={KEY: None}))

    assert plan.lines == (f"write {SYSCTL_FILE}", f"{KEY}: 0 -> 1, its value before this package")
    assert KEY not in plan.settings


def test_removal_gives_back_every_value_and_leaves_nothing() -> None:
    plan = planned(*in_force(), wanted=None)

    assert plan.removed == (MODULES_FILE, SYSCTL_FILE)
    assert (plan.files, plan.settings, plan.warnings) == ((), {}, (INTERFACES,))
    assert f"{KEY}: 0 -> 1, its value before this package" in plan.lines
    assert plan.lines[-1] == "remove /opt/gvisor/kernel"


def test_a_value_that_was_the_same_before_us_is_not_mentioned() -> None:
    lines = [line for line in in_force() if not line.startswith(f"kernel before {KEY} ")]

    plan = planned(*lines, f"kernel before {KEY} 0", wanted=None)

    assert not [line for line in plan.lines if line.startswith(KEY)]


@table(
    "lines",
    an_empty_record=told(kept=True),
    a_record_without_a_file=told(before={KEY: "1"}, written={KEY: "0"}),
    an_empty_file=told(texts={MODULES_FILE: ""}),
)
def test_what_is_left_of_it_goes_too(lines: list[str]) -> None:
    assert surface(lines).there
    assert planned(*lines, wanted=None).action == "remove"


@table("wanted, gone", modules=(NO_MODULES, MODULES_FILE), settings=(NO_SETTINGS, SYSCTL_FILE))
def test_one_half_can_be_had_without_the_other(wanted: Kernel, gone: str) -> None:
    plan = planned(*in_force(), wanted=wanted)

    assert (plan.removed, plan.files) == ((gone,), ())


BUILTIN = in_force(builtin=["cuse"], values={"vm.unprivileged_userfaultfd": "1"})
STAYS = "{} is loaded (used by {}) and stays loaded until the next boot"
NO_EFFECT = f"this kernel cannot load modules, so {MODULES_FILE} has no effect on it"


@table(
    "lines, wanted, warnings",
    loaded=(
        told(modules={"tipc": 2, "ext4": 1, "esp4": 0}),
        Kernel(also=("esp4",)),
        [INTERFACES, STAYS.format("esp4", 0), STAYS.format("tipc", 2)],
    ),
    builtin=(BUILTIN, ALL, ["cuse is built into this kernel and cannot be blocked"]),
    no_modules=(told(loads=False), ALL, [INTERFACES, NO_EFFECT]),
)
def test_a_module_that_stays_is_told(lines: list[str], wanted: Kernel, warnings: Any) -> None:
    assert [*planned(*lines, wanted=wanted).warnings] == warnings


LATER, LAST, UFW = "/etc/sysctl.d/99-x.conf", "/etc/sysctl.conf", "/etc/ufw/sysctl.conf"


@table(
    "later, warned",
    etc=([f"{LATER}:{KEY} = 1"], LATER),
    last=([f"{LAST}:-net/ipv4/conf/all/send_redirects=1"], LAST),
    the_last_one_counts=([f"{LAST}:{KEY}=1", f"{LATER}:{KEY}=0"], LAST),
    mended=([f"{LATER}:{KEY}=1", f"{LAST}:{KEY}=0"], None),
    stricter=([f"{LAST}:kernel.kptr_restrict=2"], None),
    read_before_ours=([f"/etc/sysctl.d/90-a.conf:{KEY} = 1"], None),
    pattern=([f"{LATER}:net.ipv4.conf.*.x = 1"], None),
    ufw_is_off=([f"{UFW}:{KEY}=1"], None),
    ufw_is_on=(["/etc/ufw/ufw.conf:ENABLED=yes", f"{UFW}:{KEY}=1"], UFW),
)
def test_a_file_that_says_otherwise_later_is_named(later: list[str], warned: str | None) -> None:
    plan = planned(*told(later=later))

    expected = f"{warned} sets {KEY} to 1 and is read after {SYSCTL_FILE}"
    assert plan.warnings == ((INTERFACES, expected) if warned else (INTERFACES,))


def test_the_keeper_also_checks_a_setting_that_our_file_leaves_out_as_stricter() -> None:
    node = parse_node([*told(values={"kernel.kptr_restrict": "2"}), *answer()])

    given = KEEP.given(node, good(gvisor_kernel={}))

    assert "kernel/kptr_restrict\t1\t2" in given["kernel_sysctls"].splitlines()


def found(lines: Sequence[str] = (), **settings: Any) -> dict[str, Finding]:
    """What the rules find, by ``rule subject``, on a node that tells this of its kernel."""
    host = Audited(parse_observed([*lines, *answer()]), good(**{"gvisor_kernel": {}, **settings}))
    return {f"{item.id} {item.subject}": item for item in look(RULES, host, {})}


@table(
    "lines",
    as_declared=in_force(),
    stricter_or_lacking=in_force(values={**STRICTER, **LACKING}),
    a_kernel_without_modules=in_force(loads=False),
)
def test_a_node_as_declared_is_clean(lines: list[str]) -> None:
    assert found(lines) == {}


def test_sockets_of_the_nodes_kernel_without_a_word_about_it_are_told() -> None:
    finding = found(told(), gvisor_kernel=None)["kernel-not-declared gvisor_kernel"]

    assert finding.severity is Severity.INFO
    assert "runsc" in finding.evidence


def test_sandboxes_with_a_network_of_their_own_need_no_word_about_it() -> None:
    own = {"gvisor_runtimes": {"runsc": {"network": "none"}}}

    assert found(told(), gvisor_kernel=None, **own) == {}


def set_again(*later: str) -> list[str]:
    """The lines of a node on which somebody has set one value back to 1."""
    return in_force(values={KEY: "1"}, later=later)


FILE, SETTING = f"kernel-files {SYSCTL_FILE}", f"kernel-setting {KEY}"
BY_A_FILE = f"{KEY} is 1, declared 0; /etc/sysctl.conf sets it"


@table(
    "lines, key, evidence",
    missing=(told(), FILE, "the file is missing"),
    content=(in_force(texts={SYSCTL_FILE: ""}), FILE, "its content was changed"),
    mode=(in_force(stat="666:0:0"), FILE, "its mode or owner was changed"),
    set_by_nobody_knows_whom=(set_again(), SETTING, f"{KEY} is 1, declared 0"),
    set_by_a_file=(set_again(f"/etc/sysctl.conf:{KEY}=1"), SETTING, BY_A_FILE),
    third_value=(set_again(f"/etc/sysctl.conf:{KEY}=5"), SETTING, f"{KEY} is 1, declared 0"),
)
def test_what_is_not_as_declared_is_found(lines: list[str], key: str, evidence: str) -> None:
    finding = found(lines)[key]

    assert (finding.severity, finding.evidence) == (Severity.MEDIUM, evidence)


def test_a_file_of_which_nothing_is_declared_is_found_and_a_loaded_module_is_not() -> None:
    every = found(in_force(modules={"tipc": 1}), gvisor_kernel=None)

    for path in (SYSCTL_FILE, MODULES_FILE):
        assert every[f"kernel-files {path}"].evidence == "the file is on the node, but not declared"
    assert "kernel-module tipc" not in every


def test_a_module_that_is_loaded_or_built_in_is_found() -> None:
    every = found(in_force(modules={"tipc": 2, "overlay": 9}, builtin=["cuse"]))

    assert set(every) == {"kernel-module tipc", "kernel-module cuse"}
    assert every["kernel-module tipc"].evidence == "loaded, used by 2"
    assert every["kernel-module tipc"].severity is Severity.MEDIUM
    assert every["kernel-module cuse"].severity is Severity.INFO

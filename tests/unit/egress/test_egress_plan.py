"""A node's firewall: what the node says of it, and what makes it as declared, or gone."""

import base64
import hashlib
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import FoundFile, drop_in
from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.daemon_json.reach import proxied
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.egress.dockerd import Dockerd, dockerd_of
from pyinfra_gvisor.parts.egress.files import (
    DIRECTORY,
    LOAD,
    MEMBERS,
    NAME,
    REVERT,
    RULES,
    SERVICE,
    service_text,
)
from pyinfra_gvisor.parts.egress.plan import differences
from pyinfra_gvisor.parts.egress.rules import TABLE
from pyinfra_gvisor.parts.egress.state import DockerNetwork, EgressState
from pyinfra_gvisor.parts_common.plan import PartPlan
from tests.table import table
from tests.unit.answers import UNIT_FLAGS, answer, info, node
from tests.unit.egress.egress_states import behind, found, planned

REASON = "asked for by the test"
NOTHING = PartPlan()
DIGEST = hashlib.sha256(b"").hexdigest()
UNIT = "pyinfra-gvisor-egress.service"
DROP_INS = [drop_in(unit, NAME) for unit in Dockerd().units]
CHANGED = f"table {TABLE} was changed after it was loaded"
OTHER_FILE = f"the loaded rules are not those of {RULES}"


def loaded() -> EgressState:
    """A node on which the default rules are in force."""
    return behind(planned(found(), {}))


def test_a_node_without_a_firewall_gets_rules_programs_and_units() -> None:
    plan, lines = planned(found(), {}), service_text().splitlines()
    asking = planned(found(), {}, dns=("10.0.0.9",))

    modes = {item.path: item.mode for item in plan.files}
    assert (plan.action, plan.texts[RULES][0], plan.warnings) == ("apply", None, ())
    programs = dict.fromkeys((MEMBERS, LOAD, REVERT), "755")
    assert modes == {RULES: "644", **programs, SERVICE: "644", **dict.fromkeys(DROP_INS, "644")}
    told_apart_by_nothing = planned(found(), {}, is_told_apart=False)
    assert len(told_apart_by_nothing.files) == 5
    assert plan.texts[RULES][1] == next(item.text for item in plan.files if item.path == RULES)
    rule = "ip daddr { 10.0.0.9 } meta l4proto { tcp, udp } th dport 53"
    assert rule in (asking.texts[RULES][1] or ""), "the resolvers of daemon.json are asked"
    assert "Before=network-pre.target docker.service containerd.service shutdown.target" in lines
    assert {"PartOf=nftables.service", "ReloadPropagatedFrom=nftables.service"} <= set(lines)
    assert f"ConditionPathExists={RULES}" in lines
    assert f"ExecStop=-/usr/sbin/nft delete table {TABLE}" in lines
    assert lines[-1] == "WantedBy=sysinit.target"


def test_what_is_done_is_told_line_by_line_also_where_nothing_is_blocked_or_asked() -> None:
    wanted = {"allow": [{"to": "10.0.0.5"}], "deny": ["9.9.9.9"], "confirm_s": 45}
    bridges = {"bridges": ("br0", "br1"), "uplinks": ("br0",), "ports": {"br1": "e1"}}
    node = found(nft=False, managers=("ufw",), **bridges)

    assert planned(node, wanted).lines == (
        "install nftables from the node's own apt",
        f"load table {TABLE} for container interfaces: every bridge",
        "blocked: metadata, private, node, smtp, 9.9.9.9/32",
        "allowed exceptions: 10.0.0.5/32",
        "allowed resolvers: 192.0.2.53",
        "the same rules hold for Docker itself, which may also reach: nothing",
        "connections that are open stay open until they end",
        "Docker's own firewall chains are not changed and stay active",
        "br0 is not filtered: it carries the default route",
        "br1 is not filtered: it has a port that leaves this node (e1)",
        "ufw is active and not changed: traffic that either firewall blocks stays blocked",
        "roll back unless a new SSH connection succeeds within 45 s",
    )
    assert set(planned(found(resolvers=()), {"block": []}).lines) >= {
        "blocked: nothing",
        "allowed exceptions: none",
        "allowed resolvers: any on the open internet",
    }


SHOWN_BY_INFO = {
    "HttpProxy": "http://me:word@proxy.test:3128",
    "RegistryConfig": {
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "10.0.0.0/8"],
        "IndexConfigs": {"docker.io": {"Secure": True}, "10.0.0.7:5000": {"Secure": False}},
        "Mirrors": ["https://mirror.test/"],
    },
    "LoggingDriver": "syslog",
}
LOGS = '{"log-driver": "syslog", "log-opts": {"syslog-address": "udp://10.0.0.9:514"}}'


def test_what_dockerds_configuration_names_is_open_to_it_and_no_network_is() -> None:
    known = dockerd_of(node(docker=info(**SHOWN_BY_INFO), daemon_json=LOGS))

    assert [(item.to, item.ports) for item in known.peers] == [
        ("mirror.test", ("443",)),
        ("proxy.test", ("3128",)),
        ("10.0.0.7/32", ("5000",)),
        ("10.0.0.9/32", ("514/udp",)),
    ]
    assert known.is_told_apart
    assert not dockerd_of(node(cgroup="1")).is_told_apart
    assert not dockerd_of(node(uname="5.10.0-30-amd64 x86_64")).is_told_apart
    assert "word" not in str(node(docker=info(**SHOWN_BY_INFO)))


def test_a_bridge_of_others_is_told_aloud_before_what_is_behind_it_is_cut_off() -> None:
    node = loaded().model_copy(update={"bridges": ("docker0", "virbr0", 'q"q'), "now": None})

    told = planned(node, {}).warnings

    what = "; machines on it are filtered like containers"
    assert [line.split(":")[0] for line in told] == [
        f'Docker did not create bridge q"q{what}',
        'containers can reach machines on bridge q"q',
        f"Docker did not create bridge virbr0{what}",
    ]
    assert all("gvisor_egress['exclude']" in line for line in told if what in line)
    assert planned(node, {"exclude": ["virbr0", "q*"]}).warnings == ()


LAN = DockerNetwork(name="lan", driver="bridge", bridge="br0")
SHARED = found(bridges=("br0",), uplinks=("br0",), networks=(*found().networks, LAN))
WITH_VIRBR = found(bridges=("docker0", "virbr0"))
PRIVATE_DNS = found(resolvers=("10.0.0.2",), uplinks=("eth0",))
NO_DNS: dict[str, Any] = {"dns": []}
UNFILTERED = (
    "containers of the Docker network lan are not filtered: "
    "its bridge br0 carries the default route"
)
NO_SYSTEMD = (
    "^the egress firewall needs systemd on the node, got sysvinit; remove gvisor_egress for this "
    "node, and use another firewall there$"
)
BLOCKS_DNS = "the rules would block a resolver that Docker's DNS uses, got"
ACCEPTED = f"RISK ACCEPTED: {BLOCKS_DNS} 10.0.0.2. Reason given: {REASON}"


def test_rules_that_only_report_cut_nobody_off_and_say_what_would_be_refused() -> None:
    plan = planned(PRIVATE_DNS, {**NO_DNS, "mode": "report"})

    assert plan.warnings[0].startswith(f"with mode enforce this would be refused: {BLOCKS_DNS}")
    would = "only reported, not blocked: metadata, private, node, smtp"
    assert would in plan.lines


def test_after_rules_that_only_report_the_first_that_block_are_refused_as_ever() -> None:
    plan = planned(WITH_VIRBR, {"mode": "report"})
    reporting = behind(plan, bridges=WITH_VIRBR.bridges)
    opened = planned(loaded(), {"mode": "report"})

    with pytest.raises(Problem, match="Docker did not create this bridge"):
        planned(reporting, {})
    assert any("the new rules only report" in line for line in opened.warnings)


@table(
    "node, settings, more, what",
    never_filtered=(WITH_VIRBR, {}, {}, "Docker did not create this bridge; .* got virbr0;"),
    outside=(SHARED, {}, {}, "Docker network lan would not be filtered: its bridge"),
    one_reason=(PRIVATE_DNS, NO_DNS, {}, f"^{BLOCKS_DNS} 10.0.0.2"),
    two_reasons=(
        PRIVATE_DNS,
        {"dns": [], "interfaces": ["eth0"]},
        {},
        "interface connects this node to its network.*, and the rules would block a resolver",
    ),
    one_in_force=(loaded(), {"dns": [], "deny": ["192.0.2.0/24"]}, {}, BLOCKS_DNS),
    published=(found(published=("8/tcp",)), {}, {"proxied": True}, "userland-proxy"),
    dns_of_daemon_json=(found(), NO_DNS, {"dns": ["10.0.0.9"]}, f"{BLOCKS_DNS} 10.0.0.9"),
    no_systemd=(found(), {"force": REASON}, {"init": "sysvinit"}, NO_SYSTEMD),
)
def test_what_must_not_be_loaded_is_refused(node: Any, settings: Any, more: Any, what: str) -> None:
    with pytest.raises(Problem, match=what):
        planned(node, settings, **more)


@table(
    "node, settings, warnings",
    excluded=(WITH_VIRBR, {"exclude": ["virbr0"]}, ()),
    named=(WITH_VIRBR, {"interfaces": ["virbr0"]}, ()),
    outside=(SHARED, {"exclude": ["br0"]}, (UNFILTERED,)),
    without_a_proxy_published=(found(published=("8/tcp",), rules=""), {"node_ports": ["8"]}, ()),
    a_risk=(PRIVATE_DNS, {"dns": [], "force": REASON}, (ACCEPTED,)),
    no_risk=(found(), {"force": REASON}, ()),
)
def test_what_is_asked_for_is_loaded(node: EgressState, settings: Any, warnings: Any) -> None:
    plan = planned(node, settings)

    assert (plan.action, plan.warnings) == ("apply", warnings)


def test_a_second_plan_does_nothing_and_an_unwanted_firewall_goes_with_all_of_it() -> None:
    plan = planned(loaded(), None)

    assert planned(loaded(), {}) == planned(found(), None, init="") == NOTHING
    assert planned(loaded(), {"confirm_s": 600, "force": REASON}) == NOTHING
    assert (plan.action, plan.texts[RULES]) == ("remove", (loaded().rules, None))
    gone = [
        f"remove {path}" for path in (RULES, MEMBERS, LOAD, REVERT, *DROP_INS, DIRECTORY, SERVICE)
    ]
    assert plan.lines == (f"delete table {TABLE}", *gone)
    assert planned(loaded(), None, init="") == plan, "systemd is not needed to remove it"


@table(
    "settings, changes",
    declared_otherwise=({"deny": ["9.9.9.9"]}, {}),
    another_resolver=({}, {"resolvers": ("10.0.0.2",)}),
    a_bridge_of_others=({}, {"bridges": ("br-lan",)}),
    a_bridge_as_the_way_out=({}, {"bridges": ("br0",), "uplinks": ("br0",)}),
)
def test_rules_follow_the_settings_and_the_node(settings: Any, changes: dict[str, Any]) -> None:
    plan = planned(loaded().model_copy(update=changes), settings)

    assert (plan.action, plan.lines[0]) == ("apply", f"{RULES} is not as declared")
    assert plan.texts[RULES][0] == loaded().rules
    assert plan.texts[RULES][1] not in (None, plan.texts[RULES][0])
    assert planned(behind(plan, **changes), settings) == NOTHING


@table(
    "changes, line",
    flushed=({"now": None}, f"the kernel has no table {TABLE}"),
    edited=({"now": "0" * 64}, CHANGED),
    by_others=({"as_loaded": None}, CHANGED),
    other_file=({"loaded_from": "0" * 64}, OTHER_FILE),
    disabled=({"enabled": False}, f"{UNIT} is not enabled"),
    stopped=({"unit": "inactive"}, f"{UNIT} is inactive"),
    failed=({"unit": "failed"}, f"{UNIT} is failed"),
    on_probation=({"pending": True}, "new rules are not confirmed yet"),
)
def test_rules_that_are_not_in_force_are_loaded_again(changes: dict[str, Any], line: str) -> None:
    node = loaded().model_copy(update=changes)

    plan = planned(node, {})

    assert differences(node, plan.files) == [line]
    assert (plan.action, plan.lines[0]) == ("apply", line)
    assert len({*plan.texts[RULES]}) == 1


@pytest.mark.parametrize("path", [MEMBERS, LOAD, REVERT, SERVICE, DROP_INS[0]])
@pytest.mark.parametrize("change", ["sha256", "mode", "owner", "gone"])
def test_a_file_that_somebody_has_changed_is_put_right(path: str, change: str) -> None:
    files = dict(loaded().files)
    old = files.pop(path)
    if change != "gone":
        files[path] = old.model_copy(update={change: "7"})

    plan = planned(loaded().model_copy(update={"files": files}), {})

    assert (plan.lines[0], len(plan.files)) == (f"{path} is not as declared", 8)


A_FILE = {"files": {LOAD: {"sha256": "0"}}}


@table(
    "left",
    link={"enabled": True},
    candidate={"pending": True},
    table={"now": "0"},
    file=A_FILE,
)
def test_what_is_left_of_a_firewall_is_seen_and_goes_too(left: dict[str, Any]) -> None:
    assert found(**left).there
    assert planned(found(**left), None).action == "remove"
    assert not found().there
    assert planned(found(), None) == NOTHING


@table(
    "daemon_json, flags, expected",
    no_file=(None, (), ()),
    two=('{"dns": ["10.0.0.2", "fd00::53"]}', (), ("10.0.0.2", "fd00::53")),
    empty=('{"dns": []}', (), ()),
    null=('{"dns": null}', (), ()),
    no_list=('{"dns": "10.0.0.2"}', (), ()),
    no_texts=('{"dns": [null, 1]}', (), ("None", "1")),
    broken=('{"dns": ["10.0.0.2"', (), ()),
    flags=(None, ("--dns", "10.0.0.3", "--dns=::1"), ("10.0.0.3", "::1")),
    other_flags=(None, ("--dns-search=a.b", "--dns-opt", "x"), ()),
    flag_without_a_value=(None, ("--dns",), ()),
)
def test_dockerds_own_resolvers_are_read_from_its_flags_or_its_file(
    daemon_json: str | None, flags: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert named_resolvers(node(daemon_json=daemon_json, flags=(*UNIT_FLAGS, *flags))) == expected


@table(
    "given, expected",
    unless_told_otherwise=({}, True),
    in_the_file=({"daemon_json": '{"userland-proxy": false}'}, False),
    by_a_flag=({"flags": ("--userland-proxy=false",)}, False),
    not_running=({"without": ("info",)}, False),
)
def test_whether_dockerd_has_its_proxy_is_known(given: dict[str, Any], expected: bool) -> None:
    assert proxied(node(**given)) is expected


def read(*lines: str) -> EgressState:
    """What these lines say, as one of a node's answer each."""
    return parse_node([*(f"egress {line}" for line in lines), *answer()]).part(EgressState)


def test_what_is_told_twice_is_known_once_and_what_is_odd_leaves_the_rest_known() -> None:
    latin = base64.b64encode("caf\u00e9".encode("latin-1")).decode()

    state = read(
        *("uplink eth0", "uplink wg0", "uplink eth0"),
        *("resolver 10.0.0.2", "resolver 10.0.0.2"),
        *("published 80/tcp", "published 53/udp", "published 80/tcp"),
        *(f"sum {DIGEST} {RULES}", f"sum {DIGEST} /a", "stat 644:0:0 /a"),
        *(f"rules {latin}", "enabled yes", "something new"),
    )

    assert state.uplinks == ("eth0", "wg0")
    assert state.resolvers == ("10.0.0.2",)
    assert state.published == ("53/udp", "80/tcp")
    assert state.files == {"/a": FoundFile(sha256=DIGEST, mode="644", owner="0:0")}, "with a stat"
    assert (state.rules, state.enabled) == ("caf\ufffd", True)


@table(
    "line, expected",
    dockers=("bridge docker0 bridge", ("bridge", "docker0", "bridge")),
    spaces_in_its_name=("bridge br-x a b  c", ("bridge", "br-x", "a b  c")),
    a_plugins=("rexray/x:1.2 - egress network", ("rexray/x:1.2", "", "egress network")),
    a_hyphen_for_a_name=("macvlan - -", ("macvlan", "", "-")),
    no_name=("bridge br-x ", ("bridge", "br-x", "")),
)
def test_a_network_is_read_whatever_its_name(line: str, expected: tuple[str, str, str]) -> None:
    (network,) = read(f"network {line}").networks

    assert (network.driver, network.bridge, network.name) == expected


@table("note, expected", empty=("", (None, None)), half=("one", ("one", None)))
def test_a_note_of_what_was_loaded_may_be_cut_short(note: str, expected: tuple[Any, ...]) -> None:
    state = read(f"loaded {note}")

    assert (state.as_loaded, state.loaded_from) == expected
    assert (state.in_force, state.is_other_file) == (False, True)


@pytest.mark.parametrize(
    "line",
    [
        *("sum", "stat /x", "rules !", "ssh 10.0.0.9", "ssh 10.0.0.9 x eth0", "port br0"),
        "network bridge docker0",
    ],
)
def test_a_malformed_line_is_refused_and_one_without_a_name_passed_over(line: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        read(line)

    assert read("something new", "nft yes") == EgressState(nft=True)
    assert not read("nft yes").there

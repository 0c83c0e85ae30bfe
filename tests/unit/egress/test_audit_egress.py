"""The firewall and Docker's networks in an audit: declared, in force, and who was stopped."""

import json
from typing import Any

from pyinfra_gvisor.parts.egress.files import RULES, SERVICE
from pyinfra_gvisor.parts.egress.host_network import Surroundings
from pyinfra_gvisor.parts.egress.listing import listed_attempts
from pyinfra_gvisor.parts.egress.observed import is_covered
from pyinfra_gvisor.parts.egress.rules import rules_text
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.policy.findings import Severity
from tests.cases.proven import proven, proven_answer
from tests.table import table
from tests.unit.answers import Running
from tests.unit.audit.audited import audited, found, waived
from tests.unit.egress.firewalled import (
    DATABASE,
    METADATA,
    NOW_S,
    box,
    counted,
    firewall,
    guarded,
    guarded_node,
    reported,
    seen,
)

TABLE = "inet pyinfra_gvisor"
UNCOVERED, KEY = "egress-docker-not-covered", "gvisor_egress['docker']"
V2 = "that needs a unit of systemd, cgroup v2 and Linux 5.13"
WEB, OTHER = "172.18.0.2", "172.18.0.3"


def test_a_firewall_as_declared_and_in_force_is_no_finding_and_none_at_all_is_noted() -> None:
    report, without = guarded(*counted()), audited()

    assert seen(report) == {}
    assert report.egress is not None
    assert (report.egress.declared, report.egress.in_force) == (True, True)
    assert seen(without) == {
        "egress-not-declared gvisor_egress": "not set; runtime runsc uses the node's network"
    }
    assert (without.state, without.egress) == ("clean", None)


@table("runtimes", no_gvisor={}, a_network_of_its_own={"runsc": {"network": "sandbox"}})
def test_without_a_runtime_on_the_nodes_sockets_nothing_is_noted_nor_of_daemon_jsons_resolvers(
    runtimes: dict[str, Any],
) -> None:
    named = {"gvisor_egress": {}, "gvisor_daemon_json": {"dns": ["192.0.2.53"]}}
    text = proven()["daemon_json"].replace("{", '{"dns": ["192.0.2.53"],', 1)
    told = [line for line in firewall() if "resolver" not in line]

    assert seen(audited(settings={"gvisor_runtimes": runtimes})) == {}
    assert seen(audited(*told, settings=named, answer=proven_answer(daemon_json=text))) == {}


def test_rules_of_other_surroundings_and_a_file_that_somebody_opened_are_found() -> None:
    told = firewall(later=["bridge virbr0", "resolver 192.0.2.54"])
    own, key = f"stat 644:0:0 {SERVICE}", f"egress-not-as-declared {TABLE}"
    opened = [line.replace(own, f"stat 666:0:0 {SERVICE}") for line in firewall()]

    found = seen(guarded(told=told))[key]

    assert found.startswith(f"{RULES} is not as declared; missing in {RULES}: ")
    assert "192.0.2.54" in found
    assert f"; not declared in {RULES}: " in found
    assert seen(guarded(told=opened)) == {key: f"{SERVICE} is not as declared"}


def test_a_firewall_out_of_force_is_critical_with_every_reason_an_undeclared_one_only_told() -> (
    None
):
    report = guarded(told=firewall(without=["now"], unit="failed"))
    never, undeclared = seen(guarded(told=())), audited(*firewall())

    assert seen(report) == {
        f"egress-not-in-force {TABLE}": f"the kernel has no table {TABLE}; "
        "pyinfra-gvisor-egress.service is failed"
    }
    assert report.findings[0].severity is Severity.CRITICAL
    assert report.egress is not None
    assert not report.egress.in_force
    assert list(never) == [f"egress-not-in-force {TABLE}"]
    told = seen(undeclared)[f"egress-not-as-declared {TABLE}"]
    assert told == "the firewall is on the node, but not declared"
    assert undeclared.compliant
    assert undeclared.egress is not None
    assert not undeclared.egress.declared


def test_a_network_is_found_if_it_makes_no_bridge_of_the_rules_and_who_is_on_the_nodes() -> None:
    networks = ["bridge evil0 made later", "overlay - ingress", "null - none", "weave - lan"]
    host = {"NetworkMode": "host"}
    boxes = [Running(name, pid, given=host).lines() for pid, name in ((1, "web"), (2, "agent"))]

    found = seen(guarded(told=firewall(later=[f"network {item}" for item in networks])))
    report = guarded(*boxes[0], *boxes[1])

    assert found == {"egress-not-covered network lan": "its driver is weave"}
    assert seen(report) == {"egress-not-covered network host": "used by agent, web"}
    finding = next(item for item in report.findings if item.subject == "network host")
    assert finding.severity is Severity.INFO


def test_a_network_on_a_bridge_that_is_left_alone_is_found_and_bridges_of_others_noted() -> None:
    there = ["bridge br0", "port br0 eth0", "network bridge br0 lan"]
    port, others = "has a port that leaves this node (eth0)", "egress-other-bridge bridge"

    report = guarded(told=firewall(there=there))
    noted = guarded(told=firewall(there=["bridge br0", "bridge virbr0", "uplink br0"]))

    assert seen(report) == {
        "egress-not-covered network lan": f"its bridge br0 {port}",
        f"{others} br0": f"not filtered: it {port}",
    }
    assert not report.compliant
    assert seen(noted) == {
        f"{others} br0": "not filtered: it carries the default route",
        f"{others} virbr0": "not created by Docker, but filtered like its bridges",
    }
    assert noted.state == "clean"


OLD = """
chain forward {
    iifname "br-lan" accept
    iifname "docker0" jump from_containers
    iifname "br-*" jump from_containers
"""


@table(
    "bridge, is_so, by_old",
    dockers=("docker0", True, True),
    by_its_beginning=("br-0123456789ab", True, True),
    odd=('q"q', True, False),
    excluded=("br-lan", False, False),
    excluded_with_a_star=("e*", False, False),
    excluded_by_its_beginning=("lxdbr0", False, False),
)
def test_rules_are_about_the_bridges_that_they_name(bridge: str, is_so: bool, by_old: bool) -> None:
    around = Surroundings(excluded=("br-lan", "e\\*", "lxd*"))

    assert is_covered(rules_text(Egress(), around), bridge) is is_so
    assert is_covered(OLD, bridge) is by_old


def test_a_block_that_is_left_out_is_told_and_an_allowed_metadata_service_waived() -> None:
    left_out = guarded(egress={"block": ["metadata", "node"]})
    reason = "the agent of the cloud asks for its tags"
    entry = {"to": "169.254.169.254", "ports": ["80"], "reason": reason}
    report = guarded(egress={"allow": [entry, {"to": "10.0.0.5"}]})

    key = "egress-opened gvisor_egress['block']"
    assert (seen(left_out), left_out.state) == ({key: "does not block private, smtp"}, "findings")
    assert waived(report)["egress-opened gvisor_egress['allow'] 169.254.169.254/32"] == reason
    assert seen(report) == {}
    evidence = next(item.evidence for item in report.findings if item.id == "egress-opened")
    assert evidence == "allows 169.254.0.0/16 (80)"


MANY = [(WEB, f"10.0.0.{number}", 6, 5432) for number in range(1, 8)]


@table(
    "tries, expected",
    metadata_first=(
        [*MANY, (WEB, *METADATA)],
        ", ".join(["169.254.169.254:80/tcp", *(f"10.0.0.{n}:5432/tcp" for n in (1, 2, 3, 4))])
        + " and 3 more",
    ),
    by_whichever_address=(
        [
            *((WEB, *DATABASE), ("172.20.0.2", "10.0.0.6", 17, 53)),
            ("fd00::2", "fd00:ec2::254", 6, 80),
        ],
        "[fd00:ec2::254]:80/tcp, 10.0.0.5:5432/tcp, 10.0.0.6:53/udp",
    ),
    no_port_whatever_its_checksums=(
        [(WEB, "10.0.0.5", 1, 4660), (WEB, "10.0.0.5", 1, 4661), (WEB, "10.0.0.5", 99, 7)],
        "10.0.0.5/icmp, 10.0.0.5/protocol 99",
    ),
)
def test_who_tried_what_is_stopped_is_one_finding_with_what_it_tried(
    tries: list[tuple[Any, ...]], expected: str
) -> None:
    lines = [*box("web", WEB, "172.20.0.2", "fd00::2"), *box("db", OTHER, pid=4712)]

    report = guarded(*lines, *counted(*tries, (OTHER, *DATABASE)))

    assert seen(report) == {
        "egress-stopped web": expected,
        "egress-stopped db": "10.0.0.5:5432/tcp",
    }
    assert report.state == ("findings" if "169.254" in expected or "ec2" in expected else "clean")


BY_WEB = {"egress-stopped web": "10.0.0.5:5432/tcp"}
BY_NOBODY = {f"egress-stopped {WEB}": f"{WEB} to 10.0.0.5:5432/tcp (from no running container)"}


@table("age_s, by", since=(9, BY_WEB), whole_s=(1802, BY_WEB), before=(1900, BY_NOBODY))
def test_a_container_does_not_answer_for_who_had_its_address_before(age_s: int, by: Any) -> None:
    lines = box("web", WEB, started="2025-11-24T15:30:00.4Z")  # half an hour before the audit

    assert seen(guarded(*lines, *counted((WEB, *DATABASE, age_s)))) == by


def test_addresses_that_are_nobodys_are_one_finding_however_many() -> None:
    tries = [(f"172.18.9.{number}", *METADATA) for number in range(1, 200)]

    report = guarded(*counted(*tries))

    ((key, evidence),) = seen(report).items()
    assert key == "egress-stopped several addresses"
    assert evidence.endswith(" and 194 more (from no running container)")
    assert report.egress is not None
    assert len(report.egress.stopped) == 50


def test_a_memory_that_is_full_is_told_and_without_metadata_it_is_only_noted() -> None:
    report = guarded(*box("web", WEB), *counted((WEB, *DATABASE), size=1))
    room = guarded(*box("web", WEB), *counted((WEB, *DATABASE)))

    assert f"egress-stopped {TABLE}" in seen(report)
    assert seen(room) == {"egress-stopped web": "10.0.0.5:5432/tcp"}
    assert room.state == "clean"


RULE = "network-takes-addresses"
NODE = (
    *("egress gateway 0102A8C0", f"egress gateway fd{'0' * 29}1", f"egress gateway {'0' * 8}"),
    *("egress resolver 10.1.2.3", "egress resolver fd00::53", "egress resolver odd"),
)
LINK_LOCAL = (
    "overlaps with 169.254.0.0/16 (link-local, with the metadata services at 169.254.169.254)"
)


@table(
    "subnet, why",
    metadata=("169.254.169.254/32", f"{LINK_LOCAL}, is not private"),
    metadata_of_aws=("fd00:ec2::/64", "overlaps with fd00:ec2::254/128 (AWS)"),
    link_local=("fe80::/64", "overlaps with fe80::/10 (link-local, RFC 4291), is not private"),
    gateway=("192.168.2.0/24", "overlaps with 192.168.2.1 (a default gateway of the node)"),
    gateway_of_ipv6=("fd00::/120", "overlaps with fd00::1 (a default gateway of the node)"),
    resolver=("10.1.2.9/16", "overlaps with 10.1.2.3 (a resolver of the node)"),
    public=("203.0.113.0/24", "is not private"),
    public_of_ipv6=("2001:db8::/64", "is not private"),
    nat64=("64:ff9b:1::/96", "is not private"),
    wider_than_private=("172.0.0.0/8", "is not private"),
    unreadable=("?", "is not a subnet"),
)
def test_addresses_that_are_not_the_tenants_are_found(subnet: str, why: str) -> None:
    report = found(audited(*NODE, f"egress subnet bridge {subnet} a b"))

    finding = report[f"{RULE} network a b"]
    assert finding.severity is Severity.HIGH
    assert [part for part in why.split("), ") if part not in finding.evidence] == []
    assert finding.evidence.startswith(f"{subnet} ")


@table(
    "line",
    private="bridge 172.18.0.0/16 shop",
    shared="bridge 100.64.0.0/16 shop",
    private_of_ipv6="bridge fd00:1::/64 shop",
    the_default="bridge 198.51.100.0/24 bridge",
    swarms="overlay 192.168.2.0/24 ingress",
    on_the_nodes_own="macvlan 192.168.2.0/24 lan",
    without_addresses="null 0.0.0.0/0 none",
)
def test_other_networks_are_not(line: str) -> None:
    assert [key for key in found(audited(*NODE, f"egress subnet {line}")) if RULE in key] == []


def test_public_addresses_of_the_operators_own_are_none_or_waived() -> None:
    pool = {"default-address-pools": [{"base": "198.51.100.0/24", "size": 28}, {}, "x"]}
    given = json.dumps({**json.loads(proven()["daemon_json"]), **pool})
    lines = [f"egress subnet bridge {text} shop" for text in ("198.51.100.16/28", "8.8.8.0/24")]

    own = audited(*lines, answer=proven_answer(daemon_json=given))
    accepted = audited(lines[1], settings={"gvisor_waivers": {RULE: "these are our own"}})

    assert found(own)[f"{RULE} network shop"].evidence == "8.8.8.0/24 is not private"
    assert waived(accepted)[f"{RULE} network shop"] == "these are our own"


@table("driver", macvlan="macvlan", ipvlan="ipvlan")
def test_a_network_on_the_nodes_own_is_found_with_and_without_a_firewall(driver: str) -> None:
    line, key = f"network {driver} - lan", "network-past-firewall network lan"

    bare = found(audited(f"egress {line}"))[key]
    filtered = found(guarded(told=firewall(later=[line])))

    assert (bare.severity, bare.evidence) == (Severity.MEDIUM, f"its driver is {driver}")
    assert filtered[key].severity is Severity.HIGH
    assert [item for item in filtered if "egress-not-covered" in item] == []


REPORT = {"mode": "report"}
AT_13, AT_14, AT_15, AT_16 = (f"24 Nov {hour}:00" for hour in range(13, 17))
OF_SHOP = {"com.docker.compose.project": "shop"}


def test_rules_that_only_report_are_told_with_what_they_would_block_and_are_no_firewall() -> None:
    report = guarded(*box("web", WEB), *reported((WEB, *DATABASE)), egress=REPORT)
    nothing = guarded(*counted(), egress=REPORT)

    assert seen(report) == {
        "egress-only-reports gvisor_egress['mode']": "report",
        "egress-would-stop web": "10.0.0.5:5432/tcp",
    }
    for one in (report.egress, nothing.egress):
        assert one is not None
        assert (one.in_force, one.only_reports, one.blocks) == (True, True, False)


@table(
    "given, kernel, expected",
    not_told_apart=({}, "5.10.0-30-amd64 x86_64", {f"{UNCOVERED} {TABLE}": ("medium", V2)}),
    not_wanted=({"docker": False}, "6.12.1 x86_64", {f"{UNCOVERED} {KEY}": ("low", "False")}),
    covered=({}, "6.12.1 x86_64", {}),
)
def test_that_docker_itself_is_not_filtered_is_told(
    given: dict[str, Any], kernel: str, expected: dict[str, tuple[str, str]]
) -> None:
    report = guarded(egress=given, uname=kernel)

    assert {
        f"{item.id} {item.subject}": (item.severity.value, item.evidence)
        for item in report.findings
        if item.id == UNCOVERED
    } == expected


def test_a_group_of_dockers_that_the_rules_do_not_know_is_out_of_force() -> None:
    told = [*firewall(), "egress unfiltered system.slice/docker.service"]

    assert seen(guarded(told=told)) == {
        f"egress-not-in-force {TABLE}": "what Docker itself sends is not filtered: "
        "system.slice/docker.service"
    }


EVIL = {"com.docker.compose.project": "shop\n[run-1] nothing\x1b[2J" + "x" * 90}
LOADED = f"egress_observed loaded {NOW_S - 7200}"


@table(
    "lines, given, expected",
    reporting=(
        [
            *box("web", WEB, labels=OF_SHOP),
            *(LOADED, *reported((WEB, *DATABASE), ("172.18.0.9", *METADATA, 7200))),
        ],
        {"egress": REPORT},
        [
            f"the firewall would have blocked, in packets since {AT_14} UTC: private 3",
            "over TCP or UDP within seven days:",
            "web of shop",
            f"    10.0.0.5:5432/tcp       3 packets, {AT_15} to {AT_16} UTC",
            "172.18.0.9 (no running container)",
            f"    169.254.169.254:80/tcp  3 packets, {AT_13} to {AT_14} UTC",
        ],
    ),
    first_by_another_one=(
        [*box("web", WEB, started="2025-11-24T15:30:00Z"), *reported((WEB, *DATABASE))],
        {"egress": REPORT},
        [
            "the firewall would have blocked, in packets: private 3",
            "over TCP or UDP within seven days:",
            "web",
            f"    10.0.0.5:5432/tcp       last {AT_16} UTC",
        ],
    ),
    enforcing=(
        [*box("web", WEB), *counted((WEB, *DATABASE), counters={"drop_smtp": 1, "drop_node": 0})],
        {},
        [
            "the firewall blocked, in packets: smtp 1",
            "over TCP or UDP within 1 h:",
            "web",
            f"    10.0.0.5:5432/tcp       last {AT_16} UTC",
        ],
    ),
    docker_itself=(
        [
            *("egress_observed own 127.0.0.1", "egress_observed own 192.0.2.10"),
            *counted(("192.0.2.10", *METADATA), counters={"drop_metadata": 1}),
        ],
        {},
        [
            "the firewall blocked, in packets: metadata 1",
            "over TCP or UDP within 1 h:",
            "Docker itself",
            f"    169.254.169.254:80/tcp  last {AT_16} UTC",
        ],
    ),
    nothing=(
        [*counted(counters={"drop_smtp": 0})],
        {},
        ["the firewall blocked, in packets: nothing", "over TCP or UDP within 1 h: nothing"],
    ),
    unread=([*counted()], {}, ["the counters of the firewall could not be read; run again"]),
    gone=(
        [],
        {"told": firewall(without=["now"])},
        [
            f"the firewall is not active: the kernel has no table {TABLE}",
            "the counters of the firewall could not be read; run again",
        ],
    ),
    never_there=([], {"told": ()}, ["no firewall is on the node, though one is declared"]),
)
def test_who_asks_is_told_each_attempt_with_its_app_and_when(
    lines: list[str], given: dict[str, Any], expected: list[str]
) -> None:
    assert [*listed_attempts(guarded_node(*lines, **given))] == expected


def test_a_full_memory_is_told_first_and_no_tenant_writes_lines_or_without_end() -> None:
    some = {"drop_private": 9}
    full = counted((WEB, *DATABASE), counters=some, size=1)
    forged = [(f"172.19.{number >> 8}.{number & 255}", *DATABASE) for number in range(300)]

    told = [*listed_attempts(guarded_node(*box("web", WEB, labels=EVIL), *full))]
    many = [*listed_attempts(guarded_node(*counted(*forged, counters=some)))]

    assert told[0] == "more than 4096 different attempts: NOT ALL ARE LISTED"
    assert all(line.isprintable() and len(line) < 80 for line in told)
    assert told[3].startswith("web of shop?[run-1] nothing?[2Jxx")
    assert (len(many), many[-1]) == (103, "and 250 more addresses")


def test_rules_that_block_count_though_others_are_declared() -> None:
    lines = counted((WEB, *DATABASE), counters={"drop_private": 1})
    report = guarded(*lines, told=firewall(), egress=REPORT)

    assert report.egress is not None
    assert not report.egress.only_reports

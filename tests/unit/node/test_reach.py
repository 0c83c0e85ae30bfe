"""Published ports that clients lose without docker-proxy: found, kept, named."""

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Plan, plan_daemon_json
from pyinfra_gvisor.daemon_json.reach import Lost, needs_proxy, only_by_proxy
from pyinfra_gvisor.daemon_json.render_plan import plan_lines, spared_line, unapplied_lines
from pyinfra_gvisor.daemon_json.transaction import transaction
from pyinfra_gvisor.node import Node, parse_node
from pyinfra_gvisor.planning.preflight import refusals
from pyinfra_gvisor.settings import load_settings
from tests.table import table
from tests.unit.answers import EARLIER_S, answer, compact, info

WEB4, WEB6 = "proxy tcp 0.0.0.0 8080 172.18.0.2 web 80", "proxy tcp :: 8080 172.18.0.2 web 80"
SIX = "proxy tcp :: 8081 fd00:1::2 six 80"
ONE = "proxy udp 2001:db8::5 53 172.18.0.3 dns 53"
OUTER = "outer6 eth0"
OFF: dict[str, Json] = {"userland-proxy": False}
LOST, LOST_SIX = "8080/tcp over IPv6 (web)", "8081/tcp over IPv6 (six)"
NFTABLES = info(ServerVersion="29.7.1", FirewallBackend={"Driver": "nftables"})


def node(reach: Iterable[str] = (), egress: Iterable[str] = (), **given: Any) -> Node:
    """A node that tells these lines of its ports and its firewall, too."""
    told = [*(f"reach {line}" for line in reach), *(f"egress {line}" for line in egress)]
    return parse_node([*answer(**given), *told])


def ports(*reach: str, version: str = "26.1.5", **keys: Any) -> list[str]:
    """The ports on a node whose dockerd was started with these keys."""
    text = compact(keys) if keys else None
    docker = info(ServerVersion=version)
    return [str(item) for item in only_by_proxy(node(reach=reach, daemon_json=text, docker=docker))]


@table(
    "reach, keys, expected",
    ipv4_only_network=((WEB4, WEB6, OUTER), {}, [LOST]),
    a_node_without_ipv6=((WEB4, WEB6), {}, []),
    ipv4=((WEB4, OUTER), {}, []),
    one_address=((ONE,), {}, ["53/udp on 2001:db8::5 (dns)"]),
    no_ip6tables_in_26=((SIX, OUTER), {}, [LOST_SIX]),
    ip6tables_in_27=((SIX, OUTER), {"version": "27.0.1"}, []),
    ip6tables_off=((SIX, OUTER), {"version": "28.5.2", "ip6tables": False}, [LOST_SIX]),
    ip6tables_on_in_26=((SIX, OUTER), {"ip6tables": True, "experimental": True}, []),
    ip6tables_not_experimental=((SIX, OUTER), {"ip6tables": True}, [LOST_SIX]),
    no_iptables=((WEB4,), {"iptables": False}, ["8080/tcp over IPv4 (web)"]),
    stopped=(("stopped tcp :: 8080 0.0.0.0 web 80", OUTER), {}, [LOST]),
    it_is_off_already=(("stopped tcp :: 8080 0.0.0.0 web 80", OUTER), OFF, []),
    any_port=(("stopped tcp :: 0 0.0.0.0 - 80", OUTER), {}, ["0/tcp over IPv6 (0.0.0.0)"]),
)
def test_only_docker_proxy_serves_what_no_rule_of_dockerd_leads_to(
    reach: tuple[str, ...], keys: dict[str, Any], expected: list[str]
) -> None:
    assert ports(*reach, **keys) == expected


SHOP = ("proxy tcp 0.0.0.0 80 172.18.0.2 shop 8080", "joined shop front 172.18.0.2 -")
NEXT = "joined next front 172.18.0.3 -"
JOB = "joined job back 172.19.0.2 -"
BOTH = ("joined both back 172.19.0.3 -", "joined both front 172.18.0.4 -")
OVER6 = ("proxy tcp :: 80 fd00:1::2 shop 8080", "joined shop front - fd00:1::2", OUTER)
STOPPED = ("stopped tcp 0.0.0.0 80 0.0.0.0 shop 8080", "joined shop front - -")
APART = (SHOP[0], "joined shop - 172.18.0.2 -", "joined next - 172.18.0.3 -")
OLD, NEW = "28.5.2", "29.7.1"


def published(protocol: str = "tcp", host: str = "0.0.0.0") -> tuple[str, ...]:  # noqa: S104
    """The shop's port, published so, and its container and another one on their networks."""
    return (f"proxy {protocol} {host} 80 172.18.0.2 shop 8080", SHOP[1], JOB)


@table(
    "reach, version, containers",
    one_network=((*SHOP, NEXT), OLD, []),
    another_network=((*SHOP, JOB), OLD, ["job"]),
    docker_29_leads_from_one_to_another=((*SHOP, JOB), NEW, []),
    on_both_networks=((*SHOP, NEXT, *BOTH), OLD, ["both"]),
    a_rule_to_one=((*SHOP, "joined shop back 172.19.0.9 -", JOB, NEXT), OLD, ["job"]),
    apart_from_others=((*SHOP, "joined next - 172.20.0.2 -"), OLD, ["next"]),
    without_traffic_between_containers=(APART, OLD, ["next", "shop"]),
    the_same_in_29=((*APART, JOB), NEW, ["next", "shop"]),
    one_stopped=((*SHOP, "joined job back - -"), OLD, ["job"]),
    on_the_node_alone=(published(host="127.0.0.1"), OLD, []),
    published_by_one_that_is_stopped=((*STOPPED, NEXT, JOB), OLD, ["job"]),
    no_ipv6=(("proxy tcp :: 80 172.18.0.2 shop 8080", *SHOP, JOB), OLD, ["job"]),
    over_ipv6=((*OVER6, "joined job back - fd00:2::2"), OLD, ["job"]),
    udp=(published("udp"), OLD, []),
    udp_on_one_address=(published("udp", "192.0.2.7"), OLD, ["job"]),
    of_an_unknown_container=(("proxy tcp 0.0.0.0 80 172.18.0.2 - 8080", JOB), OLD, []),
    malformed=(("joined half", "joined a b c d e", *SHOP), OLD, []),
)
def test_before_docker_29_containers_of_other_networks_need_docker_proxy(
    reach: tuple[str, ...], version: str, containers: list[str]
) -> None:
    found = needs_proxy(node(reach=reach, docker=info(ServerVersion=version)))

    assert [(item.port.port, *item.containers) for item in found] == (
        [(80, *containers)] if containers else []
    )


def given_up(plan: Plan, found: Node) -> str:
    """The ports that a transaction does not hold a change against."""
    script = transaction(plan, found, host="run-1", timeout_s=60, wait_s=300)
    (given,) = re.findall(r"^given_up='([^']*)'$", script, re.MULTILINE)
    return str(given)


def test_what_containers_lose_is_said_by_the_first_names_and_given_up_for_them_alone() -> None:
    found = node(reach=(*SHOP, NEXT, JOB, *BOTH), docker=info(ServerVersion="28.5.2"))
    (port,) = node(reach=SHOP).reach.proxied

    spared = plan_daemon_json(found, OFF, spare_ports=True)
    plan = plan_daemon_json(found, OFF)

    lost = "80/tcp over IPv4 (shop) from containers [both, job]"
    assert f"clients lose {lost}. To switch" in spared_line(spared, whole=True)
    said = f"  clients lose these published ports when docker-proxy ends: {lost}"
    assert said in plan_lines(plan, found, wait_s=300)
    assert given_up(plan, found) == "tcp 4 80 both\ntcp 4 80 job"
    many = str(Lost(port, tuple(f"c{number}" for number in range(12))))
    assert many.endswith(" from containers [c0, c1 and 10 more]")


@table(
    "more, expected",
    each_port_once=((), []),
    another_port_of_its=(("proxy tcp 0.0.0.0 9000 172.18.0.2 web 81",), []),
    another_protocol=(("proxy udp 0.0.0.0 8080 172.18.0.2 web 80",), []),
    another_container=(("proxy tcp 0.0.0.0 9000 172.18.0.3 shop 80",), []),
    one_port_twice=(
        ("proxy tcp 192.0.2.7 9000 172.18.0.2 web 80",),
        ["8080/tcp over IPv4 (web)", "9000/tcp on 192.0.2.7 (web)"],
    ),
    of_one_that_does_not_run=(
        ("stopped tcp 0.0.0.0 0 0.0.0.0 shop 80", "stopped tcp 0.0.0.0 81 0.0.0.0 shop 80"),
        ["0/tcp over IPv4 (shop)", "81/tcp over IPv4 (shop)"],
    ),
)
def test_dockers_nftables_needs_its_proxy_for_who_publishes_a_port_twice(
    more: tuple[str, ...], expected: list[str]
) -> None:
    reach = (WEB4, *more)

    found = node(reach=reach, docker=NFTABLES)
    assert ([str(item) for item in needs_proxy(found)], only_by_proxy(found)) == (expected, ())
    assert ports(*reach, version="29.7.1") == []


def test_what_dockers_nftables_drops_meanwhile_is_in_the_plan() -> None:
    found = node(reach=(WEB4,), docker=NFTABLES, daemon_json='{"firewall-backend": "nftables"}')
    keys = {"firewall-backend": "nftables", **OFF}

    lines = plan_lines(plan_daemon_json(found, keys), found, wait_s=300)

    assert (
        "  new connections to published ports may take a second longer: while dockerd starts, its "
        "nftables rules drop such packets"
    ) in lines
    (twice,) = (line for line in lines if "twice" in line)
    assert twice.startswith("  without docker-proxy, Docker with nftables cannot start a container")


@table(
    "line",
    half="proxy tcp",
    no_port="stopped tcp :: x 0.0.0.0 web 80",
    no_address="stopped tcp 1.2 80 0.0.0.0 web 80",
    no_address_of_its_own="proxy tcp :: 80 zzz web 80",
)
def test_what_docker_would_not_publish_is_left_out(line: str) -> None:
    assert node(reach=(line, WEB4)).reach.proxied == node(reach=(WEB4,)).reach.proxied


def test_the_key_is_left_alone_where_clients_depend_on_it_and_else_switched_off() -> None:
    found = node(reach=(WEB6, OUTER))

    plan = plan_daemon_json(found, {**OFF, "debug": True}, spare_ports=True)
    nobody_depends_on_it = plan_daemon_json(node(reach=(WEB4,)), OFF, spare_ports=True)
    the_operator_wants_it_off = plan_daemon_json(found, OFF, spare_ports=False)

    assert json.loads(plan.after or "") == {"debug": True}
    assert spared_line(plan, whole=True) == (
        f"userland-proxy stays on, because without docker-proxy clients lose {LOST}. To "
        'switch userland-proxy off anyway, set gvisor_daemon_json = {"userland-proxy": False}'
    )
    for off in (nobody_depends_on_it, the_operator_wants_it_off):
        assert (json.loads(off.after or ""), off.spared) == (OFF, ())


def test_a_docker_proxy_that_runs_counts_whatever_the_file_says_by_now() -> None:
    found = node(reach=(WEB6, OUTER), daemon_json=compact(OFF), mtime_s=EARLIER_S + 10_000)

    assert [str(item) for item in only_by_proxy(found)] == [LOST]
    with pytest.raises(Problem, match=r"Clients would lose 8080/tcp over IPv6 \(web\)"):
        plan_daemon_json(found, {**OFF, "no-new-privileges": True}, spare_ports=True)


@table(
    "own, spares",
    nothing=({}, True),
    off=({"gvisor_daemon_json": OFF}, False),
    left_alone=({"gvisor_daemon_json": {"userland-proxy": None}}, False),
)
def test_whoever_has_decided_on_it_gets_it(own: dict[str, Any], spares: bool) -> None:
    settings, problems = load_settings({"gvisor_runtimes": {}, **own})

    assert settings, problems
    assert settings.spares_ports is spares


def test_rules_that_count_on_it_to_be_off_are_refused_where_it_stays_on() -> None:
    told = ("published 8080/tcp", "nft")
    found = node(reach=(WEB6, OUTER), egress=told)
    settings, problems = load_settings({"gvisor_runtimes": {}, "gvisor_egress": {}})
    assert settings, problems

    refused = [str(problem) for _, problem in refusals(found, settings, tuple)]

    assert len(refused) == 1
    assert "dockerd's userland-proxy serves them" in refused[0]
    assert refusals(node(reach=(WEB4,), egress=told), settings, tuple) == []


def test_a_plan_that_switches_it_off_names_every_port_that_is_lost() -> None:
    found = node(reach=(WEB6, ONE, OUTER))

    plan = plan_daemon_json(found, OFF)

    assert plan.action is Force.RESTART
    lines = plan_lines(plan, found, wait_s=300)
    lost = "53/udp on 2001:db8::5 (dns), 8080/tcp over IPv6 (web)"
    said = f"  clients lose these published ports when docker-proxy ends: {lost}"
    assert said in lines
    assert given_up(plan, found) == "udp 6 53\ntcp 6 8080"


@table(
    "version, reach, told",
    before_29=("28.5.2", (WEB4,), 1),
    since_29=("29.7.1", (WEB4,), 0),
    nothing_is_published=("28.5.2", (OUTER,), 0),
)
def test_a_plan_says_that_containers_on_other_networks_need_another_way(
    version: str, reach: tuple[str, ...], told: int
) -> None:
    found = node(reach=reach, docker=info(ServerVersion=version))

    lines = plan_lines(plan_daemon_json(found, OFF), found, wait_s=300)

    assert sum("only if both containers share a network" in line for line in lines) == told


def test_another_restart_says_who_waits_for_docker_proxy_meanwhile_and_gives_none_up() -> None:
    found = node(reach=(WEB6, OUTER))
    among = node(reach=(*SHOP, NEXT, JOB), docker=info(ServerVersion="26.1.5"))

    plan, of_containers = (
        plan_daemon_json(it, {"no-new-privileges": True}) for it in (found, among)
    )

    said = "  published ports that refuse connections for less than a second: "
    assert f"{said}{LOST}" in plan_lines(plan, found, wait_s=300)
    assert given_up(plan, found) == ""
    lines = plan_lines(of_containers, among, wait_s=300)
    assert any("less than a second: " in line and "from containers [" in line for line in lines)


def test_a_restart_that_is_owed_names_what_it_will_cut_and_gives_none_up_before() -> None:
    found = node(reach=(WEB6, OUTER))

    plan = plan_daemon_json(found, {**OFF, "debug": True}, restart="reload")
    owes_none = plan_daemon_json(found, {"debug": True}, restart="reload")

    assert plan.action is owes_none.action is Force.RELOAD
    said = f"clients lose these published ports with that restart: {LOST}"
    assert (unapplied_lines(plan)[-1], given_up(plan, found)) == (said, "")
    assert (owes_none.lost, unapplied_lines(owes_none)) == (None, [])

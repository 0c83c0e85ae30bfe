"""Every check of the proof can fail on its own, and nothing that was not seen is ever "ok"."""

from __future__ import annotations

import re

import pytest

from pyinfra_gvisor.profiles import Runtime
from pyinfra_gvisor.proof import (
    CHECKS,
    CONTROL,
    GVISOR_KERNEL,
    Verdict,
    judge,
    start_failures,
    table,
)
from tests.unit.observations import DEBIAN_KERNEL, RELEASE, SANDBOX, output

HOST = {"runsc": Runtime(network="host")}
IDS = [check.id for check in CHECKS]


def not_proven(lines: list[str], runtimes: dict[str, Runtime] | None = None) -> list[str]:
    """The checks that failed."""
    return [item.check.id for item in judge(lines, RELEASE, runtimes or HOST) if not item.passed]


def test_what_a_good_node_shows_proves_every_check() -> None:
    verdicts = judge(output(), RELEASE, HOST)

    assert [verdict.check.id for verdict in verdicts] == IDS
    assert all(verdict.passed for verdict in verdicts)


@pytest.mark.parametrize(
    ("check", "key", "value"),
    [
        pytest.param("kernel-inside", "kernel_version", DEBIAN_KERNEL, id="hosts-kernel"),
        pytest.param("kernel-inside", "kernel_version", GVISOR_KERNEL + " x", id="like-gvisors"),
        pytest.param("process-outside", "argv0", "sleep", id="no-sandbox-outside"),
        pytest.param("process-outside", "argv0", "runsc-sandbox-x", id="like-a-sandbox"),
        pytest.param("release", "executable", "/usr/local/bin/runsc", id="another-runsc"),
        pytest.param(
            "release", "executable", "/opt/gvisor/releases/20240729.0/runsc", id="another-release"
        ),
        pytest.param(
            "release", "executable", f"/opt/gvisor/releases/{RELEASE}1/runsc", id="longer-name"
        ),
        pytest.param("dns", "dns_peer", "172.19.0.9", id="another-peer"),
        pytest.param("address", "address", "10.0.0.1", id="the-hosts-address"),
        pytest.param("address", "given_address", "172.19.0.9", id="not-the-given-address"),
        pytest.param("raw-socket", "raw_socket", "allowed", id="raw-socket"),
        pytest.param("packet-socket", "packet_socket", "allowed", id="packet-socket"),
        pytest.param("docker-socket", "docker_socket", "allowed", id="docker-socket"),
        pytest.param("exec", "exec", "answer 41", id="wrong-answer"),
        pytest.param("exec", "exec", "answer 42 and more", id="more-than-the-answer"),
    ],
)
def test_a_sandbox_that_shows_something_else_fails_that_check_and_no_other(
    check: str, key: str, value: str
) -> None:
    assert not_proven(output(runsc={key: value})) == [check]


@pytest.mark.parametrize(
    ("check", "key", "value"),
    [
        pytest.param("kernel-inside", "kernel_version", GVISOR_KERNEL, id="gvisors-kernel"),
        pytest.param("process-outside", "argv0", "runsc-sandbox", id="a-sandbox-outside"),
        pytest.param("release", "executable", SANDBOX["executable"], id="runsc-itself"),
        pytest.param("dns", "dns_peer", "", id="no-name"),
        pytest.param("address", "address", "172.19.0.9", id="another-address"),
        pytest.param("raw-socket", "raw_socket", "refused", id="raw-socket-refused"),
        pytest.param("packet-socket", "packet_socket", "refused", id="packet-socket-refused"),
        pytest.param("docker-socket", "docker_socket", "refused", id="docker-socket-refused"),
        pytest.param("exec", "exec", "", id="no-answer"),
    ],
)
def test_a_control_that_does_not_show_the_opposite_fails_that_check_and_no_other(
    check: str, key: str, value: str
) -> None:
    assert not_proven(output(runc={key: value})) == [check]


OBSERVED = [
    ("kernel-inside", "kernel_version"),
    ("process-outside", "argv0"),
    ("release", "executable"),
    ("dns", "dns_peer"),
    ("address", "address"),
    ("address", "given_address"),
    ("raw-socket", "raw_socket"),
    ("packet-socket", "packet_socket"),
    ("docker-socket", "docker_socket"),
    ("exec", "exec"),
]


@pytest.mark.parametrize(
    "nothing", [pytest.param(None, id="missing"), pytest.param("", id="empty")]
)
@pytest.mark.parametrize("subject", [pytest.param(name, id=name) for name in ("runsc", CONTROL)])
@pytest.mark.parametrize(("check", "key"), [pytest.param(*pair, id=pair[1]) for pair in OBSERVED])
def test_what_was_not_seen_is_not_proven(
    check: str, key: str, subject: str, nothing: str | None
) -> None:
    assert check in not_proven(output(**{subject: {key: nothing}}))


@pytest.mark.parametrize(
    ("check", "key"),
    [
        pytest.param("kernel-inside", "kernel_version", id="kernel"),
        pytest.param("dns", "peer_address", id="peer"),
        pytest.param("address", "subnet", id="subnet"),
    ],
)
def test_what_was_not_seen_of_the_node_itself_proves_nothing(check: str, key: str) -> None:
    assert check in not_proven(output(node={key: None}))


def test_a_control_that_showed_no_kernel_is_not_like_a_node_that_showed_none() -> None:
    unseen: dict[str, str | None] = {"kernel_version": None}

    failed = not_proven(output(node=unseen, runc=unseen))

    assert "kernel-inside" in failed


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"runsc": {"dns_peer": None}, "runc": {"dns_peer": None}}, id="missing"),
        pytest.param({"runsc": {"dns_peer": ""}, "runc": {"dns_peer": ""}}, id="empty"),
    ],
)
def test_a_name_that_nobody_resolved_is_not_proven_by_a_peer_without_an_address(
    changes: dict[str, dict[str, str | None]],
) -> None:
    empty = "" if changes["runsc"]["dns_peer"] == "" else None

    assert "dns" in not_proven(output(**changes, node={"peer_address": empty}))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no-output"),
        pytest.param(["", "\t", "garbage", "runsc", "runsc\tstart"], id="garbage"),
        pytest.param(output()[:3], id="only-the-node"),
    ],
)
def test_without_output_nothing_is_proven(lines: list[str]) -> None:
    assert not_proven(lines) == IDS


@pytest.mark.parametrize(
    "subject",
    [pytest.param("runsc", id="sandbox"), pytest.param(CONTROL, id="control")],
)
def test_if_one_side_did_not_start_nothing_is_proven_and_that_is_shown(subject: str) -> None:
    others = [line for line in output() if not line.startswith(f"{subject}\t")]

    verdicts = judge([*others, f"{subject}\tstart\tunknown runtime"], RELEASE, HOST)

    assert not any(verdict.passed for verdict in verdicts)
    side = [item.seen if subject == "runsc" else item.control for item in verdicts]
    assert set(side) == {"did not start"}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(output(), [], id="all-started"),
        pytest.param([], [], id="no-output"),
        pytest.param(["", "start", "\t\t", "runsc\tstart"], [], id="garbage"),
        pytest.param(
            ["runsc\tstart\tunknown\truntime", "runc\tstart\tok", "x\tstarted\tno"],
            ["runsc did not start: unknown\truntime"],
            id="one-did-not",
        ),
    ],
)
def test_why_a_probe_did_not_start_is_told_in_the_daemons_words(
    lines: list[str], expected: list[str]
) -> None:
    assert start_failures(lines) == expected


@pytest.mark.parametrize(
    ("subject", "key", "value"),
    [
        pytest.param("node", "subnet", "172.19.0.0/16fd00::/64", id="two-subnets"),
        pytest.param("node", "subnet", "garbage", id="subnet"),
        pytest.param("node", "subnet", "", id="subnet-empty"),
        pytest.param("runsc", "address", "nonsense", id="address"),
        pytest.param("runsc", "executable", "\u2028\x00", id="executable"),
    ],
)
def test_garbage_is_not_proven_and_breaks_nothing(subject: str, key: str, value: str) -> None:
    both: dict[str, dict[str, str | None]] = {subject: {key: value}}
    if key == "address":
        both[subject]["given_address"] = value

    assert not_proven(output(**both))


@pytest.mark.parametrize(
    ("network", "left_out"),
    [
        pytest.param("host", set(), id="hostinet"),
        pytest.param("sandbox", {"dns"}, id="netstack-without-dockers-dns"),
        pytest.param("none", {"dns", "address"}, id="no-network"),
    ],
)
def test_a_runtime_is_asked_what_its_network_can_show(network: str, left_out: set[str]) -> None:
    runtimes = {"runsc": Runtime.model_validate({"network": network})}

    verdicts = judge(output(), RELEASE, runtimes)

    assert {verdict.check.id for verdict in verdicts} == set(IDS) - left_out


def test_every_runtime_is_judged_on_what_it_showed_itself() -> None:
    bad = {**SANDBOX, "raw_socket": "allowed"}
    lines = [*output(), *(f"other\t{key}\t{value}" for key, value in bad.items())]

    verdicts = judge(lines, RELEASE, {**HOST, "other": Runtime()})

    failed = [(item.runtime, item.check.id) for item in verdicts if not item.passed]
    assert failed == [("other", "raw-socket")]


def cells(verdicts: list[Verdict]) -> list[list[str]]:
    """The table's cells."""
    return [re.split(r" {2,}", line) for line in table(verdicts)]


def test_the_table_shows_what_was_seen_on_both_sides_and_the_outcome() -> None:
    rows = cells(judge(output(runsc={"raw_socket": "allowed", "exec": None}), RELEASE, HOST))

    assert rows[0] == ["check", "runtime", "seen there", "under runc (control)"]
    assert ["raw-socket", "runsc", "allowed", "allowed", "NOT PROVEN"] in rows
    assert ["packet-socket", "runsc", "refused", "allowed", "ok"] in rows
    assert ["exec", "runsc", "nothing seen", "answer 42", "NOT PROVEN"] in rows


@pytest.mark.parametrize(
    "runtime",
    [pytest.param("runsc", id="usual"), pytest.param("runscwithnetstackanddebug", id="long-name")],
)
def test_a_line_of_the_table_fits_into_a_terminal(runtime: str) -> None:
    long = {**dict.fromkeys(SANDBOX, "x" * 200), "start": "ok", "address": "y" * 200}
    lines = [
        f"{subject}\t{key}\t{value}"
        for subject in (runtime, CONTROL)
        for key, value in long.items()
    ]

    rows = table(judge(lines, RELEASE, {runtime: Runtime()}))

    assert len(rows) == len(IDS) + 1
    assert max(map(len, rows)) < 100
    assert all(line == line.rstrip() for line in rows)


def test_the_columns_of_the_table_stand_under_each_other() -> None:
    head, *rows = table(judge(output(), RELEASE, HOST))

    at = head.index("seen there")
    assert all(row[at - 2 : at] == "  " and row[at] != " " for row in rows)


def test_a_cut_cell_keeps_the_end_that_tells_releases_apart() -> None:
    rows = cells(judge(output(), RELEASE, HOST))

    seen = next(row[2] for row in rows if row[0] == "release")
    assert seen.startswith("…")
    assert seen.endswith(f"/{RELEASE}/runsc")


def test_what_was_given_up_with_a_reason_is_shown_as_accepted_and_nothing_else_is() -> None:
    risky = Runtime(flags=("--net-raw",), reason="our own ping monitors")
    lines = output(runsc={"raw_socket": "allowed", "docker_socket": "allowed"})

    verdicts = {item.check.id: item.word for item in judge(lines, RELEASE, {"runsc": risky})}

    assert verdicts["raw-socket"] == "accepted"
    assert verdicts["packet-socket"] == "ok"
    assert verdicts["docker-socket"] == "NOT PROVEN"


def test_a_probe_that_saw_nothing_is_not_accepted() -> None:
    risky = Runtime(flags=("--net-raw",), reason="our own ping monitors")

    assert {item.word for item in judge([], RELEASE, {"runsc": risky})} == {"NOT PROVEN"}

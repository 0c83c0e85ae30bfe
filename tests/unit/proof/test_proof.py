"""Every check of the proof can fail on its own, and what is shown of it."""

import re
from importlib.resources import files

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.proof.checks import CHECKS, CONTROL, Check, asked_of
from pyinfra_gvisor.proof.judges import GVISOR_KERNEL, MEMORY_LIMIT
from pyinfra_gvisor.proof.proof_errors import start_failures, tried_since, why_unmade
from pyinfra_gvisor.proof.table import counts, failed_rows, remedies
from pyinfra_gvisor.proof.table import table as shown_rows
from pyinfra_gvisor.proof.verdict import Verdict, judge, unproven
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.table import table
from tests.unit.proof.observations import NODE, RELEASE, RUNC, SANDBOX, output
from tests.unit.shells import run

HOST = {"runsc": Runtime(network="host")}
STRICTEST = {"runsc": Runtime(network="sandbox", dns="docker", hardening="strict", seal=Seal())}
IDS = [check.id for check in asked_of(Runtime())]
SIDES = {"runsc": (SANDBOX, RUNC), CONTROL: (RUNC, SANDBOX)}
DECIDED_BY = {"process-outside": "state", "release": "runs"}
"""What decides a check, if that is not what it shows."""
UNSEEN_KERNEL = ["kernel-inside", "build-kernel"]
WRONG_ON_BOTH_SIDES = {"dns-scope": NODE["beyond"], "dns-external": ""}
ANOTHER_CONTAINER = "172.19.0.9"

of_every_check_on_both_sides = pytest.mark.parametrize(
    ("check", "subject"),
    [pytest.param(item, side, id=f"{item.id}-{side}") for item in CHECKS for side in SIDES],
)
GARBAGE = ["", "\t", "garbage", "runsc", "runsc\tstart"]
DNS = tuple(check.id for check in CHECKS if check.id.startswith("dns"))
EGRESS = [check.id for check in CHECKS if check.id.startswith("egress-")]
STRICT = [check.id for check in CHECKS if check.hardening == "strict"]
TCP = ("tcp-to-peer", "tcp-from-peer", "published-port")


def not_proven(lines: list[str], runtimes: dict[str, Runtime] | None = None) -> list[str]:
    """The checks that failed."""
    return [item.check.id for item in judge(lines, RELEASE, runtimes or HOST) if not item.passed]


def asking(check: Check) -> dict[str, Runtime]:
    """A runtime that this check is about."""
    return HOST if check.id in IDS else STRICTEST


def test_what_a_good_node_shows_proves_every_check() -> None:
    verdicts = judge(output(), RELEASE, HOST)

    assert [verdict.check.id for verdict in verdicts] == IDS
    assert all(verdict.passed for verdict in verdicts)
    assert not_proven(output(), STRICTEST) == []


@of_every_check_on_both_sides
def test_what_the_other_side_has_to_show_fails_that_check_alone(check: Check, subject: str) -> None:
    key = DECIDED_BY.get(check.id, check.observed)
    own, others = (side[key] for side in SIDES[subject])
    wrong = others if others != own else WRONG_ON_BOTH_SIDES.get(check.id, ANOTHER_CONTAINER)

    assert not_proven(output(**{subject: {key: wrong}}), asking(check)) == [check.id]


@table("nothing", missing=None, empty="")
@of_every_check_on_both_sides
def test_what_was_not_seen_is_not_proven(check: Check, subject: str, nothing: str | None) -> None:
    assert not_proven(output(**{subject: {check.observed: nothing}}), asking(check)) == [check.id]


@table(
    "failed, changes",
    like_gvisors=(["kernel-inside"], {"runsc": {"kernel_version": f"{GVISOR_KERNEL} x"}}),
    an_early_release_of_gvisors=([], {"runsc": {"kernel_release": "4.4.0"}}),
    a_late_one_that_nobody_knows=([], {"runsc": {"kernel_release": "6.1.0-gvisor"}}),
    nobody_knows_the_kernel_either=(
        ["kernel-inside", "kernel-release"],
        {"runsc": {"kernel_version": "#1 SMP another", "kernel_release": "6.1.0-gvisor"}},
    ),
    another_kernels_log=(["dmesg"], {"runsc": {"dmesg": "another kernel's"}}),
    nobody_knows_what_it_is=(["process-outside"], {"runsc": {"state": "unknown"}}),
    nobody_knows_what_runc_is=(["process-outside"], {"runc": {"state": "unknown"}}),
    a_longer_release=(["release"], {"runsc": {"runs": f"{RELEASE}1"}}),
    a_garbled_release=(["release"], {"runsc": {"runs": "\u2028\x00"}}),
    not_the_given_address=(["address"], {"runsc": {"given_address": ANOTHER_CONTAINER}}),
    outside_the_subnet=(
        ["address"],
        {"runsc": {"address": "10.0.0.1", "given_address": "10.0.0.1"}},
    ),
    no_given_address=(["address"], {"runsc": {"given_address": None}}),
    no_address_at_all=(["address"], {"runsc": {"address": "x", "given_address": "x"}}),
    the_nodes_address=(["address"], {"node": {"addresses": "172.19.0.3 192.0.2.7"}}),
    no_addresses_of_the_node=(["address"], {"node": {"addresses": ""}}),
    unseen_addresses=(["address"], {"node": {"addresses": None}}),
    no_subnet=(["address"], {"node": {"subnet": ""}}),
    unseen_subnet=(["address"], {"node": {"subnet": None}}),
    two_subnets=(["address"], {"node": {"subnet": "172.19.0.0/16fd00::/64"}}),
    garbage_for_a_subnet=(["address"], {"node": {"subnet": "garbage"}}),
    garbage_for_a_name=(["dns-scope"], {"runsc": {"dns_scope": "no such command"}}),
    nobody_answers=([], {side: {"dns_scope": "no answer"} for side in SIDES}),
    somebody_outside=([], {side: {"dns_scope": "203.0.113.7"} for side in SIDES}),
    nobody_has_that_name=(["dns-scope"], {"node": {"beyond": ""}}),
    unknown_to_docker=(["dns-scope"], {"node": {"beyond": "unknown"}}),
    no_such_container=(["dns-scope"], {"node": {"beyond": "Error: no such container"}}),
    unseen_name=(["dns-scope"], {"node": {"beyond": None}}),
    unseen_peer=(["dns", "dns-alias"], {"node": {"peer_address": None}}),
    unseen_kernel=(UNSEEN_KERNEL, {"node": {"kernel_version": None}}),
    unseen_release=(["kernel-release"], {"node": {"kernel_release": None}}),
    no_kernel_anywhere=(
        UNSEEN_KERNEL,
        {"node": {"kernel_version": None}, "runc": {"kernel_version": None}},
    ),
    allowed_by_no_rule_in_force=(
        ["egress-allowed"],
        {"runsc": {"egress_allowed": "not in force, connected"}},
    ),
    more_memory_inside=(
        ["memory-limit"],
        {"runsc": {"memory_limit": f"{MEMORY_LIMIT}, inside {4 * int(MEMORY_LIMIT)}"}},
    ),
    no_limit_but_inside=(
        ["memory-limit"],
        {"runsc": {"memory_limit": f"none, inside {MEMORY_LIMIT}"}},
    ),
    unseen_memory_inside=(
        ["memory-limit"],
        {"runc": {"memory_limit": f"{MEMORY_LIMIT}, inside unknown"}},
    ),
    more_than_the_answer=(["exec"], {"runsc": {"exec": "answer 42 and more"}}),
)
def test_only_what_has_to_be_seen_proves_a_check(
    failed: list[str], changes: dict[str, dict[str, str | None]]
) -> None:
    assert not_proven(output(**changes)) == failed


@table("seen", missing=None, empty="")
def test_a_name_that_nobody_resolved_is_not_proven_by_a_peer_without_one(seen: str | None) -> None:
    both = {subject: {"dns_peer": seen} for subject in SIDES}

    assert "dns" in not_proven(output(**both, node={"peer_address": seen}))


@table("lines", no_output=[], garbage=GARBAGE, only_the_node=output()[:3])
def test_without_output_nothing_is_proven_nor_accepted(lines: list[str]) -> None:
    risky = Runtime(flags=("--net-raw",), reason="our own ping monitors")

    assert (not_proven(lines), unproven(judge(lines, RELEASE, HOST))) == (IDS, sorted(IDS))
    assert {item.word for item in judge(lines, RELEASE, {"runsc": risky})} == {"NOT PROVEN"}


@table("subject", sandbox="runsc", control=CONTROL)
def test_if_one_side_did_not_start_nothing_is_proven_and_that_is_shown(subject: str) -> None:
    others = [line for line in output() if not line.startswith(f"{subject}\t")]

    verdicts = judge([*others, f"{subject}\tstart\tunknown runtime"], RELEASE, HOST)

    assert not any(verdict.passed for verdict in verdicts)
    side = [item.seen if subject == "runsc" else item.control for item in verdicts]
    assert set(side) == {"did not start"}


def test_every_runtime_is_judged_on_what_it_showed_itself_and_is_asked_for() -> None:
    bad = {**SANDBOX, "asked": "other", "raw_socket": "allowed"}
    lines = [*output(), *(f"other\t{key}\t{value}" for key, value in bad.items())]
    filtered = output(runsc={"dmesg": "refused"})  # by Docker's filter

    verdicts = judge(lines, RELEASE, {**HOST, "other": Runtime()})

    failed = [(item.runtime, item.check.id) for item in verdicts if not item.passed]
    assert failed == [("other", "raw-socket")]
    assert not_proven(filtered, {"runsc": Runtime(hardening="strict")}) == []
    assert not_proven(filtered, {"runsc": Runtime()}) == ["dmesg"]


@pytest.mark.parametrize("check", asked_of(Runtime()), ids=lambda check: check.id)
def test_only_a_check_that_says_when_may_be_left_out_and_it_is_never_ok(check: Check) -> None:
    unseen = output(runsc={check.observed: None})

    verdicts = judge(unseen, RELEASE, HOST, skipped={check.id: "not here"})

    (verdict,) = (item for item in verdicts if item.check is check)
    assert verdict.word == ("n/a" if check.unless else "NOT PROVEN")
    assert not verdict.passed
    assert unproven(verdicts) == ([] if check.unless else [check.id])


@table(
    "default, asked, control, failed",
    both_ask_for_none=("gvisordefault", "gvisordefault", "gvisordefault", []),
    by_name=("gvisordefault", "runc", "gvisordefault", ["runtime"]),
    control_by_name=("gvisordefault", "gvisordefault", "runc", ["runtime"]),
    no_default=(None, "gvisordefault", "runc", []),
    control_by_default=(None, "gvisordefault", "gvisordefault", ["runtime"]),
)
def test_where_a_runtime_is_the_default_neither_side_may_ask_for_one(
    default: str | None, asked: str, control: str, failed: list[str]
) -> None:
    seen = {"runsc": {"asked": asked}, CONTROL: {"asked": control}, "node": {"default": default}}
    lines = [line.replace("runsc\t", "gvisordefault\t", 1) for line in output(**seen)]

    assert not_proven(lines, {"gvisordefault": Runtime()}) == failed


@table(
    "runtime, left_out",
    hostinet=({"network": "host"}, {"own-stack"}),
    netstack_without_dockers_dns=({"network": "sandbox"}, set(DNS)),
    netstack_with_it=({"network": "sandbox", "dns": "docker"}, set()),
    no_network=({"network": "none"}, {*DNS, "address", "own-stack", *TCP, *EGRESS}),
)
def test_a_runtime_is_asked_what_it_can_show(runtime: dict[str, str], left_out: set[str]) -> None:
    runtimes = {"runsc": Runtime.model_validate(runtime)}

    verdicts = judge(output(), RELEASE, runtimes)

    left_out = left_out | {*STRICT, "seal"}
    assert {verdict.check.id for verdict in verdicts} == {check.id for check in CHECKS} - left_out


@table(
    "seal, asked",
    no_seal=(None, False),
    seal=(Seal(), True),
    other_directories=(Seal(binds=("/srv",)), True),
    less_than_the_probes_mount=(Seal(binds=("/usr/share",)), True),
    what_they_mount=(Seal(binds=("/usr",), reason="for this test"), False),
    everything=(Seal(binds=("/",), reason="for this test"), False),
)
def test_only_a_seal_that_refuses_the_probes_is_asked_for(seal: Seal | None, asked: bool) -> None:
    verdicts = judge(output(), RELEASE, {"runsc": Runtime(seal=seal)})

    assert [item.word for item in verdicts if item.check.id == "seal"] == ["ok"] * asked


WIDE = 200  # columns in which every cell of these tests stands on one line
UNSEEN = output(runsc={"exec": None})
UNFILTERED = output(runsc={"personality": "not refused"})
ELSEWHERE = "not refused under runc either"
LONG = f"runc\tstart\t{'x' * 999} the cause"
REFUSED = "docker: Error response from daemon: invalid argument"
NO_ROOM = "Error response from daemon: no room."


def cells(verdicts: list[Verdict]) -> list[list[str]]:
    """The table's cells."""
    return [re.split(r" {2,}", line) for line in shown_rows(verdicts, WIDE)]


@table(
    "lines, expected",
    all_started=(output(), {}),
    no_output=([], {}),
    garbage=(["", "start", "\t\t", "runsc\tstart"], {}),
    one_did_not=(
        ["runsc\tstart\tunknown\truntime", "runc\tstart\tok", "x\tstarted\tno"],
        {"runsc": "unknown\truntime"},
    ),
)
def test_why_no_probe_started_is_told_as_said(lines: list[str], expected: dict[str, str]) -> None:
    assert start_failures(lines) == expected


@table(
    "lines, row",
    seen=(output(), ["packet-socket", "runsc", "refused", "allowed", "ok"]),
    not_proven=(
        output(runsc={"raw_socket": "allowed"}),
        ["raw-socket", "runsc", "allowed", "allowed", "NOT PROVEN"],
    ),
    nothing_seen=(UNSEEN, ["exec", "runsc", "nothing seen", "answer 42", "NOT PROVEN"]),
    why_nothing_was_seen=(
        [*UNSEEN, "runsc\texec.error\tdocker exec: cannot load the sandbox"],
        ["exec", "runsc", "docker exec: cannot load the sandbox", "answer 42", "NOT PROVEN"],
    ),
    left_out_by_the_script=(
        [*output(runsc={"dns_external": None}), "node\tnot_applicable.dns-external\tno way"],
        ["dns-external", "runsc", "no way", "n/a"],
    ),
    the_nodes_own_filter=(
        [*UNFILTERED, f"node\tnot_applicable.seccomp\t{ELSEWHERE}"],
        ["seccomp", "runsc", ELSEWHERE, "n/a"],
    ),
)
def test_a_row_shows_both_sides_and_the_outcome(lines: list[str], row: list[str]) -> None:
    head, *rows = cells(judge(lines, RELEASE, {"runsc": Runtime(hardening="strict")}))

    assert head == ["check", "runtime", "seen there", "under runc (control)"]
    assert row in rows


def test_the_counts_say_how_many_checks_had_which_outcome() -> None:
    risky = Runtime(flags=("--net-raw",), reason="our own ping monitors")
    lines = output(runsc={"raw_socket": "allowed", "docker_socket": "allowed"})

    verdicts = judge(lines, RELEASE, {"runsc": risky}, skipped={"reload": "not now"})

    found = counts(verdicts)
    total = len(IDS) - 3
    assert found == [
        (f"{total} ok", "ok"),
        ("1 accepted", "accepted"),
        ("1 not applicable", "n/a"),
        ("1 NOT PROVEN", "NOT PROVEN"),
    ]
    assert [(item.check.id, item.word) for item in failed_rows(verdicts)] == [
        ("raw-socket", "accepted"),
        ("docker-socket", "NOT PROVEN"),
    ]


@table("columns", terminal_80=61, terminal_120=101)
def test_a_row_fits_into_a_terminal_and_is_broken_between_words(columns: int) -> None:
    rows = shown_rows(judge(output(), RELEASE, HOST, skipped={"reload": "because " * 20}), columns)

    assert max(map(len, rows)) <= columns
    assert all(line == line.rstrip() for line in rows)
    words = " ".join(rows).split()
    wide = shown_rows(judge(output(), RELEASE, HOST, skipped={"reload": "because"}), 999)
    whole = " ".join(wide).split()
    assert {word for word in whole if word.isalpha()} <= {*words}


@table("runtime", usual="runsc", long_name="runscwithnetstackanddebug")
def test_a_row_of_words_without_end_still_fits(runtime: str) -> None:
    long = {**dict.fromkeys(SANDBOX, "x" * 200), "start": "ok", "address": "y" * 200}
    lines = [f"{side}\t{key}\t{seen}" for side in (runtime, CONTROL) for key, seen in long.items()]

    rows = shown_rows(judge(lines, RELEASE, {runtime: Runtime()}), 100)

    assert len(rows) == len(IDS) + 1
    assert max(map(len, rows)) <= 100


@table("columns", terminal_80=61, wide=WIDE)
def test_the_columns_of_the_table_stand_under_each_other(columns: int) -> None:
    head, *rows = shown_rows(judge(output(), RELEASE, HOST), columns)

    at = head.index("seen there")
    assert all(row[at - 2 : at] == "  " for row in rows)
    assert all(row[at] != " " for row in rows if row[0] != " ")


def test_a_path_that_does_not_fit_keeps_its_end_and_no_cell_steers_the_terminal() -> None:
    rows = shown_rows(judge(output(runsc={"exec": "\x1b[2Jgone"}), RELEASE, HOST), 100)

    seen = next(row.split()[2] for row in rows if row.startswith("release"))
    assert "…" in seen
    assert seen.endswith(f"/{RELEASE}/runsc"), "which tells releases apart"
    assert all(line.isprintable() for line in rows)


def test_a_long_reason_continues_and_a_narrow_terminal_leaves_out_the_one_runtime() -> None:
    verdicts = judge(output(), RELEASE, HOST, skipped={"reload": "because " * 20, "stop": "no"})

    rows = shown_rows(verdicts, 100)
    narrow, wide = (shown_rows(judge(output(), RELEASE, HOST), columns) for columns in (61, 100))

    (row,) = (line for line in rows if line.startswith("reload"))
    (usual,) = (line for line in rows if line.startswith("logs"))
    assert row.endswith("  n/a")
    assert (row.index("n/a"), " ".join(rows).count("because")) == (usual.rindex("ok"), 20)
    assert "runtime" not in narrow[0]
    assert (narrow[-1].split()[:2], wide[0].split()[1]) == (["stop", "exited"], "runtime")
    assert wide[-1].split()[:3] == ["stop", "runsc", "exited"]


def test_what_failed_comes_whole_with_what_to_do_unless_it_did_not_start() -> None:
    lines = output(runsc={"raw_socket": "allowed", "docker_socket": "allowed", "logs": "none"})
    said = "docker exec: OCI runtime exec failed: exec failed: no such process"

    failed = [line.split(":")[0] for line in remedies(judge(lines, RELEASE, HOST))]
    rows = shown_rows(failed_rows(judge(output(runsc={"reload": said}), RELEASE, HOST)), 61)

    assert failed == ["raw-socket, docker-socket (critical)", "logs (medium)"]
    assert [word for row in rows for word in row.split() if word in said.split()] == said.split()
    assert remedies(judge(["runsc\tstart\tunknown runtime"], RELEASE, HOST)) == []


def test_every_check_says_all_that_is_to_be_said_of_it() -> None:
    assert len(set(IDS)) == len(IDS)
    assert all(check.shows and check.how and check.remedy for check in CHECKS)
    assert [check.id for check in CHECKS if "under runc the same" in check.how] == [
        check.id for check in CHECKS if check.same and check.id != "runtime"
    ]


@table(
    "lines, is_ok, said",
    proven=(output(), True, None),
    not_proven=(output(runsc={"raw_socket": "allowed"}), True, None),
    seen_and_broken=(output(runsc={"raw_socket": "allowed"}), False, None),
    unseen_and_broken=(UNSEEN, False, "no error message"),
    runtime_alone=(["runsc\tstart\tno such runtime", "runc\tstart\tok"], True, None),
    peer=(["runsc\tstart\tok", "runc\tstart\tok", "the peer\tstart\tno room"], False, "no room"),
    no_container_starts=(
        [f"{name}\tstart\t{REFUSED}" for name in ("runsc", "runc")],
        False,
        "no container starts, not under runc either: invalid argument",
    ),
    control_does_not_start=(
        ["runsc\tstart\tok", f"runc\tstart\t{REFUSED}"],
        False,
        "containers under runc, the control, do not start: invalid argument",
    ),
    long=([LONG], False, f": {'x' * 100} … {'x' * 190} the cause"),
    silent=([], True, "the probe ended too early: no error message"),
    broken_off=(output(), False, "no error message"),
    not_the_nodes=(["x node\tended\tby a tenant"], False, "no error message"),
)
def test_where_nothing_is_seen_is_no_proof(lines: list[str], is_ok: bool, said: str | None) -> None:
    problem = why_unmade(lines, [], judge(lines, RELEASE, HOST), ok=is_ok)

    assert (problem is None) is (said is None)
    if problem:
        assert problem.what.startswith("could not be made: ")
        assert problem.what.endswith(said or "")


def test_a_check_that_a_runtime_gives_up_does_not_speak_against_it() -> None:
    risky = {"runsc": Runtime(flags=("--net-raw",), reason="our own ping monitors")}
    lines = output(runsc={"raw_socket": "allowed"})

    assert why_unmade(lines, ["killed"], judge(lines, RELEASE, risky), ok=False)


@table(
    "tried, made, said",
    never=({}, {}, None),
    first=({"at": "2026-11-02T", "why": "w"}, {}, "at 2026-11-02T it w"),
    since=({"at": "2026-11-02T", "why": "w"}, {"at": "2026-11-01T"}, "at 2026-11-02T it w"),
    before=({"at": "2026-11-02T"}, {"at": "2026-11-03T"}, None),
)
def test_tries_count_until_a_proof(
    tried: dict[str, str], made: dict[str, str], said: str | None
) -> None:
    assert tried_since({"proof-try": tried, "proof": made}) == said


@table(
    "said, expected",
    docker_26=(f"docker: {NO_ROOM}\nSee 'docker run --help'.", f"docker: {NO_ROOM}"),
    docker_29=(f"docker: {NO_ROOM}\n\nRun 'docker run --help' for", f"docker: {NO_ROOM}"),
    a_warning_before=(f"WARNING: no swap\ndocker: {NO_ROOM}", f"docker: {NO_ROOM}"),
    exec=(f"WARNING: x\n{NO_ROOM}\nexit status 1", NO_ROOM),
    another_error=("timeout\nSee 'docker run --help'.\n", "timeout"),
    no_word=("nothing, code 124", "nothing, code 124"),
    nothing=("", ""),
    long=("docker: " + "x" * 999, "docker: " + "x" * 992),
)
def test_dockers_own_error_is_picked_out_or_else_the_end(said: str, expected: str) -> None:
    assert picked(said) == expected


def picked(said: str) -> str:
    """What ``containers.sh`` takes of it."""
    text = files("pyinfra_gvisor.proof").joinpath("containers.sh").read_text()
    function = text[text.index("why_not() {") :].partition("\n}\n")[0]
    program = f'set -eu\nsay() {{ printf \'%s\\n\' "$*"; }}\n{function}\n}}\nwhy_not "$1"'
    return run(program, said).stdout.rstrip("\n")

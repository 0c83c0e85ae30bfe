"""The bench counts only runs that did their job, and decides by medians."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.bench import stacks, throughput
from tests.bench.asides import start_sentence
from tests.bench.goals import Goal, longer_s, most_channels, ratio
from tests.bench.measure import BenchError, Run
from tests.bench.node import Cost
from tests.bench.outputs import audited, checks, proven, unchanged
from tests.bench.report import (
    default_table,
    goal_table,
    proof_sentence,
    result_table,
    rules_table,
    stacks_table,
    write_between_markers,
)
from tests.bench.results import AUDIT, FLOOR, OURS, PROOF, Row, Samples, interleaved
from tests.bench.web import WRK_SCRIPT, Answers, is_as_called, wrk
from tests.table import table

DUE = [check.id for check in asked_of(Runtime())]
OTHERS = [(check, "ok") for check in DUE[:-1]]
NONE = "    Grand total   -     -      -      -\n"
IDLE = "    Grand total      16      -      -      16\n"


def audit_output(*states: str, total: str = IDLE) -> str:
    lines = [
        f"    [bench-{number}]  bench-{number}: {state}; 5 waived; 0 of 0 containers in gVisor\n"
        for number, state in enumerate(states, 1)
    ]
    return "".join(lines) + total


def proof_output(rows: list[tuple[str, str]], total: str = "8   1   -   7") -> str:
    lines = [f"    [bench-1] {check}   runsc   refused    allowed   {word}" for check, word in rows]
    return "\n".join((*lines, f"    Grand total   {total}   \n"))


def all_but_one(word: str) -> list[tuple[str, str]]:
    return [*OTHERS, (DUE[-1], word)]


def test_runs_that_did_their_job_count() -> None:
    unchanged(IDLE, 2)
    unchanged(f"{NONE}--> Summary: 2 of 2 hosts as declared\n", 2)
    audited(audit_output("compliant", "compliant, with findings"), 2)
    proven(proof_output(all_but_one("ok")), 1)
    proven(proof_output(all_but_one("n/a")), 1)


@table(
    "check, output, hosts",
    no_total=(unchanged, "", 2),
    nothing_said=(unchanged, NONE, 1),
    one_host_of_two=(unchanged, f"{NONE}--> Summary: 1 of 2 hosts as declared\n", 2),
    nothing_run=(unchanged, "Grand total  0  -  -  -", 1),
    changed=(unchanged, "Grand total  16  1  -  15", 2),
    failed=(unchanged, "Grand total  16  -  1  15", 2),
    broken_off=(unchanged, "Grand total  16  -  -  15", 2),
    another_number_of_hosts=(unchanged, IDLE, 3),
    audit_without_a_verdict=(audited, IDLE, 2),
    audit_of_one_host_of_two=(audited, audit_output("compliant"), 2),
    audit_that_found=(audited, audit_output("compliant", "FAILED, not compliant"), 2),
    audit_that_wrote=(audited, audit_output("compliant", total="Grand total  1  1  -  -"), 1),
    proof_not_made=(proven, IDLE, 1),
    proof_without_a_table=(proven, proof_output([]), 1),
    not_proven=(proven, proof_output(all_but_one("NOT PROVEN")), 1),
    one_check_twice_for_another=(proven, proof_output([*OTHERS, (DUE[0], "ok")]), 1),
    a_check_twice=(proven, proof_output([*all_but_one("ok"), (DUE[0], "ok")]), 1),
    proof_and_a_change=(proven, proof_output(all_but_one("ok"), "8   2   -   6"), 1),
)
def test_a_run_that_did_less_or_more_than_its_job_does_not_count(
    check: Callable[[str, int], None], output: str, hosts: int
) -> None:
    with pytest.raises(BenchError):
        check(output, hosts)


def test_only_rows_of_a_proofs_table_are_checks() -> None:
    output = proof_output([("dns", "ok"), ("dns-external", "n/a"), ("stop", "NOT PROVEN")])

    assert checks(f"    [bench-1] prove runsc with a probe, all ok\n{output}") == [
        ("dns", "ok"),
        ("dns-external", "n/a"),
    ]


def samples(*walls_s: float, channels: int = 1, output: str = "") -> Samples:
    return [(Run(wall_s, 0.5, output), Cost(channels, 0.1)) for wall_s in walls_s]


RESULTS = {
    (1, OURS): samples(1.2, 9.0, 1.0),
    (1, FLOOR): samples(1.0, 0.8, 1.0),
    (1, AUDIT): [*samples(1.5, 1.5), *samples(1.5, channels=3)],
    (1, PROOF): samples(11.5, 7.2, 8.0, channels=4, output=proof_output(all_but_one("n/a"))),
}


@table(
    "goal, number, reached",
    ratio=(Goal(1, ratio(OURS, FLOOR), most=1.2), 1.2, True),
    ratio_missed=(Goal(1, ratio(AUDIT, OURS), least=3), 1.25, False),
    seconds=(Goal(1, longer_s(PROOF, OURS), most=10), 6.8, True),
    seconds_missed=(Goal(1, longer_s(PROOF, OURS), most=6), 6.8, False),
    channels_missed=(Goal(1, most_channels(AUDIT), most=2), 3, False),
    channels=(Goal(1, most_channels(OURS), most=2), 1, True),
)
def test_medians_and_most_channels_decide_a_goal(goal: Goal, number: float, reached: bool) -> None:
    measured = goal.measured(RESULTS)

    assert measured is not None
    assert measured == pytest.approx(number)
    assert goal.reached(measured) is reached


def test_a_goal_whose_runs_were_not_made_is_not_judged() -> None:
    assert Goal(10, most_channels(AUDIT), most=2).measured(RESULTS) is None
    assert goal_table(RESULTS).splitlines()[2:] == [
        "| ours / floor, 1 host: at most 1.2             | 1.20     | pass |",
        "| audit, channels a host, 1 host: at most 2     | 3        | miss |",
        "| proof minus ours, seconds, 1 host: at most 10 | 6.80     | pass |",
    ]


def test_the_table_compares_each_row_with_ours_and_with_the_floor() -> None:
    rows = [[cell.strip() for cell in row.split("|")] for row in result_table(RESULTS).splitlines()]

    assert rows[0][4:6] == ["times ours", "times floor"]
    assert rows[4][2:6] == ["audit", "1.50 (1.50 to 1.50)", "1.25", "1.50"]


def test_the_proof_is_told_by_its_checks_and_by_what_it_adds() -> None:
    assert proof_sentence(RESULTS) == (
        f"The proof makes {len(DUE) - 1} checks, each under the runtime and under runc; "
        "not applicable on this node: 1. To a run of ours it adds 6.80 s and 3 channels."
    )
    assert proof_sentence({(10, OURS): samples(1.0)}) == ""


def test_what_the_rules_leave_is_decided_by_medians_and_judged_for_tcp() -> None:
    results = [
        Row("TCP out", {"without": [10.0, 1.0, 12.0], "through": [9.5, 9.6, 2.0]}),
        Row("TCP in", {"without": [10.0, 1.0, 12.0], "through": [9.4, 99.0, 2.0]}),
        Row("connects", {"without": [4.0], "through": [2.0]}),
    ]

    assert rules_table(results).splitlines() == [
        "| what     | without (min to max)  | through (min to max) | left | goal          |      |",
        "|----------|-----------------------|----------------------|------|---------------|------|",
        "| TCP out  | 10.00 (1.00 to 12.00) | 9.50 (2.00 to 9.60)  | 0.95 | at least 0.95 | pass |",
        "| TCP in   | 10.00 (1.00 to 12.00) | 9.40 (2.00 to 99.00) | 0.94 | at least 0.95 | miss |",
        "| connects | 4.00 (4.00 to 4.00)   | 2.00 (2.00 to 2.00)  | 0.50 |               |      |",
    ]


def test_each_round_starts_with_another_kind_and_is_kept_by_row() -> None:
    orders: list[str] = []

    def measure(kinds: Sequence[str]) -> Iterator[tuple[str, str, float]]:
        orders.append("".join(kinds))
        yield from (("row", kind, len(orders)) for kind in kinds)

    assert interleaved(measure, "ab", 3, forms={"row": ".0f"}) == [
        Row("row", {"a": [1, 2, 3], "b": [1, 2, 3]}, ".0f")
    ]
    assert orders == ["ab", "ba", "ab"]


def test_of_a_transfer_what_has_arrived_counts() -> None:
    tcp = {"sum_sent": {"bits_per_second": 9e9}, "sum_received": {"bits_per_second": 8.5e9}}
    udp = {"sum_received": {"packets": 100_000, "lost_packets": 10_000, "seconds": 3.0}}

    assert throughput.gbit_per_s(json.dumps({"end": tcp})) == pytest.approx(8.5)
    assert throughput.thousands_per_s(json.dumps({"end": udp})) == pytest.approx(30)


@table("accepted, dropped", another_way=(0, 0), stopped=(300, 1))
def test_what_went_another_way_or_was_stopped_does_not_count(accepted: int, dropped: int) -> None:
    throughput.met_all({"accept_internet": 2, "drop_rate": 0})

    with pytest.raises(BenchError):
        throughput.met_all({"accept_internet": accepted, "drop_rate": dropped})


def test_a_part_is_written_between_its_own_markers_and_the_other_stays(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    runs = "<!-- bench: begin -->\n\nmeasured before\n\n<!-- bench: end -->\n"
    readme.write_text(f"{runs}<!-- rules: begin -->\nold\n<!-- rules: end -->\nend\n")

    write_between_markers(readme, "rules", "new")

    assert readme.read_text() == f"{runs}<!-- rules: begin -->\n\nnew\n\n<!-- rules: end -->\nend\n"
    with pytest.raises(BenchError):
        write_between_markers(readme, "another", "new")


def test_a_default_may_make_a_start_longer_than_other_calls() -> None:
    took = {"off": [1.0, 2.0, 9.0], "default": [30.0, 32.0, 31.0]}

    table = default_table([Row(what, took) for what in ("docker run", "docker exec")])

    assert [line.split("|")[4:-1] for line in table.splitlines()[2:]] == [
        [" 29.0              ", " at most 40 ", " pass "],
        [" 29.0              ", " at most 5  ", " miss "],
    ]


SAID = {"answers": 8000, "bytes": 10_000_000, "failed": 0, "took_us": 2_000_000}
SAID |= {"median_us": 315, "p99_us": 1670}
ANSWERS = Answers(number=8000, size_bytes=10_000_000, took_s=2.0, median_ms=0.315, p99_ms=1.67)
SANDBOX = "runsc-sandbox --log-format=json --network={} --root=/var/run/docker boot"


def wrk_output(**others: int) -> str:
    """What wrk prints, with our line at its end."""
    return f"Running 2s test @ http://x\nRequests/sec:   1.00\n{json.dumps({**SAID, **others})}\n"


def test_what_wrk_says_is_read_from_the_line_of_our_script() -> None:
    assert Answers.of(wrk_output()) == ANSWERS
    assert [key for key in SAID if f'"{key}": %d'.encode() not in WRK_SCRIPT] == []


@table(
    "output",
    an_error=wrk_output(failed=1),
    no_answer=wrk_output(answers=0),
    no_line="unable to connect to x:8000 Connection refused\n",
    nothing="",
)
def test_a_trial_with_an_error_or_without_answers_does_not_count(output: str) -> None:
    with pytest.raises(BenchError):
        Answers.of(output)


def test_wrk_ends_by_itself_and_is_stopped_if_it_does_not() -> None:
    asked = wrk("http://x", "--connections=8", duration_s=2)

    assert asked[:3] == ("timeout", "30", "wrk")
    assert "--duration=2s" in asked
    assert asked[-2:] == ("--connections=8", "http://x")


def test_numbers_are_of_answers_and_of_the_nodes_processor_time() -> None:
    assert stacks.thousands_per_s(ANSWERS, 1.6) == pytest.approx(4)
    assert stacks.cpu_ms_per_thousand(ANSWERS, 1.6) == pytest.approx(200)
    assert stacks.gbit_per_s(ANSWERS, 1.6) == pytest.approx(0.04)
    assert stacks.cpu_s_per_gb(ANSWERS, 1.6) == pytest.approx(160)


def test_every_number_has_a_row_of_its_own() -> None:
    rows = [what for what, *_ in stacks.ROWS]

    assert len(set(rows)) == len(rows) > 0


@table(
    "counts, kind, runtime, process",
    runc=(True, "runc", "runc", "nginx: master process nginx -e stderr"),
    the_nodes_stack=(True, "runsc", "runsc", SANDBOX.format("host")),
    gvisors_own_stack=(True, "gvisor", "gvisor", SANDBOX.format("sandbox")),
    runc_in_a_sandbox=(False, "runc", "runc", SANDBOX.format("host")),
    no_sandbox=(False, "runsc", "runsc", "nginx: master process"),
    another_stack=(False, "runsc", "runsc", SANDBOX.format("sandbox")),
    gvisor_with_the_nodes_stack=(False, "gvisor", "gvisor", SANDBOX.format("host")),
    both_stacks=(False, "gvisor", "gvisor", f"{SANDBOX.format('sandbox')} --network=host"),
    no_stack_named=(False, "gvisor", "gvisor", "runsc-sandbox boot"),
    another_runtime=(False, "gvisor", "runsc", SANDBOX.format("sandbox")),
)
def test_a_container_counts_only_if_its_process_is_what_its_row_says(
    *, counts: bool, kind: str, runtime: str, process: str
) -> None:
    with nullcontext() if counts else pytest.raises(BenchError):
        is_as_called(kind, runtime, process)


def test_stacks_are_compared_by_medians() -> None:
    results = [
        Row("many", {"runc": [8.0, 9.0, 1.0], "runsc": [4.0], "gvisor": [2.0, 1.0, 9.0]}),
        Row("one, ms", {"runc": [0.05], "runsc": [0.2], "gvisor": [0.1]}, ".3f"),
    ]

    rows = [[cell.strip() for cell in row.split("|")] for row in stacks_table(results).splitlines()]

    kinds = ("runc", "`network: host`", "`network: sandbox`")
    assert rows[0][2:5] == [f"{kind} (min to max)" for kind in kinds]
    assert rows[0][5:8] == ["host / runc", "sandbox / runc", "sandbox / host"]
    assert rows[2][1:8] == [
        *("many", "8.00 (1.00 to 9.00)", "4.00 (4.00 to 4.00)", "2.00 (1.00 to 9.00)"),
        *("0.50", "0.25", "0.50"),
    ]
    assert rows[3][1:3] == ["one, ms", "0.050 (0.050 to 0.050)"]
    assert rows[3][5:8] == ["4.00", "2.00", "0.50"]


def test_what_names_add_to_a_start_is_told_by_medians_with_its_goal() -> None:
    assert start_sentence(Row("", {"plain": [2.0, 1.0, 9.0], "names": [6.0, 5.5, 1.0]})) == (
        "The wrapper of a runtime with `dns` takes 5.50 ms of a container's start, the wrapper of "
        "another runtime 2.00 ms (medians of 3): 3.50 ms more; goal: less than 5, pass."
    )
    missed = start_sentence(Row("", {"plain": [1.0], "names": [6.0]}))
    assert missed.endswith("5.00 ms more; goal: less than 5, miss.")

"""A report's document, its files, and its metrics for the node exporter."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.report.document import (
    FleetReport,
    HostReport,
    RuntimeReport,
    not_looked_at,
)
from pyinfra_gvisor.report.earlier import earlier
from pyinfra_gvisor.report.files import write_fleet, write_host
from pyinfra_gvisor.report.names import file_name
from pyinfra_gvisor.report.terminal import fleet_lines, host_lines
from pyinfra_gvisor.report.textfile import fleet_textfile, textfile
from tests.arguments import Data
from tests.table import table
from tests.unit.egress.firewalled import DATABASE, METADATA, box, counted, firewall, guarded
from tests.unit.report.reports import (
    AT,
    AT_S,
    COUNTERS,
    GONE,
    MODE,
    PROVEN_S,
    SOCKET,
    UNSANDBOXED,
    WAIVED,
    WEB,
    WRAPPER,
    container,
    every_state,
    failed,
    fleet,
    host,
    node,
    unknown,
    with_firewall,
)
from tests.unit.shells import run, stub, toolbox

NOTE = MODE.model_copy(update={"severity": Severity.INFO})
FORMS = ["fleet.html", "fleet.json", "fleet.junit.xml", "fleet.prom", "fleet.sarif"]
HOSTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@table(
    "report, state, compliant",
    nothing_found=(host("a"), "clean", True),
    waived=(host("a", WAIVED), "clean", True),
    for_information=(host("a", NOTE), "clean", True),
    milder_than_fail_on=(host("a", MODE), "findings", True),
    at_fail_on=(host("a", SOCKET), "failed", False),
    worse_than_fail_on=(host("a", UNSANDBOXED), "failed", False),
    not_looked_at=(unknown("a"), "unknown", False),
)
def test_a_hosts_state_is_of_its_findings(report: HostReport, state: str, compliant: bool) -> None:
    document = report.to_json()

    assert (document["state"], document["compliant"]) == (state, compliant)


@table(
    "report, compliant",
    no_host=(fleet(), False),
    all_compliant=(fleet(host("b", MODE), host("a")), True),
    one_failed=(fleet(host("b", SOCKET), host("a")), False),
    one_unknown=(fleet(unknown("b"), host("a")), False),
)
def test_a_fleet_is_compliant_if_all_its_hosts_are_which_it_has_by_name(
    report: FleetReport, compliant: bool
) -> None:
    document = report.to_json()

    assert document["compliant"] is compliant
    hosts = sorted(report.hosts, key=lambda item: item.host)
    assert document["hosts"] == [item.to_json() for item in hosts]


@table("at", no_offset="2026-11-25T01:02:03", no_time="yesterday", empty="")
def test_a_time_that_is_none_or_without_its_offset_is_refused(at: str) -> None:
    given: dict[str, Any] = {"by": "audit", "fail_on": Severity.HIGH, "error": "down"}

    assert not_looked_at("a", at=AT, **given).at == AT
    with pytest.raises(ValidationError, match="time"):
        not_looked_at("a", at=at, **given)


def test_what_the_kernel_counted_and_whom_it_stopped_is_in_the_document() -> None:
    lines = [*box("web", "172.18.0.2"), *counted(("172.18.0.2", *METADATA), counters=COUNTERS)]

    document = guarded(*lines, *counted(("172.18.0.9", *DATABASE))).to_json()

    assert document["egress"] == {
        "declared": True,
        "in_force": True,
        "only_reports": False,
        "counters": COUNTERS,
        "stopped": [
            {"who": "web", "running": True, "tried": ["169.254.169.254:80/tcp"], "more": 0},
            {"who": "172.18.0.9", "running": False, "tried": ["10.0.0.5:5432/tcp"], "more": 0},
        ],
    }


def test_destinations_without_end_are_counted_only_and_those_of_a_lost_table_not_made_up() -> None:
    tries = [("172.18.0.2", f"10.0.1.{number}", 6, 5432) for number in range(1, 201)]

    (web,) = guarded(*box("web", "172.18.0.2"), *counted(*tries)).egress.stopped
    lost = guarded(told=firewall(without=["now"])).egress

    assert (len(web.tried), web.more) == (50, 150)
    assert lost is not None
    assert (lost.in_force, lost.counters, lost.stopped) == (False, {}, ())


def test_a_firewall_survives_being_written_and_a_report_of_before_there_were_any_is_read(
    tmp_path: Path,
) -> None:
    report = with_firewall("run-2", stopped=(WEB, GONE))
    path, _ = write_host(tmp_path, host("run-1")), write_host(tmp_path, report)
    path.write_text(re.sub(r'\n *"egress": null,', "", path.read_text()))

    assert (earlier(tmp_path, "run-1"), earlier(tmp_path, "run-2")) == (host("run-1"), report)
    assert "egress" not in path.read_text()


def test_metrics_of_a_declared_firewall_are_counters_by_rule_and_none_out_of_force() -> None:
    text = textfile(with_firewall())
    out_of_force = textfile(with_firewall(in_force=False, counters={}))

    assert "# TYPE gvisor_egress_in_force gauge\ngvisor_egress_in_force 1\n" in text
    assert (
        "# TYPE gvisor_egress_packets_total counter\n"
        'gvisor_egress_packets_total{verdict="drop",rule="metadata"} 3\n'
        'gvisor_egress_packets_total{verdict="drop",rule="node"} 0\n'
    ) in text
    assert (
        "# TYPE gvisor_egress_connections_total counter\n"
        'gvisor_egress_connections_total{verdict="accept",rule="dns"} 120\n'
        'gvisor_egress_connections_total{verdict="accept",rule="internet"} 4031\n'
    ) in text
    assert text.count("# HELP gvisor_egress_") == 4
    assert "gvisor_egress_blocks 1\n" in text
    only_reports = textfile(with_firewall(counters={"would_drop_smtp": 2}, only_reports=True))
    assert "gvisor_egress_blocks 0\n" in only_reports
    assert 'packets_total{verdict="would_drop",rule="smtp"} 2\n' in only_reports
    assert "gvisor_egress_in_force 0\n" in out_of_force
    assert "_total" not in out_of_force
    assert "egress" not in textfile(host("a")) + textfile(with_firewall(declared=False))


@table(
    "changes, end",
    nothing_to_say=({}, ""),
    two_blocked=({"stopped": (WEB, GONE)}, "; firewall blocked 2 containers"),
    not_in_force=({"in_force": False}, "; FIREWALL NOT ACTIVE"),
    only_reports=(
        {"only_reports": True, "stopped": (WEB,)},
        "; firewall only reports, would block 1",
    ),
    reports_nothing=({"only_reports": True}, "; firewall only reports"),
)
def test_of_a_firewall_the_terminal_is_told_what_matters(changes: Data, end: str) -> None:
    report = with_firewall(**changes)

    line = f"run-1: compliant; nothing found; 1 of 1 containers in gVisor{end}"
    assert host_lines(report) == [line]
    assert line in fleet_lines(fleet(report))


def test_a_fleets_report_has_five_forms_and_nothing_beside_them_and_a_hosts_is_its_document(
    tmp_path: Path,
) -> None:
    directory, report = tmp_path / "made" / "for it", host("run-1")

    written, path = write_fleet(directory, every_state()), write_host(str(tmp_path), report)

    assert sorted(item.name for item in written) == FORMS
    assert sorted(item.name for item in directory.iterdir()) == FORMS
    assert json.loads((directory / "fleet.json").read_text()) == every_state().to_json()
    assert path == tmp_path / "hosts" / "run-1.json"
    assert json.loads(path.read_text()) == report.to_json()


def test_reports_can_be_read_by_all_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        paths = [write_host(tmp_path, host("run-1")), *write_fleet(tmp_path, fleet())]
    finally:
        os.umask(before)

    assert {oct(path.stat().st_mode & 0o7777) for path in paths} == {"0o644"}


def test_a_report_takes_the_place_of_the_last_one_by_a_rename_and_of_no_other_hosts(
    tmp_path: Path,
) -> None:
    gone, path = write_host(tmp_path, host("gone")), write_host(tmp_path, host("run-1"))
    with path.open() as old:
        write_host(tmp_path, unknown("run-1"))
        write_fleet(tmp_path, fleet(host("run-1")))

        assert json.loads(old.read())["state"] == "clean"

    assert json.loads(path.read_text())["state"] == "unknown"
    assert sorted(path.parent.iterdir()) == [gone, path]


def test_a_report_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    in_the_way = tmp_path / "hosts" / "run-1.json" / "kept"
    in_the_way.mkdir(parents=True)
    reason = r"/report/fleet\.json: the report cannot be written: .*; set gvisor_report_dir"

    with pytest.raises(Problem, match=reason):
        write_fleet(tmp_path / "report", fleet())
    with pytest.raises(Problem, match=r"run-1\.json: the report cannot be written"):
        write_host(tmp_path, host("run-1"))

    assert list((tmp_path / "hosts").iterdir()) == [in_the_way.parent]


@table(
    "name, expected",
    plain=("run-1.example.com", "run-1.example.com"),
    connector=("@docker/x", "%40docker%2Fx"),
    slash=("a/b", "a%2Fb"),
    parent=("..", "%2E."),
    hidden=(".hidden", "%2Ehidden"),
    looks_like_ours=("a%2fb", "a%252fb"),
    upper_case=("Run", "%52un"),
    bytes=("käse\0\n", "k%C3%A4se%00%0A"),
)
def test_a_hosts_name_becomes_a_files_name(name: str, expected: str) -> None:
    assert file_name(name) == expected


@given(HOSTS, HOSTS)
@example("x" * 300, "x" * 299 + "y")
@example("x" * 300, "x" * 301)
@example("x" * 300, "X" * 300)
def test_every_hosts_file_can_be_made_in_the_directory_and_is_its_own_whatever_the_case(
    first: str, second: str
) -> None:
    assert re.fullmatch(r"(?!\.)[a-z0-9._%A-F~-]{1,199}", file_name(second))
    assert (first == second) == (file_name(first).lower() == file_name(second).lower())


NAME = "pyinfra_gvisor.prom"
LINE = re.compile(r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\d+)')


def samples(report: HostReport | FleetReport) -> dict[str, int]:
    """Every sample by its name and labels; a line that is none is a failure."""
    found = {}
    text = textfile(report) if isinstance(report, HostReport) else fleet_textfile(report)
    for line in text.splitlines():
        if not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            found[f"{match[1]}{match[2] or ''}"] = int(match[3])
    return found


def test_a_host_that_fails_in_numbers() -> None:
    assert samples(failed()) == {
        "gvisor_node_compliant": 0,
        'gvisor_findings{severity="critical"}': 1,
        'gvisor_findings{severity="high"}': 1,
        'gvisor_findings{severity="medium"}': 0,
        'gvisor_findings{severity="low"}': 1,
        'gvisor_findings{severity="info"}': 0,
        'gvisor_finding{id="container-docker-sock",severity="high"}': 1,
        'gvisor_finding{id="container-unsandboxed",severity="critical"}': 1,
        'gvisor_finding{id="daemon-json-mode",severity="low"}': 1,
        'gvisor_containers{runtime="runc",sandboxed="false"}': 2,
        'gvisor_containers{runtime="runc",sandboxed="true"}': 0,
        'gvisor_containers{runtime="runc",sandboxed="unknown"}': 0,
        'gvisor_containers{runtime="runsc",sandboxed="false"}': 0,
        'gvisor_containers{runtime="runsc",sandboxed="true"}': 1,
        'gvisor_containers{runtime="runsc",sandboxed="unknown"}': 0,
        'gvisor_release_info{release="20260928.0",docker="28.5.1",kernel="6.12.48+deb13-amd64"}': 1,
        'gvisor_release_timestamp_seconds{release="20260928.0"}': 1790553600,
        "gvisor_proof_holds": 1,
        "gvisor_last_proof_timestamp_seconds": PROVEN_S,
        "gvisor_last_audit_timestamp_seconds": AT_S,
    }


def test_of_a_clean_a_never_proven_and_an_unknown_host_nothing_is_made_up() -> None:
    never = host("a").model_copy(update={"node": node(at=None)})

    clean, nothing = samples(host("a")), samples(unknown("a"))

    assert (clean["gvisor_node_compliant"], nothing["gvisor_node_compliant"]) == (1, 0)
    assert [value for name, value in clean.items() if "findings" in name] == [0] * 5
    assert not [name for name in nothing if "release" in name or "containers" in name]
    assert "gvisor_last_proof_timestamp_seconds" in clean
    assert [name for name in samples(never) if "proof" in name] == ["gvisor_proof_holds"]
    assert samples(never)["gvisor_proof_holds"] == 0


def test_a_release_counts_if_dockerd_starts_it_whatever_is_declared_and_whatever_its_name() -> None:
    runtimes = tuple(
        RuntimeReport(name=name, path=WRAPPER, release=release)
        for name, release in (("a", "20260928.0"), ("b", "nightly"), ("c", None))
    )
    moved = node().model_copy(update={"release": "20261005.0", "runtimes": runtimes})

    found = samples(host("a").model_copy(update={"node": moved}))

    assert [name.split('"')[1] for name in found if "release_info" in name] == [
        "20260928.0",
        "nightly",
    ]
    assert len([name for name in found if "release_timestamp" in name]) == 1


def test_the_fleets_numbers_have_hosts_of_which_nothing_is_known() -> None:
    found = samples(fleet(host("run-1"), failed(), unknown("run-4")))

    assert {name: value for name, value in found.items() if "timestamp" not in name} == {
        f'gvisor_fleet_host_{what}{{host="run-{number}"}}': value
        for what, values in (
            ("checked", (1, 1, 0)),
            ("compliant", (1, 0, 0)),
            ("proof_holds", (1, 1, 0)),
        )
        for number, value in zip((1, 2, 4), values, strict=True)
    }
    assert {value for name, value in found.items() if "timestamp" in name} == {AT_S}


def test_every_metric_has_help_and_type_in_front_once_and_its_samples_escaped() -> None:
    lines = textfile(failed()).split("\n")
    odd = samples(host("a", containers=(container("a", asked='r"\\\nx'),)))

    assert odd[r'gvisor_containers{runtime="r\"\\\nx",sandboxed="true"}'] == 1
    assert lines.pop() == ""
    heads = [index for index, line in enumerate(lines) if line.startswith("# HELP ")]
    names = [lines[index].split()[2] for index in heads]
    assert len(names) == len(set(names)) == 9
    for name, begin, end in zip(names, heads, [*heads[1:], len(lines)], strict=True):
        assert lines[begin + 1] == f"# TYPE {name} gauge"
        assert lines[begin + 2 : end]
        assert all(re.match(rf"{name}[ {{]", line) for line in lines[begin + 2 : end])


def write(path: Path, directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    """The script with its output in ``directory``."""
    if not path.exists():
        toolbox(path)
    variables = {"textfile_dir": str(directory), "content_b64": encoded(text)}
    return run(script("base/write_textfile", **variables), path=path)


def test_the_script_writes_a_file_for_all_to_read_follows_no_link_and_leaves_nothing_beside_it(
    tmp_path: Path,
) -> None:
    directory, other = tmp_path / "text files", tmp_path / "other"
    directory.mkdir()
    (directory / NAME).write_text("old")
    other.write_text("kept")
    (directory / f".{NAME}.new").symlink_to(other)  # in the temporary file's place

    ran = write(tmp_path / "bin", directory, textfile(failed()))

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert [path.name for path in directory.iterdir()] == [NAME]
    assert (directory / NAME).read_text() == textfile(failed())
    assert oct((directory / NAME).lstat().st_mode & 0o177777) == "0o100644", "a file"
    assert other.read_text() == "kept"


def test_until_all_is_written_the_collector_sees_the_old_file_only(tmp_path: Path) -> None:
    directory = tmp_path / "text"
    directory.mkdir()
    (directory / NAME).write_text("old")
    path = toolbox(tmp_path / "bin")
    stub(path, "mv", f'ls -A "{directory}" > "{tmp_path}/seen"; exit 1')

    ran = write(path, directory, "new\n")

    seen = (tmp_path / "seen").read_text().split()
    assert ran.returncode != 0
    assert len(seen) == 2
    assert [name for name in seen if name.endswith(".prom")] == [NAME]
    assert [path.name for path in directory.iterdir()] == [NAME]
    assert (directory / NAME).read_text() == "old"


@table("there", nothing=False, file=True)
def test_a_missing_directory_is_named_with_what_to_do(tmp_path: Path, there: bool) -> None:
    directory = tmp_path / "text"
    if there:
        directory.write_text("a file")

    ran = write(tmp_path / "bin", directory, "new\n")

    assert ran.returncode == 1
    assert ran.stderr == (
        f"textfile_dir {directory} does not exist; "
        "install prometheus-node-exporter, or correct gvisor_textfile_dir\n"
    )

"""The forms of a report that other programs read, and the lines on a terminal."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as Xml

import pytest
from jsonschema import Draft202012Validator

from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.report.document import FleetReport, fleet_report
from pyinfra_gvisor.report.files import write_fleet, write_host
from pyinfra_gvisor.report.junit import LOOKED_AT, junit
from pyinfra_gvisor.report.outlooks import AppOutlooks
from pyinfra_gvisor.report.page import page
from pyinfra_gvisor.report.sarif import UNKNOWN, sarif
from pyinfra_gvisor.report.terminal import fleet_lines, host_lines
from tests.arguments import Data
from tests.table import table
from tests.unit.report.reports import (
    AT,
    GONE,
    MODE,
    SOCKET,
    UNSANDBOXED,
    WAIVED,
    WEB,
    every_state,
    failed,
    fleet,
    host,
    unknown,
    with_firewall,
)
from tools.published.schema import REPORT_FILE, report_schema_text

FAILED = (
    "run-2: FAILED, not compliant; 1 critical, 1 high, 1 low, 1 waived; 1 of 3 containers in gVisor"
)
SCHEMA: dict[str, Any] = json.loads(REPORT_FILE.read_text())


def root(report: FleetReport) -> Xml.Element:
    """The root of the JUnit form."""
    return Xml.fromstring(junit(report))  # noqa: S314 (it is our own)


def suites(report: FleetReport) -> dict[str, Xml.Element]:
    """The suites by name."""
    return {suite.attrib["name"]: suite for suite in root(report)}


def outcomes(suite: Xml.Element) -> dict[str, str]:
    """How each case ended."""
    ends = {case.attrib["name"]: case for case in suite.iter("testcase")}
    return {name: case[0].tag if len(case) else "passed" for name, case in ends.items()}


def test_a_host_that_fails_has_failures_passes_and_what_is_waived() -> None:
    suite = suites(fleet(failed()))["run-2"]

    assert outcomes(suite) == {
        LOOKED_AT: "passed",
        "container-unsandboxed: shop-db": "failure",
        "container-docker-sock: panel": "failure",
        "daemon-json-mode: /etc/docker/daemon.json": "system-out",
        "userns-remap: dockerd": "skipped",
    }
    counted = [suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")]
    assert counted == ["5", "2", "0", "1"]
    (skipped,) = suite.iter("skipped")
    assert skipped.attrib["message"] == "waived: gVisor does not run under userns-remap"


def test_a_failure_says_what_was_seen_and_what_to_do_and_the_root_counts_all_suites() -> None:
    (failure,) = suites(fleet(host("a", SOCKET)))["a"].iter("failure")
    found = root(every_state())

    assert failure.attrib["message"] == SOCKET.what
    for text in (SOCKET.evidence, SOCKET.remedy, "docker-bench: 5.32", "severity: high"):
        assert text in (failure.text or "")
    assert len(found.findall("testsuite")) == 4
    for name in ("tests", "failures", "errors"):
        assert int(found.attrib[name]) == sum(int(suite.attrib[name]) for suite in found) > 0


def test_a_clean_host_passes_an_unknown_or_none_is_an_error_and_two_findings_are_two_cases() -> (
    None
):
    suite = suites(fleet(unknown("a", "no route to host")))["a"]
    other = SOCKET.model_copy(update={"what": "has it mounted twice"})
    later = host("a", SOCKET, other).model_copy(update={"at": "2026-11-25T01:02:03+02:00"})
    twice = suites(fleet(later))["a"]

    assert outcomes(suites(fleet(host("a")))["a"]) == {LOOKED_AT: "passed"}
    assert outcomes(suite) == outcomes(suites(fleet())["fleet"]) == {LOOKED_AT: "error"}
    assert suite.findtext("testcase/error") == "no route to host"
    assert suite.attrib["errors"] == "1"
    assert list(outcomes(twice).values()).count("failure") == 2
    assert twice.attrib["timestamp"] == "2026-11-24T23:02:03", "UTC, without an offset"


@table(
    "text, expected",
    markup=("<script>&\"'", "<script>&\"'"),
    control=("a\x1b[31mb\x00\ufffe", "a\ufffd[31mb\ufffd\ufffd"),
    beyond_ascii=("käse 🧀", "käse 🧀"),
)
def test_what_a_node_says_can_be_read_back(text: str, expected: str) -> None:
    finding = UNSANDBOXED.model_copy(update={"subject": text, "evidence": text, "what": text})

    suite = suites(fleet(host(text, finding, MODE)))[expected]

    assert f"container-unsandboxed: {expected}" in outcomes(suite)
    assert f"seen: {expected}\n" in (suite.findtext("testcase/failure") or "")


def run(report: FleetReport) -> Data:
    """The only run of the log."""
    log = json.loads(sarif(report))
    assert log["version"] == "2.1.0"
    (found,) = log["runs"]
    return dict(found)


def test_every_finding_is_a_result_that_names_host_and_subject_and_what_was_seen() -> None:
    found = run(every_state())
    rules = found["tool"]["driver"]["rules"]
    (result,) = run(fleet(host("a", SOCKET)))["results"]
    ((logical,),) = (location["logicalLocations"] for location in result["locations"])

    assert len(found["results"]) == 6
    for item in found["results"]:
        assert rules[item["ruleIndex"]]["id"] == item["ruleId"]
        assert item["message"]["text"]
        assert item["level"] in ("error", "warning", "note")
        assert item["partialFingerprints"]["primaryLocationLineHash"]
    assert (logical["name"], logical["fullyQualifiedName"]) == ("panel", "a/panel")
    assert result["message"]["text"] == f"a: panel: {SOCKET.what}\nSeen: {SOCKET.evidence}"


@pytest.mark.parametrize("name", ["run-1", "@docker/x", "a b%/.."])
def test_a_results_file_is_the_hosts_report(name: str, tmp_path: Path) -> None:
    report = fleet(host(name, SOCKET))
    (result,) = run(report)["results"]

    write_fleet(tmp_path, report)
    path = write_host(tmp_path, report.hosts[0])

    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert tmp_path / unquote(uri) == path


@table(
    "severity, level, score",
    critical=(Severity.CRITICAL, "error", "9.5"),
    high=(Severity.HIGH, "error", "8.0"),
    medium=(Severity.MEDIUM, "warning", "5.5"),
    low=(Severity.LOW, "note", "2.0"),
    info=(Severity.INFO, "note", None),
)
def test_a_severity_has_level_and_score(severity: Severity, level: str, score: str | None) -> None:
    found = run(fleet(host("a", SOCKET.model_copy(update={"severity": severity}))))
    (rule,) = found["tool"]["driver"]["rules"]

    assert found["results"][0]["level"] == level
    assert rule["properties"].get("security-severity") == score


def test_a_rules_help_is_every_remedy_once_and_a_waived_finding_is_suppressed() -> None:
    other = SOCKET.model_copy(update={"subject": "b", "remedy": "Remove it."})
    third = SOCKET.model_copy(update={"subject": "c"})

    (rule,) = run(fleet(host("a", SOCKET, other, third)))["tool"]["driver"]["rules"]
    by_rule = {result["ruleId"]: result for result in run(fleet(failed()))["results"]}

    assert sorted(rule["help"]["text"].splitlines()) == ["Remove it.", SOCKET.remedy]
    assert rule["properties"]["tags"] == ["security", "docker-bench-5.32"]
    (suppression,) = by_rule[WAIVED.id]["suppressions"]
    assert (suppression["status"], suppression["justification"]) == ("accepted", WAIVED.waived)
    assert "suppressions" not in by_rule[SOCKET.id]


def test_an_unknown_host_is_a_result_and_a_run_with_it_was_no_success() -> None:
    clean, found = run(fleet(host("a"))), run(fleet(host("a"), unknown("b", "no route to host")))

    (result,) = found["results"]
    assert (result["ruleId"], result["level"]) == (UNKNOWN, "error")
    assert "no route to host" in result["message"]["text"]
    assert clean["results"] == []
    ends = [item["invocations"][0]["executionSuccessful"] for item in (clean, found)]
    assert ends == [True, False]


def test_a_finding_is_the_same_one_whatever_was_seen_and_another_one_elsewhere() -> None:
    def fingerprint(name: str, finding: Finding) -> str:
        (result,) = run(fleet(host(name, finding)))["results"]
        return str(result["partialFingerprints"]["primaryLocationLineHash"])

    seen_later = SOCKET.model_copy(update={"evidence": "another one"})
    elsewhere = SOCKET.model_copy(update={"subject": "other"})

    assert fingerprint("a", SOCKET) == fingerprint("a", seen_later)
    others = {fingerprint("b", SOCKET), fingerprint("a", elsewhere)}
    assert len({fingerprint("a", SOCKET), *others}) == 3


def test_a_host_that_fails_says_what_was_seen_and_what_to_do_the_worst_first() -> None:
    assert host_lines(failed(), each=True) == [
        f"CRITICAL container-unsandboxed shop-db: {UNSANDBOXED.what}",
        "    seen: runtime runc, /proc/2113/exe is /usr/sbin/mysqld",
        "    do: Deploy it again with the runtime runsc; until then stop it.",
        "HIGH container-docker-sock panel: has Docker's socket mounted, and with it the whole node",
        "    seen: /var/run/docker.sock -> /var/run/docker.sock (rw)",
        "    do: Take the mount away, or exempt the container with a reason.",
        "LOW daemon-json-mode /etc/docker/daemon.json: can be written by its group",
        "    seen: mode 0664, owner root:docker",
        "    do: chmod 0644 /etc/docker/daemon.json",
        "waived userns-remap dockerd: gVisor does not run under userns-remap",
        FAILED,
    ]


def test_findings_of_one_rule_are_shown_together_with_what_to_do() -> None:
    assert host_lines(failed()) == [
        f"CRITICAL container-unsandboxed: {UNSANDBOXED.what}",
        "    on: shop-db",
        "    seen: runtime runc, /proc/2113/exe is /usr/sbin/mysqld",
        "    do: Deploy it again with the runtime runsc; until then stop it.",
        "HIGH container-docker-sock: has Docker's socket mounted, and with it the whole node",
        "    on: panel",
        "    seen: /var/run/docker.sock -> /var/run/docker.sock (rw)",
        "    do: Take the mount away, or exempt the container with a reason.",
        "LOW daemon-json-mode: can be written by its group",
        "    on: /etc/docker/daemon.json",
        "    seen: mode 0664, owner root:docker",
        "    do: chmod 0644 /etc/docker/daemon.json",
        "not shown: 1 waived. pyinfra-gvisor audit -v shows each finding",
        FAILED,
    ]


LONG = {"what": "w " * 90}


def findings_of(severity: Severity, rules: int, containers: int) -> list[Finding]:
    """A finding of each rule for each container."""
    return [
        UNSANDBOXED.model_copy(
            update={
                **LONG,
                "id": f"{severity}-{rule}",
                "subject": f"app-{app}",
                "severity": severity,
            }
        )
        for rule in range(rules)
        for app in range(containers)
    ]


def differing(containers: int) -> AppOutlooks:
    """Containers that fail in gVisor."""
    given = {"outlook": "fails", "seen": "/a.sock", "what": LONG["what"], "todo": "Use TCP"}
    known = {"image": "shop", "now": "runc", "runtime": "runsc", "outlook": "fails"}
    apps = [
        {**known, "name": f"app-{at}", "differences": ({**given, "rule": "shared-socket"},)}
        for at in range(containers)
    ]
    return AppOutlooks.model_validate(
        {"host": "a", "apps": tuple(apps), "assumed": False, "switched": True}
    )


@table("hosts, containers, most", two=(2, 7, 40), many=(10, 30, 60))
def test_an_audit_of_many_containers_is_short_and_names_what_it_leaves_out(
    hosts: int, containers: int, most: int
) -> None:
    found = findings_of(Severity.HIGH, 4, containers) + findings_of(Severity.LOW, 20, containers)

    reports = [host(f"run-{at}", *found) for at in range(hosts)]
    told = [item.model_copy(update={"apps": differing(containers)}) for item in reports]
    told[-1] = reports[-1].model_copy(update={"apps_error": "the look did not finish"})

    lines = fleet_lines(fleet(*told), 80)

    assert len(lines) <= most
    assert [line for line in lines if len(line) > 80] == []
    assert sum(" more" in line and "run-0/app-0" in line for line in lines) == 11
    left_out = "not shown: 13 more rules, the worst of severity low. pyinfra-gvisor audit -v"
    assert left_out in "".join(lines)
    count = (hosts - 1) * containers
    (at,) = (at for at, line in enumerate(lines) if line.startswith(f"apps in gVisor: {count} "))
    assert "run-0/app-0 (shared-socket)" in " ".join(lines[at : at + 2])
    assert "    do: pyinfra-gvisor apps" in lines
    assert f"apps in gVisor: not looked at on run-{hosts - 1}: the look did not finish" in lines


def test_what_fails_a_host_is_never_left_out() -> None:
    many = findings_of(Severity.CRITICAL, 30, 2)
    named = [{"waived": None, "subject": name} for name in ("a" * 200, "b")]
    long = [WAIVED.model_copy(update=changes) for changes in named]
    noted = host("run-1", MODE.model_copy(update={"severity": Severity.INFO}))

    lines = "\n".join(host_lines(host("run-1", *many)))

    assert [rule for rule in range(30) if f"CRITICAL critical-{rule}:" not in lines] == []
    assert "on: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…, b" in "\n".join(
        host_lines(host("run-1", *long))
    )
    strict = noted.model_copy(update={"fail_on": Severity.INFO})
    assert host_lines(strict)[0] == "INFO daemon-json-mode: can be written by its group"


def test_containers_with_another_remedy_are_shown_apart() -> None:
    other = UNSANDBOXED.model_copy(update={"subject": "proxy", "remedy": "Exempt it."})
    more = [UNSANDBOXED.model_copy(update={"subject": f"app-{at}"}) for at in range(3)]

    lines = host_lines(host("run-1", other, *more))

    seen = "    seen: runtime runc, /proc/2113/exe is /usr/sbin/mysqld"
    assert lines[1:7] == [
        *("    on: app-0, app-1, app-2", seen),
        "    do: Deploy it again with the runtime runsc; until then stop it.",
        *("    on: proxy", seen, "    do: Exempt it."),
    ]


def test_a_rule_with_one_line_names_what_was_seen() -> None:
    worse = findings_of(Severity.CRITICAL, 3, 1)
    refused = MODE.model_copy(update={"evidence": "mount of /etc on /x"})

    lines = "\n".join(host_lines(host("run-1", *worse, refused), 80))

    assert "can be written by its group (mount of /etc on /x)" in " ".join(lines.split())


def test_an_unknown_host_says_why_and_a_fleet_is_a_line_a_host_and_the_verdict() -> None:
    compliant = fleet(host("a"), host("b", MODE))

    assert host_lines(unknown("run-4", "no route to host")) == [
        "UNKNOWN run-4: no route to host",
        "run-4: UNKNOWN, not compliant",
    ]
    *hosts, verdict, todo = fleet_lines(every_state())[-7:]
    assert hosts == [
        "UNKNOWN run-4: ssh: connect to 10.0.0.9 port 22: timed out",  # what fails is first
        "run-4: UNKNOWN, not compliant",
        FAILED,
        "run-3: compliant, with findings; 1 low; 1 of 1 containers in gVisor",
        "run-1: compliant; nothing found; 1 of 1 containers in gVisor",
    ]
    assert f"{verdict} {todo.strip()}" == (
        "NOT COMPLIANT: 2 of 4 hosts are compliant. 3 of 5 containers run in gVisor on 3 of 4 "
        "hosts. Next: do what the lines above say, then run pyinfra-gvisor audit again"
    )
    assert fleet_lines(fleet())[-1] == "NOT COMPLIANT: no host was checked"
    assert fleet_lines(compliant)[-1].startswith("compliant: 2 of 2 hosts are compliant. ")


def test_no_line_is_wider_than_the_terminal_and_a_node_cannot_steer_it_nor_write_ours() -> None:
    long, evil = "word " * 60 + "w" * 250, "a\x1b[2J\u202eb\r\nrun-1: compliant"
    finding = UNSANDBOXED.model_copy(update={"what": long, "evidence": long, "subject": "s" * 120})
    odd = UNSANDBOXED.model_copy(update={"subject": evil, "evidence": evil})

    lines, told = (
        host_lines(host(name, item, WAIVED.model_copy(update={"waived": text})), each=True)
        for name, item, text in (("h" * 250, finding, long), ("run-1", odd, evil))
    )

    assert max(map(len, lines)) <= 100
    assert "".join(lines).count("word") >= 120
    assert sum(line.startswith("waived ") for line in lines) == 1
    assert all(line.isprintable() for line in told)
    assert [line for line in told if line.startswith("run-1: compliant")] == []


def fits(document: Data) -> bool:
    """Whether the schema takes the document."""
    return bool(Draft202012Validator(SCHEMA).is_valid(document))


def test_the_committed_schema_is_fresh_is_one_and_has_every_state_and_no_other() -> None:
    states = {document["state"] for document in every_state().to_json()["hosts"]}

    assert REPORT_FILE.read_text() == report_schema_text(), "run python -m tools docs"
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["$defs"]["HostReport"]["properties"]["state"]["enum"]) == states


@table(
    "document",
    clean_host=host("run-1").to_json(),
    failed_host=failed().to_json(),
    unknown_host=unknown("run-4").to_json(),
    fleet=every_state().to_json(),
    host_with_a_firewall=with_firewall(stopped=(WEB, GONE)).to_json(),
)
def test_a_document_fits_the_schema_with_what_is_worked_out(document: Data) -> None:
    assert fits(document)
    for key in {"compliant", "state", "version"} & set(document):
        assert not fits({name: value for name, value in document.items() if name != key})
    assert not fits({**document, "compliant": "yes"})
    assert not fits({**document, "more": 1})


OLD = Finding(
    id="known-old",
    severity=Severity.LOW,
    subject="pyinfra-gvisor",
    what="the list is old",
    evidence="100 days",
    remedy="upgrade it",
)
OLD_WAIVED = OLD.model_copy(update={"waived": "no upgrade before the freeze ends"})
EACH = table("finding", found=OLD, waived=OLD_WAIVED)


def of_old(finding: Finding) -> FleetReport:
    """Two clean hosts, looked at by a package of which this is found."""
    return fleet_report((host("a"), host("b")), at=AT, by="audit", findings=(finding,))


@EACH
def test_a_finding_about_the_package_is_told_once_before_the_hosts_and_fails_nobody(
    finding: Finding,
) -> None:
    document, html = of_old(finding).to_json(), page(of_old(finding))
    lines = fleet_lines(of_old(OLD))

    assert fits(document)
    assert document["compliant"]
    assert [item["id"] for item in document["findings"]] == ["known-old"]
    assert {item["state"] for item in document["hosts"]} == {"clean"}
    assert "known-old" not in json.dumps(document["hosts"])
    assert html.count("the list is old") == 1
    assert html.index("the list is old") < html.index("<h2>Hosts</h2>")
    assert (finding.waived or "To do") in html
    assert lines[0] == "LOW known-old pyinfra-gvisor: the list is old"
    assert lines[1:3] == ["    seen: 100 days", "    do: upgrade it"]
    assert lines[-1].startswith("compliant: 2 of 2 hosts are compliant. ")


def test_a_finding_about_the_package_is_one_result_of_sarif_and_one_suite_of_junit(
    tmp_path: Path,
) -> None:
    write_fleet(tmp_path, of_old(OLD))
    (result,), (waived,) = (run(of_old(finding))["results"] for finding in (OLD, OLD_WAIVED))
    found, skipped = root(of_old(OLD)), root(of_old(OLD_WAIVED))

    location = result["locations"][0]
    assert result["message"]["text"].startswith("pyinfra-gvisor: the list is old")
    assert (tmp_path / location["physicalLocation"]["artifactLocation"]["uri"]).exists()
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "pyinfra-gvisor"
    assert waived["suppressions"][0]["justification"] == OLD_WAIVED.waived
    assert [suite.get("name") for suite in found] == ["pyinfra-gvisor", "a", "b"]
    assert (found.get("tests"), found.get("failures"), found.get("errors")) == ("3", "0", "0")
    assert "upgrade it" in (found[0][0].findtext("system-out") or "")
    assert skipped[0].get("skipped") == "1"

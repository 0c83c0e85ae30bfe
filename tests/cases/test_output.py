"""What a whole run prints and writes: how much, how wide, how it ends, and its records."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.deploys.audit import audit_node
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.settings import Settings
from tests.arguments import Data, Log, Patch
from tests.cases.cli import CHECKOUT, fake, inventory, on_terminal, pyinfra, summary
from tests.cases.fleet import MARKS, Fleet, Node, Reply
from tests.cases.proven import RELEASE, proven_answer
from tests.table import table
from tests.unit.answers import answer
from tests.unit.compatibility.compatible import proven_lines
from tests.unit.proof.observations import output
from tools.compatibility.kept import read_record

DEPLOYS = CHECKOUT / "deploys"
PLAIN, PROVEN = fake(answer()), fake(proven_answer())
FAILING = fake(answer(), **{MARKS["prove"]: output(runsc={"raw_socket": "allowed"})})
MISTYPED = {**PLAIN, "gvisor_docker": "snap"}
COLOURS = re.compile(r"\x1b\[[\d;]*[A-Za-z]")


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: Patch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def hosts(directory: Path, **data: Data) -> str:
    """The name of an inventory with these hosts."""
    path = directory / "fleet.py"
    path.write_text(inventory(run={name.replace("_", "-"): given for name, given in data.items()}))
    return path.name


def visible(text: str) -> list[str]:
    """The lines without their colours, and without what a spinner has written over."""
    return [COLOURS.sub("", line).rpartition("\r")[2].rstrip() for line in text.split("\n")]


def test_two_hosts_from_nothing_to_proven_print_at_most_60_lines(tmp_path: Path) -> None:
    fleet = hosts(tmp_path, run_1=PLAIN, run_2=PLAIN)

    ran = pyinfra(tmp_path, fleet, DEPLOYS / "gvisor.py", "-y")

    assert ran.returncode == 0, ran.stderr
    lines = ran.stderr.splitlines()
    assert len(lines) <= 60
    assert sum("proven runsc 20260928.0 as runsc: 23 ok, 8 not applicable" in x for x in lines) == 2
    assert summary(ran.stderr) == [
        "--> Summary: gVisor works on 2 of 2 hosts",
        "changed, then proven by a test container: @fake/run-1, @fake/run-2",
        "each check: --data gvisor_proof_rows=True, or pyinfra-gvisor apply --proof",
    ]
    assert "daemon.json: new, restart" in ran.stderr
    assert "restart, because" not in ran.stderr
    assert COLOURS.findall(ran.stderr) == []
    assert "\r" not in ran.stderr


def test_every_check_is_printed_where_that_is_asked_for_and_nothing_of_it_in_pyinfras_json(
    tmp_path: Path,
) -> None:
    fleet, deploy = hosts(tmp_path, run_1=PLAIN), DEPLOYS / "gvisor.py"
    rows = ("--data", "gvisor_proof_rows=True")

    ran = pyinfra(tmp_path, fleet, deploy, "--json", "-y", "--diff", *rows)

    assert ran.returncode == 0, ran.stderr
    assert "docker-socket    runsc    refused" in ran.stderr
    assert "each check:" not in ran.stderr
    assert json.loads(ran.stdout)["plan"]
    assert "--> Summary" in ran.stderr
    assert "restart, because" in ran.stderr


@table(
    "arguments",
    run=("gvisor.py", "-y"),
    rows=("gvisor.py", "-y", "--data", "gvisor_proof_rows=True"),
    plan=("gvisor.py", "--dry", "--diff"),
    audit=("audit.py", "-y"),
    remove=("remove.py", "-y"),
)
def test_a_terminals_lines_fit_by_whole_words(arguments: tuple[str, ...], tmp_path: Path) -> None:
    fleet = hosts(tmp_path, run_1=FAILING, run_2=PLAIN, run_30=MISTYPED)
    deploy, *options = arguments

    written = visible(on_terminal(tmp_path, fleet, DEPLOYS / deploy, *options, columns=80))
    whole = pyinfra(tmp_path, fleet, DEPLOYS / deploy, *options)

    assert [line for line in written if len(line) > 80] == []
    assert words(written) <= words([*whole.stdout.splitlines(), *whole.stderr.splitlines()])


def words(lines: list[str]) -> set[str]:
    """The words of some letters, but for those of paths that were shortened."""
    return {
        part
        for line in lines
        for word in line.split()
        if "…" not in word
        for part in re.findall(r"[a-z]{4,}", word)
    }


def test_the_variable_columns_counts_without_a_terminal_too(tmp_path: Path) -> None:
    fleet = hosts(tmp_path, run_1=MISTYPED, run_2=PROVEN)

    told = {
        columns: pyinfra(tmp_path, fleet, DEPLOYS / "gvisor.py", "-y", environment=given).stderr
        for columns, given in {"none": {}, "80": {"COLUMNS": "80"}}.items()
    }

    lines = told["none"].splitlines()
    whole = next(line for line in lines if line.startswith("    [") and "gvisor_docker" in line)
    assert len(whole) > 80
    assert max(map(len, told["80"].splitlines())) <= 80
    assert " ".join(told["80"].split()).count(" ".join(whole.split())) == 1


def test_words_have_their_colours_on_a_terminal_and_a_spinner_turns(tmp_path: Path) -> None:
    fleet, deploy = hosts(tmp_path, run_1=FAILING, run_2={**PLAIN, "fake_delay": 0.3}), DEPLOYS

    coloured, plain = (
        on_terminal(tmp_path, fleet, deploy / "gvisor.py", "-y", columns=120, environment=given)
        for given in ({}, {"NO_COLOR": "1"})
    )

    green, yellow_or_dim, red = "\x1b[32m", "\x1b[2m", "\x1b[31m"
    for text in (f"{green}proven", f"{green}23 ok", f"{yellow_or_dim}8 not applicable"):
        assert text in coloured
    for text in (f"{red}not proven", f"{red}1 NOT PROVEN", f"{red}NOT PROVEN", f"{red}failed"):
        assert text in coloured
    ours = plain[plain.index("--> Skipping change detection") :]
    assert COLOURS.findall(ours.replace("\x1b[K", "")) == []
    assert len({*re.findall(r"\x1b\[K +([-/|\\] )", plain)}) > 1  # how many, depends on the load


def test_a_plan_ends_with_what_is_pending(tmp_path: Path) -> None:
    fleet = hosts(tmp_path, run_1=PLAIN, run_2=PROVEN)

    ran = pyinfra(tmp_path, fleet, DEPLOYS / "gvisor.py", "--dry")

    assert summary(ran.stderr) == [
        "--> Summary of the plan: 1 of 2 hosts as declared",
        "as declared: @fake/run-2",
        "changes pending on 1 host: @fake/run-1",
        "next: pyinfra-gvisor apply",
    ]
    assert "restart, because" in ran.stderr


def test_every_host_that_is_not_as_declared_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "fleet.py"
    path.write_text(
        inventory(run={"a": MISTYPED, "b": FAILING, "c": PROVEN, "d": PLAIN})
        + "run.append(('@ssh/away', {'ssh_hostname': '127.0.0.1', 'ssh_port': 1}))\n"
    )

    ran = pyinfra(tmp_path, path.name, DEPLOYS / "gvisor.py", "-y")

    assert ran.returncode == 1
    lines = summary(ran.stderr)
    assert lines[:6] == [
        "--> Summary: gVisor works on 2 of 5 hosts",
        "changed, then proven by a test container: @fake/d",
        "unchanged since it was proven by a test container: @fake/c",
        "refused: @fake/a",
        "failed: @fake/b",
        "not reached: @ssh/away",
    ]
    assert [line.split(": ")[1] for line in lines if line.startswith("next: ")] == [
        "@fake/a",
        "@fake/b",
        "@ssh/away",
    ]


def test_a_step_that_fails_on_the_node_is_named_with_its_error(tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text(
        "from pyinfra import host\n"
        "from pyinfra.operations import server\n"
        "from pyinfra_gvisor.run_support.ending import close_with_summary\n"
        "close_with_summary(host, 'deploy')\n"
        "error = 'gvisor.release: 1.0 on run-1: no space left; free some'\n"
        "server.shell(f\"echo '{error}' >&2; exit 1\", name='Install runsc')\n"
    )

    ran = pyinfra(tmp_path, "@local", path.name, "-y")

    assert ran.returncode == 1
    reason = "next: @local: Install runsc: no space left; free some"
    assert summary(ran.stderr)[1:] == ["failed: @local", reason]


@table(
    "deploy, headline",
    audit=("audit.py", "--> Summary: 1 of 1 host compliant"),
    doctor=("doctor.py", "--> Summary: 1 of 1 host ready"),
    remove=("remove.py", "--> Summary: 0 of 1 host done"),
    rollback=("rollback.py", "--> Summary: 0 of 1 host done"),
    coolify=("coolify.py", "--> Summary: 0 of 1 host done"),
)
def test_every_deploy_ends_so(deploy: str, headline: str, tmp_path: Path) -> None:
    fleet = hosts(tmp_path, run_1=PROVEN)

    ran = pyinfra(tmp_path, fleet, DEPLOYS / deploy, "-y")

    assert summary(ran.stderr)[0] == headline


def test_doctor_says_which_file_a_node_cannot_fetch(tmp_path: Path) -> None:
    cannot = ["no https://a.example/gvisor.tar.bz2 curl: (6) Could not resolve host: a.example"]
    fleet = hosts(tmp_path, run_1=fake(answer(), **{MARKS["source"]: [*cannot, "end of source"]}))

    ran = pyinfra(tmp_path, fleet, DEPLOYS / "doctor.py", "-y")

    assert ran.returncode == 1
    assert f"the node cannot fetch {cannot[0].removeprefix('no ')}; check the node's" in ran.stderr


def said_by(
    directory: Path,
    deploy: str,
    *options: str,
    told: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a run over one node that answers so says; a person who is asked presses Enter."""
    (directory / "inventory.py").write_text(inventory(hosts={"a": fake(told)}))
    arguments = ("inventory.py", DEPLOYS / deploy, "--data", "gvisor_report_dir=reports", *options)
    return pyinfra(directory, *arguments, environment=environment).stderr


@table(
    "environment, known",
    with_yes_in_the_environment=({"PYINFRA_YES": "1"}, True),
    interactive=({}, False),
)
def test_the_time_of_a_run_that_waited_is_not_recorded(
    environment: dict[str, str], known: bool, tmp_path: Path
) -> None:
    told = proven_lines(Settings())

    said = said_by(tmp_path, "gvisor.py", told=told, environment=environment)

    assert ("Press enter" in said) is not known
    record = read_record(tmp_path / "reports" / "compatibility" / "%40fake%2Fa.json")
    assert (record.timings.run_s is not None) is known


@table(
    "options, written",
    json_without_y=(["--json"], False),
    operations_are_only_shown=(["--debug-operations"], False),
    json_with_y=(["--json", "-y"], True),
    interactive=([], True),
)
def test_a_run_that_ends_after_its_plan_reports_no_host(
    options: list[str], written: bool, tmp_path: Path
) -> None:
    said = said_by(tmp_path, "audit.py", "--data", "gvisor_watch=maybe", *options)

    assert "gvisor_watch" in said
    assert (tmp_path / "reports" / "fleet.json").exists() is written


TOLD = proven_lines(Settings())
CHANGED = [line.replace("uname 6.12.9", "uname 6.12.10") for line in TOLD]
UNTOLD = proven_lines(Settings(), virtualization="")


def ran(deploy: Any, told: list[str], directory: Path | None, **data: Any) -> Fleet:
    """A run over one node that answers so, and writes its reports there."""
    reports = {} if directory is None else {"gvisor_report_dir": str(directory)}
    node = Node([told], {"prove": Reply(output())}, {**reports, **data})
    return Fleet({"a": node}).deployed(deploy)


def records(directory: Path) -> list[str]:
    """The names of the records there."""
    return [path.name for path in directory.glob("compatibility/*")]


def test_a_deploy_writes_the_record_beside_its_reports_or_fails_its_host(
    tmp_path: Path, caplog: Log
) -> None:
    fleet = ran(run_node, TOLD, tmp_path)

    assert fleet.failed() == set()
    assert records(tmp_path) == ["%40fake%2Fa.json"]
    found = read_record(tmp_path / "compatibility" / "%40fake%2Fa.json")
    assert (found.runsc, found.seen_by) == (RELEASE, "lab container")
    assert (found.timings.proof_s, found.timings.hosts, found.timings.changes) == (2.3, 1, 0)
    assert found.timings.run_s is not None

    other = tmp_path / "other"
    other.mkdir()
    (other / "compatibility").write_text("a file is in the way")
    with pytest.raises(Exception, match="No hosts remaining"):
        ran(run_node, TOLD, other)
    assert "the record cannot be written" in caplog.text
    assert (other / "hosts").is_dir()


def test_the_node_is_asked_nothing_more_for_the_record(tmp_path: Path) -> None:
    kinds = []
    for name, told in (("with", TOLD), ("without", UNTOLD)):
        node = Node([told], data={"gvisor_report_dir": str(tmp_path / name)})
        fleet = Fleet({"a": node})
        fleet.deploy(run_node)
        fleet.run()
        kinds.append(node.kinds())

    assert [len(records(tmp_path / name)) for name in ("with", "without")] == [1, 0]
    assert kinds[0] == kinds[1]


@table(
    "deploy, told, reports, why",
    an_audit=(audit_node, TOLD, True, ""),
    no_report_is_wanted=(run_node, TOLD, False, ""),
    the_node_does_not_tell_what_it_runs_on=(run_node, UNTOLD, True, ""),
    a_proof_of_an_older_version=(run_node, proven_answer(), True, "gvisor_proof=always"),
    the_node_changed_since_its_proof=(run_node, CHANGED, True, ""),
)
def test_otherwise_no_record_is_written(
    *, deploy: Any, told: list[str], reports: bool, why: str, tmp_path: Path, caplog: Log
) -> None:
    fleet = ran(deploy, told, tmp_path if reports else None, gvisor_proof="never")

    assert fleet.failed() == set()
    assert records(tmp_path) == []
    assert why in caplog.text
    assert not why or "no record of compatibility: " in caplog.text

"""The record of compatibility: a deploy writes one for a node on which a proof holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.deploys.audit import audit_node
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.settings import Settings
from tests.arguments import Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import RELEASE, proven_answer
from tests.table import table
from tests.unit.compatibility.compatible import proven_lines
from tests.unit.proof.observations import output
from tools.compatibility.kept import read_record

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


def test_a_deploy_writes_the_record_beside_its_reports(tmp_path: Path) -> None:
    fleet = ran(run_node, TOLD, tmp_path)

    assert fleet.failed() == set()
    assert records(tmp_path) == ["%40fake%2Fa.json"]
    found = read_record(tmp_path / "compatibility" / "%40fake%2Fa.json")
    assert (found.runsc, found.seen_by) == (RELEASE, "lab container")
    assert (found.timings.proof_s, found.timings.hosts, found.timings.changes) == (2.3, 1, 0)
    assert found.timings.run_s is not None


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


def test_a_record_that_cannot_be_written_fails_its_host(tmp_path: Path, caplog: Log) -> None:
    (tmp_path / "compatibility").write_text("a file is in the way")

    with pytest.raises(Exception, match="No hosts remaining"):
        ran(run_node, TOLD, tmp_path)

    assert "the record cannot be written" in caplog.text
    assert (tmp_path / "hosts").is_dir()

"""What the commands that look print on stdout: for people, and as JSON of a published schema."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pyinfra_gvisor.command.__main__ import main
from tests.arguments import Patch
from tests.cases.cli import fake, inventory
from tests.cases.fleet import MARKS
from tests.cases.proven import proven_answer
from tests.table import table
from tests.unit.answers import answer
from tests.unit.apps.looked import looked, looked_lines
from tests.unit.costs.measured_rounds import measured
from tests.unit.trials.seen_trials import ended
from tests.unit.trials.seen_trials import seen as seen_trial

LOOKS = table(
    "command, says",
    doctor=("doctor", "[@fake/a] ready       a deploy would not refuse this node"),
    apps=("apps", "[@fake/a] 1 container runs, 0 in gVisor now; judged as with gvisor_default"),
    generations=("generations", "[@fake/a] no generation: daemon.json was not changed"),
    infrastructure=("infrastructure", "[@fake/a] no image or container of the platform"),
)


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A fleet as ``init`` writes it, with a proven node and one without gVisor."""
    main(["init", "--directory", str(tmp_path / "fleet"), "run-1"])
    monkeypatch.chdir(tmp_path / "fleet")
    marks = (MARKS["generations"], "end of changes", "end of images")
    ends = (["end of generations"], ["end of changes"], ["end of images"])
    seen = dict(zip(marks, ends, strict=True))
    seen["end of apps"] = looked_lines(looked(Privileged=True, PidsLimit=20))
    seen[MARKS["measure"]] = measured(runc={"fork": 0.001}, runsc={"fork": 0.003})
    seen[MARKS["trial"]] = seen_trial(ended(3))
    told = {"a": fake(proven_answer(), **seen), "b": fake(answer(), **seen)}
    (tmp_path / "fleet/inventories/run.py").write_text(inventory(run=told, build={}, coolify={}))
    return tmp_path / "fleet"


def typed(*words: str) -> subprocess.CompletedProcess[str]:
    """How a command ends that is typed in the fleet's directory."""
    command = [sys.executable, "-P", "-m", "pyinfra_gvisor.command", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def schema(name: str) -> dict[str, Any]:
    """A published schema."""
    text = files("pyinfra_gvisor.published").joinpath(f"{name}.schema.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_audits_result_is_on_stdout_and_names_all_containers(fleet: Path) -> None:
    people, program = typed("audit"), typed("audit", "--json")

    assert people.returncode == program.returncode == 1
    said = " ".join(people.stdout.split())
    assert "NOT COMPLIANT: 1 of 2 hosts are compliant. 0 of 0 containers run in gVisor. Next: " in (
        said
    )
    assert len(people.stdout.splitlines()) <= 40
    assert "Summary" not in people.stderr
    document = json.loads(program.stdout)
    assert Draft202012Validator(schema("report")).is_valid(document)
    assert {host["host"]: host["compliant"] for host in document["hosts"]} == {
        "@fake/a": True,
        "@fake/b": False,
    }


def test_an_audit_that_reaches_no_host_says_so_on_stdout(fleet: Path) -> None:
    away = ("@ssh/away", {"ssh_hostname": "127.0.0.1", "ssh_port": 1})
    (fleet / "inventories/run.py").write_text(f"build = coolify = []\nrun = [{away!r}]\n")

    ran = typed("audit")

    assert ran.returncode == 1
    assert "UNKNOWN @ssh/away: no connection" in ran.stdout


def test_a_plan_is_printed_as_json(fleet: Path) -> None:
    ran = typed("plan", "--json")

    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    states = {host["name"]: host["state"] for host in document["hosts"]}
    assert (document["verdict"], document["exit_code"]) == ("pending", 0)
    assert states == {"@fake/a": "in-sync", "@fake/b": "pending"}


@LOOKS
def test_a_look_is_printed_for_people_and_as_json(fleet: Path, command: str, says: str) -> None:
    people, program = typed(command), typed(command, "--json")

    assert says in people.stdout
    document = json.loads(program.stdout)
    assert Draft202012Validator(schema("results")).is_valid(document)
    assert [host["host"] for host in document["hosts"]] == ["@fake/a", "@fake/b"]


@pytest.mark.usefixtures("fleet")
def test_costs_are_printed_for_people_and_as_json_and_a_node_without_the_runtime_is_refused() -> (
    None
):
    people, program = typed("measure"), typed("measure", "--json")

    assert people.returncode == program.returncode == 1
    assert "[@fake/a] fork a process            1000 µs     3.0 (3.0-3.0)" in people.stdout
    assert "@fake/b: dockerd does not have the runtime runsc; run " in people.stderr
    document = json.loads(program.stdout)
    assert Draft202012Validator(schema("results")).is_valid(document)
    assert [host["host"] for host in document["hosts"]] == ["@fake/a"]


@pytest.mark.usefixtures("fleet")
def test_a_trial_is_printed_for_people_and_as_json() -> None:
    words = ("try", "@fake/a", "shop", "--control")
    people, program = typed(*words), typed(*words, "--json")

    assert people.returncode == program.returncode == 0, people.stderr
    assert people.stdout.startswith("[@fake/a] shop in gVisor (runtime runsc): fails here\n")
    assert "[@fake/a]     to do: " in people.stdout
    document = json.loads(program.stdout)
    assert Draft202012Validator(schema("results")).is_valid(document)
    assert [host["verdict"] for host in document["hosts"]] == ["fails here"]


@table(
    "arguments, code, says",
    unknown=(("@fake/a", "shp"), 1, "no running container has this name or id, got shp; did you "),
    no_runtime=(("@fake/b", "shop"), 1, "dockerd does not have the runtime runsc; run pyinfra-g"),
    no_app=(("@fake/a",), 1, "Missing argument 'APP'"),
    a_limit=(("@fake/a", "shop", "--limit", "run"), 1, "try has no --limit: HOST says where"),
    dry=(
        ("@fake/a", "shop", "--control", "--", "--dry"),
        0,
        "try shop under runsc, after a control under runc",
    ),
)
@pytest.mark.usefixtures("fleet")
def test_a_trial_that_is_not_made_prints_no_result(
    arguments: tuple[str, ...], code: int, says: str
) -> None:
    ran = typed("try", *arguments)

    assert ran.returncode == code
    assert says in " ".join(ran.stderr.split())
    assert "in gVisor" not in ran.stdout


def test_apps_are_told_before_anything_is_accepted_and_what_to_do_comes_last(fleet: Path) -> None:
    settings = fleet / "group_data/run.py"
    settings.write_text(f'{settings.read_text()}\ngvisor_infrastructure = "infrastructure.json"\n')

    ran = typed("apps")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.rpartition("\n[")[2].rpartition("\nnext: ")[2].startswith("change the apps ")
    assert "Summary" not in ran.stderr


def test_apps_of_a_node_whose_docker_is_silent_are_a_clear_error(fleet: Path) -> None:
    silent = fake(answer(without=["info"], docker_error="connect: Connection refused"))
    (fleet / "inventories/run.py").write_text(inventory(run={"a": silent}, build={}, coolify={}))

    ran = typed("apps")

    assert ran.returncode == 1
    assert "next: @fake/a: dockerd does not answer, got connect: Connection refused" in ran.stderr

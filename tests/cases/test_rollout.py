"""A rollout goes on where it was killed, and ends as planned; its hosts do not answer."""

import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cases.cli import fake, inventory
from tests.cases.proven import proven_answer

NAMES = [f"run-{number}" for number in range(5)]
HOSTS = ", ".join(f'("{name}", {{"ssh_hostname": "127.0.0.1", "ssh_port": 1}})' for name in NAMES)
INVENTORY = f'canary = ["{NAMES[0]}"]\nrun = [{HOSTS}]\nbuild = []\ncoolify = []\n'
OURS = (sys.executable, "-P", "-m", "pyinfra_gvisor.command")


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A fleet of five hosts; one of them is the canary."""
    subprocess.run([*OURS, "init", "--directory", str(tmp_path / "fleet"), "a"], check=True)
    (tmp_path / "fleet/inventories/run.py").write_text(INVENTORY)
    return tmp_path / "fleet"


def ran(fleet: Path, *words: str) -> tuple[int, str]:
    """The exit code and the output of a command."""
    done = subprocess.run(
        [*OURS, *words], cwd=fleet, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def status(fleet: Path) -> dict[str, Any]:
    """What is known of the newest rollout."""
    known: dict[str, Any] = json.loads(ran(fleet, "rollout", "status", "--json")[1])
    return known


def states(fleet: Path) -> dict[str, str]:
    """The states of hosts."""
    return {host["name"]: host["state"] for host in status(fleet)["hosts"]}


def test_it_stops_in_the_wave_that_spends_the_budget(fleet: Path) -> None:
    code, said = ran(fleet, "rollout", "-y")

    assert code == 1
    assert states(fleet) == {NAMES[0]: "unreachable", **dict.fromkeys(NAMES[1:], "not begun")}
    assert "stopped: 1 of canary not proven: run-0" in said
    assert ran(fleet, "rollout", "list")[1].endswith("stopped: 1 unreachable, 4 not begun\n")


def test_killed_it_goes_on_and_each_host_is_done_once(fleet: Path) -> None:
    words = ("rollout", "-y", "--max-failed", "5", "--waves", "2")
    for number, pause in enumerate((1.5, 4.0, 6.0)):
        begun = words if number == 0 else ("rollout", "resume")
        process = subprocess.Popen([*OURS, *begun], cwd=fleet, start_new_session=True)
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if "there is no rollout" in ran(fleet, "rollout", "status")[1]:
            ran(fleet, *words)

    code, said = ran(fleet, "rollout", "resume")

    assert code == 1, said
    assert states(fleet) == dict.fromkeys(NAMES, "unreachable")
    with sqlite3.connect(fleet / ".rollouts/rollouts.sqlite") as database:
        query = (
            "select s.workflow_uuid, o.output from workflow_status s "
            "join workflow_output o using (workflow_uuid) "
            "where s.name = 'shard' and s.status = 'SUCCESS'"
        )
        ended = [
            (shard.rpartition("-")[0], name)  # an attempt that ended is followed by another one
            for shard, text in database.execute(query)
            for name in json.loads(text)
        ]
    assert sorted({name for _, name in ended}) == NAMES
    assert len(ended) == len({*ended})


def test_each_wave_waits_for_its_approval(fleet: Path) -> None:
    code, said = ran(fleet, "rollout", "-y", "--approve", "--max-failed", "5")
    again = ran(fleet, "rollout", "next")

    assert (code, again[0]) == (2, 2)
    assert "next: pyinfra-gvisor rollout next" in said
    assert [*states(fleet).values()] == [*["unreachable"] * 2, *["not begun"] * 3]
    assert ran(fleet, "rollout", "stop")[0] == 0
    assert ran(fleet, "rollout", "status")[0] == 1


def test_the_operators_condition_halts_it(fleet: Path) -> None:
    code, said = ran(fleet, "rollout", "-y", "--halt-if", "test -e alert || ! touch alert")
    assert (code, next(iter(states(fleet).values()))) == (1, "unreachable"), said

    code, said = ran(fleet, "rollout", "-y", "--halt-if", "test -e alert || ! touch alert")
    assert code == 1
    assert "before canary: test -e alert" in said
    assert {*states(fleet).values()} == {"not begun"}


def test_another_deploy_than_planned_reaches_no_host(fleet: Path) -> None:
    ran(fleet, "rollout", "-y", "--approve", "--max-failed", "5")
    deploy = fleet / "deploys/gvisor.py"
    deploy.write_text(deploy.read_text() + "\n# edited\n")

    ran(fleet, "rollout", "next")

    assert [*states(fleet).values()][:3] == ["unreachable", "unknown", "not begun"]


def test_a_shard_knows_its_own_hosts_and_refuses_one_with_other_settings(fleet: Path) -> None:
    shutil.rmtree(fleet / "group_data")
    data = {**fake(proven_answer()), "gvisor_report_dir": "results"}
    hosts = {name: dict(data) for name in ("a", "b", "c")}
    declared = fleet / "inventories/run.py"
    declared.write_text(inventory(run=hosts))
    ran(fleet, "rollout", "--plan", "plan.json", "--waves", "2,1")
    hosts["b"]["gvisor_keep_releases"] = 4
    declared.write_text(inventory(run=hosts))

    first = ran(fleet, "shard", "plan.json", "1", "--records", "seen")
    second = ran(fleet, "shard", "plan.json", "2", "--records", "seen")

    assert [code for code, _ in (first, second)] == [1, 0], first[1] + second[1]
    ends = json.loads(ran(fleet, "rollout", "collect", "plan.json", "seen")[1])["hosts"]
    assert [end["state"] for end in ends] == ["proven", "failed", "proven"]
    assert "others than the rollout planned" in " ".join(ends[1]["why"])
    reported = json.loads((fleet / "results/fleet.json").read_text())
    assert [host["host"] for host in reported["hosts"]] == ["@fake/a", "@fake/b", "@fake/c"]


def test_shards_run_anywhere_and_their_records_are_joined(fleet: Path) -> None:
    planned = ran(fleet, "rollout", "--plan", "plan.json", "--waves", "4")
    shards = [ran(fleet, "shard", "plan.json", n, "--records", "seen") for n in ("1", "2")]
    missing = ran(fleet, "shard", "plan.json", "3", "--records", "seen")

    assert planned[0] == 0
    assert [code for code, _ in shards] == [1, 1]
    assert "the plan has no such shard, got 3" in missing[1]
    code, said = ran(fleet, "rollout", "collect", "plan.json", "seen")
    assert (code, json.loads(said)["counts"]["unreachable"]) == (1, 5)


def test_the_jobs_of_the_example_do_a_whole_rollout(fleet: Path, tmp_path: Path) -> None:
    """What GitHub does between them, such as keeping files, is done here."""
    shutil.rmtree(fleet / "group_data")
    hosts = {name: fake(proven_answer()) for name in ("a", "b", "c")}
    (fleet / "inventories/run.py").write_text(f"{inventory(run=hosts)}canary = run[:1]\n")
    program = tmp_path / "bin/pyinfra-gvisor"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(OURS)} "$@"\n')
    program.chmod(0o755)
    jobs = yaml.safe_load(Path("examples/ci/github-rollout.yml").read_text())["jobs"]
    shards, output = fleet / "shards", tmp_path / "output"

    def job(name: str, **values: object) -> None:
        for step in jobs[name]["steps"]:
            script = step.get("run", "true")
            for key, value in values.items():
                script = script.replace(f"${{{{ matrix.{key} }}}}", str(value))
            if script == "sh ci/prepare.sh":
                continue
            path = f"{program.parent}:{os.environ['PATH']}"
            given = {**os.environ, "PATH": path, "GITHUB_OUTPUT": str(output)}
            subprocess.run(["bash", "-ec", script], cwd=fleet, env=given, check=True)

    job("canary")
    (shards / "shard-1").mkdir(parents=True)
    shutil.copytree(fleet / "records", shards / "shard-1/records")
    shutil.copy(fleet / "plan.json", shards / "shard-1")
    others = json.loads(output.read_text().partition("others=")[2])
    for number in others:
        job("others", shard=number)
        (fleet / "records").rename(shards / f"shard-{number}")
    job("collect")  # fails unless every host is proven

    assert others == [2, 3]


@pytest.mark.parametrize("name", sorted(Path("examples/ci").iterdir()), ids=lambda path: path.name)
def test_an_example_for_ci_is_short_and_valid(name: Path) -> None:
    assert len(name.read_text().splitlines()) < 60
    if name.suffix == ".yml":
        assert yaml.safe_load(name.read_text())


def test_what_is_stored_is_json_without_settings(fleet: Path) -> None:
    settings = fleet / "group_data/run.py"
    settings.write_text(
        settings.read_text() + '\ngvisor_exempt = [{"name": "hush", "reason": "nobody may know"}]\n'
    )
    ran(fleet, "rollout", "-y")

    stored = (fleet / ".rollouts/rollouts.sqlite").read_bytes()

    assert b"hush" not in stored
    assert b"py_pickle" not in stored

"""A fleet is changed in waves while nodes fail, freeze or are away, and controllers are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.node.archives import packed_archive, release_members, sha512
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.containers import must, start_container
from tests.node.moving_apps import Asked, begin_asking, end_asking
from tools.lab import FLAVOURS, LabNode, NodeSpec

WITH_DATABASE = replace(
    FLAVOURS["debian-13"],
    name="debian-13-database",
    image=None,
    base=FLAVOURS["debian-13"].image or "debian-13",
    packages=(*FLAVOURS["debian-13"].packages, "postgresql", "python3"),
)
Env = dict[str, str] | None
SPECS = {
    "a": NodeSpec(FLAVOURS["debian-13"]),
    "b": NodeSpec(WITH_DATABASE),
    "c": NodeSpec(FLAVOURS["debian-13"]),
    "d": NodeSpec(FLAVOURS["debian-13"]),
}
NAMES = ("a1", "b1", "c1", "d1", "e1", "a2", "b2", "c2", "d2", "a3", "b3", "e2")
"""
A wave has a node once. Of e1 and e2 the ports are closed at first, c1 has a broken daemon.json,
d1 is frozen.
"""

BAD = ("c1", "d1", "e1")
OLD, NEW = "20260831.0", "20260928.0"
KILLS = 10
OURS = (sys.executable, "-P", "-m", "pyinfra_gvisor.command", "rollout")
_DATABASE = """
su postgres -c "psql -qc \\"alter user postgres password 'of-a-test'\\""
file=$(su postgres -c "psql -Atc 'show hba_file'")
echo 'host all all all scram-sha-256' >> "$file"
su postgres -c "psql -qc \\"alter system set listen_addresses = '*'\\""
systemctl restart postgresql
su postgres -c "createdb rollouts"
"""


@dataclass
class Rolled:
    """A fleet's directory, and what was seen of each step."""

    directory: Path
    nodes: dict[str, LabNode]
    releases: dict[str, dict[str, Any]]
    seen: dict[str, Any] = field(default_factory=dict)

    def settings(self, release: str, *mended: str) -> None:
        """Write the inventory: a release, and the names whose ports are the right ones."""
        hosts = []
        for name in NAMES:
            of = {"e1": "a", "e2": "c"}.get(name, name[0])
            data = {**self.nodes[of].host_data(), "_sudo": True, **self.releases[release]}
            data |= {"ssh_port": 1} if name[0] == "e" and name not in mended else {}
            data |= {"gvisor_waivers": {"container-host-path": "web reads its programs there"}}
            hosts.append((name, {**data, "gvisor_must_sandbox": [{"name": "web"}]}))
        text = f"run = {hosts!r}\ncanary = run[:1]\n"
        (self.directory / "inventories/run.py").write_text(text)

    def start(
        self, *words: str, elsewhere: bool = False, more: Env = None
    ) -> subprocess.Popen[str]:
        """Start a command; ``elsewhere``: on what looks like another machine."""
        command = [*OURS, *words]
        if elsewhere:
            command = ["unshare", "--uts", "sh", "-c", 'hostname other; exec "$@"', "sh", *command]
        given = {**os.environ, **(more or {})}
        return subprocess.Popen(
            command, cwd=self.directory, env=given, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *words: str, more: Env = None) -> tuple[int, str]:
        """The exit code and the output of a command."""
        process = self.start(*words, more=more)
        said, _ = process.communicate(timeout=600)
        return process.returncode, said

    def states(self) -> dict[str, str]:
        """The state of each host."""
        known = json.loads(self.run("status", "--json")[1].splitlines()[-1])
        return {host["name"]: host["state"] for host in known["hosts"]}


def _killed(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


@pytest.fixture(scope="module")
def rolled(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rolled]:
    """Four nodes with twelve names, and two releases."""
    directory = tmp_path_factory.mktemp("rollout")
    releases: dict[str, dict[str, Any]] = {}
    for release in (OLD, NEW):
        path = packed_archive(directory / f"{release}.tar.bz2", release_members(archive, release))
        sums = {"gvisor_sha512": {"x86_64": sha512(path)}, "gvisor_source": str(path)}
        releases[release] = {"gvisor_release": release, **sums}
    init = (*OURS[:-1], "init", "--directory", str(directory / "fleet"), "x")
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
    for name in ("run", "build", "coolify"):
        (directory / f"fleet/group_data/{name}.py").unlink()
    with lab_of(f"{LAB}-fleet", SPECS) as nodes:
        yield Rolled(directory / "fleet", nodes, releases)


@pytest.fixture(scope="module")
def stopped(rolled: Rolled) -> Rolled:
    """A rollout that met three bad hosts in a wave."""
    rolled.settings(OLD)
    must(rolled.nodes["c"], "sh", "-c", "mkdir -p /etc/docker; echo '{' > /etc/docker/daemon.json")
    subprocess.run(["docker", "pause", rolled.nodes["d"].name], check=True, capture_output=True)
    rolled.seen["bad"] = rolled.run("-y", "--waves", "4", "--max-failed", "2")
    subprocess.run(["docker", "unpause", rolled.nodes["d"].name], check=True, capture_output=True)
    must(rolled.nodes["c"], "rm", "/etc/docker/daemon.json")
    rolled.seen["states"] = rolled.states()
    rolled.settings(OLD, "e1", "e2")
    return rolled


@pytest.fixture(scope="module")
def done(stopped: Rolled) -> Rolled:
    """The same after all was mended, and ten controllers were killed."""
    seed = time.time_ns() % 10**6
    chance = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(KILLS):
        process = stopped.start("resume")
        time.sleep(2 + chance.uniform(0, 8))
        _killed(process)
    stopped.seen |= {"seed": seed, "resumed": stopped.run("resume"), "all": stopped.states()}
    return stopped


@pytest.fixture(scope="module")
def upgraded(done: Rolled) -> Rolled:
    """The same after a second rollout, with approvals, audits and a halt, and the way back."""
    node = done.nodes["b"]
    start_container(node, "other")
    web = "--name web --runtime runsc -p 8088:80 -v /usr:/usr:ro test:1 python3 -m http.server 80"
    must(node, "docker", "run", "-d", *web.split())
    sh(node, "until curl -sf -o /dev/null 127.0.0.1:8088; do sleep 0.2; done")
    begin_asking(node, {"web": (8088, "")}, 0.05)
    done.settings(NEW, "e1", "e2")
    asked = ("-y", "--waves", "4", "--approve", "--soak-s", "2", "--halt-if", "test -e halt")
    done.seen["canary"] = done.run(*asked)
    done.seen["second"] = done.run("next")
    (done.directory / "halt").touch()
    done.seen["halted"] = done.run("next")
    (done.directory / "halt").unlink()
    done.seen["again"] = done.run("resume")
    done.seen["third"] = done.run("next")
    done.seen["last"] = done.run("next")
    done.seen["new"] = {name: _release(node) for name, node in done.nodes.items()}
    newest = json.loads(done.run("status", "--json")[1].splitlines()[-1])["id"]
    done.seen["back"] = [
        _rolled_back(done, "--rollout", newest, "--limit=a1"),
        _rolled_back(done, "--release", OLD, *(f"--limit={name}1" for name in done.nodes)),
    ]
    done.seen["old"] = {name: _release(node) for name, node in done.nodes.items()}
    done.seen["asked"] = end_asking(node)
    return done


def _rolled_back(rolled: Rolled, *words: str) -> tuple[int, str]:
    """The exit code and the output of a rollback."""
    back = (*OURS[:-1], "rollback", "-y", *words)
    ran = subprocess.run(back, cwd=rolled.directory, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def _release(node: LabNode) -> str:
    """The release that a new container of a node gets."""
    path = json.loads(sh(node, "cat /etc/docker/daemon.json"))["runtimes"]["runsc"]["path"]
    return next(release for release in (OLD, NEW) if release in sh(node, f"cat {path}"))


def test_a_wave_with_too_many_bad_hosts_is_the_last_one(stopped: Rolled) -> None:
    code, said = stopped.seen["bad"]
    states = stopped.seen["states"]

    assert code == 1, said
    assert {name: states[name] for name in BAD} == {
        "c1": "failed",
        "d1": "unreachable",
        "e1": "unreachable",
    }
    begun = NAMES[: NAMES.index("a2")]
    assert {name for name, state in states.items() if state == "proven"} == {*begun} - {*BAD}
    assert {states[name] for name in NAMES[len(begun) :]} == {"not begun"}
    assert "stopped: 3 of wave 2 not proven: c1, d1, e1" in said


def test_killed_at_any_moment_it_ends_with_every_host_proven_and_none_changed_twice(
    done: Rolled,
) -> None:
    code, said = done.seen["resumed"]

    assert code == 0, (done.seen["seed"], said)
    assert done.seen["all"] == dict.fromkeys(NAMES, "proven"), done.seen["seed"]
    kept = [sh(node, "ls /var/lib/pyinfra-gvisor/generations") for node in done.nodes.values()]
    assert [text.split() for text in kept] == [["1"]] * len(SPECS)


def test_waves_wait_for_approval_and_the_operators_condition_halts_them(upgraded: Rolled) -> None:
    seen = upgraded.seen

    steps = ("canary", "second", "halted", "again", "third", "last")
    assert [seen[step][0] for step in steps] == [2, 2, 1, 2, 2, 0], "\n".join(
        seen[step][1] for step in steps
    )
    assert "before wave 3: test -e halt" in seen["halted"][1]
    assert {*seen["new"].values()} == {NEW}


def test_the_fleet_goes_back_to_one_release_and_no_request_is_lost(upgraded: Rolled) -> None:
    one, every = upgraded.seen["back"]
    asked: Asked = upgraded.seen["asked"]["web"]

    assert (one[0], every[0]) == (0, 0), one[1] + every[1]
    assert {*upgraded.seen["old"].values()} == {OLD}
    assert asked.asked > 500
    assert asked.failed == 0


def test_another_machine_takes_over_when_the_first_one_is_gone(upgraded: Rolled) -> None:
    node = upgraded.nodes["b"]
    sh(node, _DATABASE)
    address = sh(node, "hostname -i").split()[0]
    upgraded.settings(OLD, "e1", "e2")
    where = f"postgresql://postgres@{address}/rollouts"
    given = {"PYINFRA_GVISOR_DATABASE": where, "PGPASSWORD": "of-a-test"}
    process = upgraded.start("-y", "--waves", "2", elsewhere=True, more=given)
    assert process.stdout is not None
    while "wave 2" not in process.stdout.readline():  # twice: of the plan, and as it begins
        assert process.poll() is None
    while "wave 2" not in process.stdout.readline():
        assert process.poll() is None
    _killed(process)

    refused = upgraded.run("resume", more=given)
    time.sleep(60)
    code, said = upgraded.run("resume", more=given)

    assert refused[0] == 1
    assert "this rollout is going on elsewhere, got other:" in refused[1]
    assert code == 0, said
    assert "done: 12 proven" in said

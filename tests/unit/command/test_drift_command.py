"""The drift command with a real pyinfra, and the examples of docs that use it."""

import itertools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from select import select
from typing import Any

import pytest

from pyinfra_gvisor.command.__main__ import main
from pyinfra_gvisor.drift import run
from tests.arguments import Patch
from tests.cases.cli import LOADED
from tests.table import table
from tests.unit.waiting import until

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "pyinfra_gvisor.command", "drift")
Ran = subprocess.CompletedProcess[str]

IMPORTS = (
    "from pyinfra import host, logger\n"
    "from pyinfra.facts.server import Command\n"
    "from pyinfra.operations import files\n"
)
FILES = {
    "here.py": 'run = ["@local"]',
    "empty.py": "run = []",
    "half.py": 'run = ["@local", ("127.0.0.1", {"ssh_port": 1})]',
    "away.py": 'run = [("127.0.0.1", {"ssh_port": 1}), ("127.0.0.2", {"ssh_port": 1})]',
    "raising.py": 'raise ValueError("the inventory broke")',
    "still.py": f'{IMPORTS}files.file(name="Look", path="text")',
    "change.py": f'{IMPORTS}files.line(name="Change", path="text", line="a=.*", replace="a=2")',
    "nothing.py": "",
    "broken.py": 'raise ValueError("the deploy broke")',
    "stopping.py": (
        f'{IMPORTS}if host.name == "@local":\n'
        '    host.log("not on this one", logger.error)\n'
        "    host.state.fail_hosts({host.inventory.get_host(host.name)})\n"
        "else:\n"
        '    files.file(name="Look", path="text")'
    ),
    "hanging.py": f'{IMPORTS}host.get_fact(Command, "echo $$ > pid; exec sleep 600")',
    "failing_fact.py": (
        f'{IMPORTS}host.get_fact(Command, "exit 3")\nfiles.file(name="Look", path="text")'
    ),
    "by_data.py": (
        f'{IMPORTS}files.line(name="Change", path="text", line="a=.*", replace=host.data.line)'
    ),
    "text": "a=1\n",
}


@dataclass
class Loaded:
    """A run of pyinfra, in place of a process of its own."""

    words: Sequence[str]
    environment: Mapping[str, str]
    returncode: int | None = None

    def communicate(self, timeout: int) -> tuple[str, str]:
        """Run it to its end."""
        ran = LOADED.run(self.words, self.environment, timeout_s=timeout, directory=Path.cwd())
        self.returncode, *written = ran
        return written[0], written[1]


@dataclass(frozen=True)
class Folder:
    """A directory with ``FILES`` in it."""

    path: Path

    def __post_init__(self) -> None:
        for name, text in FILES.items():
            (self.path / name).write_text(text)

    def drift(self, *arguments: str, loaded: bool = True, **environment: str) -> Ran:
        """
        The command, run to its end; words before the first option are inventory and deploys.

        With ``loaded`` pyinfra runs in a process that has loaded it already.
        """
        out, err = StringIO(), StringIO()
        with Patch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.path)
            for name, value in {"PYTHONPATH": str(ROOT), **environment}.items():
                patch.setenv(name, value)
            if loaded:
                patch.setattr(run, "_started", lambda *given: nullcontext(Loaded(*given)))
            code = main(["drift", *_typed(arguments)])
        return Ran(arguments, code, out.getvalue(), err.getvalue())

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The command, not waited for."""
        return subprocess.Popen(
            [*COMMAND, *_typed(arguments)],
            cwd=self.path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )


def _typed(arguments: Sequence[str]) -> list[str]:
    words = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    places = [f"--inventory={word}" for word in words[:1]]
    places += [f"--deploy={word}" for word in words[1:]]
    return [*places, *arguments[len(words) :]]


def states(ran: Ran) -> dict[str, str]:
    return {host["name"]: host["state"] for host in json.loads(ran.stdout)["hosts"]}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_host_without_changes_is_in_sync(folder: Folder) -> None:
    ran = folder.drift("here.py", "still.py")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[1:] == ["@local  in-sync  -", "in-sync: 1 host as declared"]
    assert ran.stderr == ""


def test_a_change_is_pending_shown_by_diff_and_not_made(folder: Folder) -> None:
    ran = folder.drift("here.py", "still.py", "change.py", "--diff")

    assert ran.returncode == 2
    assert ran.stdout.endswith("\n@local  pending  Change\npending: 1 pending, of 1 host\n")
    assert ran.stdout.count("\n") == 3
    assert {"[@local]   - a=1", "[@local]   + a=2"} < set(ran.stderr.splitlines())
    assert (folder.path / "text").read_text() == "a=1\n"


AWAY = {"127.0.0.1": "unreachable"}


@table(
    "arguments, expected, verdict, error",
    half=(("half.py", "change.py"), {"@local": "pending", **AWAY}, "error", "port 1"),
    none=(("away.py", "change.py"), {**AWAY, "127.0.0.2": "unreachable"}, "error", "port 1"),
    a_fact_fails=(("here.py", "failing_fact.py"), {"@local": "failed"}, "error", ""),
    limited=(("half.py", "still.py", "--limit", "@l*"), {"@local": "in-sync"}, "in-sync", ""),
)
def test_a_host_that_is_not_reached_or_read_is_an_error_and_every_host_is_told(
    folder: Folder, arguments: tuple[str, ...], expected: dict[str, str], verdict: str, error: str
) -> None:
    ran = folder.drift(*arguments, "--json")

    assert ran.returncode == (1 if verdict == "error" else 0)
    assert states(ran) == expected
    assert json.loads(ran.stdout)["verdict"] == verdict
    assert not error or error in json.loads(ran.stdout)["hosts"][0]["errors"][0]


def test_a_host_that_fails_in_the_deploy_is_an_error_with_its_reason(folder: Folder) -> None:
    ran = folder.drift("here.py", "stopping.py", "--json")

    assert ran.returncode == 1
    assert states(ran) == {"@local": "failed"}
    assert json.loads(ran.stdout)["hosts"][0]["errors"] == ["not on this one"]


@table(
    "arguments, said",
    no_inventory=(["her.py", "still.py"], "has no hosts, got her.py"),
    broken_inventory=(["raising.py", "still.py"], "the inventory broke"),
    broken_deploy=(["here.py", "broken.py"], "the deploy broke"),
    no_operations=(["here.py", "nothing.py"], "an operation for this host"),
    one_without=(["here.py", "still.py", "nothing.py"], "nothing.py has no operation"),
    one_limit=(["here.py", "still.py", "--limit", "@local", "--limit", "x"], "got x"),
    none=(["here.py", "still.py", "--", "--exclude=run"], "no host is left"),
    config=(["here.py", "still.py", "--config", "x.py"], "no such config"),
)
def test_what_looked_at_nothing_is_a_fault(folder: Folder, arguments: list[str], said: str) -> None:
    ran = folder.drift(*arguments)

    assert ran.returncode == 1, ran.stdout
    assert said in " ".join(ran.stdout.split())  # a long path is followed by a break
    assert ran.stdout.splitlines()[-1].startswith("error: ")


@table(
    "arguments, said",
    nothing=([], "deploys/gvisor.py does not exist in "),
    no_deploy=(["here.py", "stil.py"], "stil.py does not exist in "),
    one_of_two_deploys=(["here.py", "still.py", "stil.py"], "does not exist"),
    a_command=(["here.py", "exec"], "deploys/exec.py does not exist"),
    an_operation=(["here.py", "server.shell"], "deploys/server.shell.py"),
    unknown_option=(["here.py", "still.py", "--nope"], "--nope"),
    data=(["here.py", "still.py", "--data", "hunter2"], "KEY=VALUE"),
    no_time=(["here.py", "still.py", "--timeout-s", "0"], "--timeout-s"),
    nan=(["here.py", "still.py", "--timeout-s", "nan"], "--timeout-s"),
    yes=(["here.py", "still.py", "--", "-y"], "-y cannot be passed"),
    limit=(["here.py", "still.py", "--", "--limit=x"], "--limit cannot"),
)
def test_a_wrong_command_line_is_an_error(folder: Folder, arguments: list[str], said: str) -> None:
    ran = folder.drift(*arguments)

    assert ran.returncode == 1
    assert said in ran.stderr
    assert ran.stdout == ""
    assert "hunter2" not in ran.stderr


def test_yes_in_the_environment_does_not_hide_what_is_pending(folder: Folder) -> None:
    assert folder.drift("here.py", "change.py", PYINFRA_YES="1").returncode == 2
    assert (folder.path / "text").read_text() == "a=1\n"


def test_yes_in_disguise_makes_no_change(folder: Folder) -> None:
    ran = folder.drift("here.py", "change.py", "--", "-vy")

    assert ran.returncode == 1
    assert "did not look" in ran.stdout
    assert (folder.path / "text").read_text() == "a=1\n"


def test_data_group_data_and_config_reach_the_deploy(folder: Folder) -> None:
    (folder.path / "more").mkdir()
    (folder.path / "more" / "run.py").write_text('line = "a=1"\n')
    (folder.path / "mine.py").write_text('from pathlib import Path\nPath("read").touch()\n')

    group = folder.drift("here.py", "by_data.py", "--group-data", "more", "--config", "mine.py")
    data = folder.drift("here.py", "by_data.py", "--group-data", "more", "--data", "line=a=3")

    assert (group.returncode, data.returncode) == (0, 2), group.stdout + data.stdout
    assert (folder.path / "read").exists()


def test_the_users_config_is_read_where_pyinfra_would(folder: Folder) -> None:
    (folder.path / "config.py").write_text('raise ValueError("the config broke")\n')

    ran = folder.drift("here.py", "still.py")

    assert ran.returncode == 1
    assert "the config broke" in ran.stdout


# A shell starts what it runs in the background with SIGINT ignored, and that is inherited.
IN_BACKGROUND = signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def stopped_when(monkeypatch: Patch, ready: Callable[[], bool]) -> None:
    """Have the time of a run of pyinfra be up as soon as something is so."""
    waits = subprocess.Popen.communicate

    def communicate(process: Any, **given: Any) -> Any:
        if "timeout" not in given:
            return waits(process, **given)
        until(ready)
        raise subprocess.TimeoutExpired(process.args, given["timeout"])

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)


def test_a_run_that_takes_too_long_is_stopped_whole(folder: Folder, monkeypatch: Patch) -> None:
    pid = folder.path / "pid"
    stopped_when(monkeypatch, lambda: pid.exists() and pid.read_text() != "")

    ran = folder.drift("half.py", "hanging.py", "--timeout-s", "10", "--json", loaded=False)

    assert ran.returncode == 1
    first = json.loads(ran.stdout)["errors"][0]
    assert first == "pyinfra did not finish within 10 s and was stopped"
    assert states(ran) == {"@local": "unknown", "127.0.0.1": "unreachable"}
    assert is_gone(int(pid.read_text()))


def test_a_silent_server_is_named_when_time_is_up(folder: Folder, monkeypatch: Patch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopped_when(monkeypatch, lambda: bool(select([server], [], [], 0)[0]))

        ran = folder.drift(
            *("@local,127.0.0.1", "still.py", "--json"),
            *("--", "--ssh-port", str(server.getsockname()[1])),
            loaded=False,
        )

    assert ran.returncode == 1
    assert states(ran) == {"@local": "unknown", "127.0.0.1": "unreachable"}


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="terminated"),
        pytest.param(
            signal.SIGINT,
            id="interrupted",
            marks=pytest.mark.skipif(IN_BACKGROUND, reason="SIGINT is ignored here"),
        ),
    ],
)
def test_a_stopped_command_leaves_nothing_behind(folder: Folder, number: signal.Signals) -> None:
    process = folder.start("here.py", "hanging.py")
    pid = folder.path / "pid"
    until(lambda: pid.exists() and pid.read_text() != "")

    process.send_signal(number)

    assert process.wait(timeout=20) == 130
    assert process.communicate()[1] == b"\npyinfra-gvisor: interrupted\n"
    assert is_gone(int(pid.read_text()))


def is_gone(pid: int) -> bool:
    """Whether a process has ended, now or within a moment."""
    until(lambda: not Path(f"/proc/{pid}").exists() or _is_dead(pid))
    return True


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


PAGE = (ROOT / "docs" / "drift.md").read_text()
CI_PAGE = (ROOT / "docs" / "how-to" / "ci.md").read_text()
CI_JOBS = (ROOT / "examples" / "ci" / "gitlab.yml").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with an inventory and a deploy, and the program beside it, as in the examples."""
    fleet = tmp_path / "fleet"
    for name in ("fleet/inventories", "fleet/deploys", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    (fleet / "text").write_text(FILES["text"])
    program = tmp_path / ".venv/bin/pyinfra-gvisor"
    program.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(ROOT))}\n"
        f'exec {shlex.join(COMMAND[:-1])} "$@"\n'
    )
    program.chmod(0o755)
    return fleet


def put(checkout: Path, *, inventory: str, deploy: str) -> None:
    (checkout / "inventories" / "run.py").write_text(FILES[inventory])
    (checkout / "deploys" / "gvisor.py").write_text(FILES[deploy])


def sh(script: str, directory: Path) -> Ran:
    """``script`` as cron and CI runners run it: by sh, which ends at the first failure."""
    path = f"{directory.parent / '.venv/bin'}:/usr/bin:/bin"
    return subprocess.run(
        ["sh", "-ec", script],
        cwd=directory,
        env={"PATH": path, "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@table(
    "inventory, deploy, mail",
    in_sync=("here.py", "still.py", ""),
    pending=("here.py", "change.py", "pending: 1 pending, of 1 host\n"),
    error=("empty.py", "still.py", "error: no host was checked\n"),
)
def test_cron_hears_only_of_drift(checkout: Path, inventory: str, deploy: str, mail: str) -> None:
    found = re.search(r"^17 5 \* \* \* (.*)$", CI_PAGE, re.MULTILINE)
    assert found
    command = found[1]
    assert "%" not in command  # which cron takes for the end of the line
    put(checkout, inventory=inventory, deploy=deploy)

    ran = sh(command.replace("/srv/", shlex.quote(f"{checkout.parent}/")), checkout)

    assert ran.stdout.endswith(mail)
    assert bool(ran.stdout) == bool(mail)
    assert ran.stderr == ""


def test_the_job_for_ci_ends_with_the_verdict_and_keeps_the_plan(checkout: Path) -> None:
    found = re.search(r"^    - (pyinfra-gvisor drift .*)$", CI_JOBS, re.MULTILINE)
    assert found
    put(checkout, inventory="here.py", deploy="change.py")

    ran = sh(found[1], checkout)

    assert ran.returncode == 2, ran.stderr
    assert json.loads((checkout / "drift.json").read_text())["exit_code"] == 2


def test_the_page_names_every_option_of_the_command() -> None:
    ran = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)

    options = set(re.findall(r"--[a-z][a-z-]+", ran.stdout)) - {"--help", "--parallel"}
    assert len(options) > 6
    assert sorted(option for option in options if option not in PAGE) == []

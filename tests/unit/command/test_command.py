"""The command ``pyinfra-gvisor``: what it writes for a new fleet, and what it has pyinfra run."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

import pyinfra_gvisor
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command import fleet
from pyinfra_gvisor.command.__main__ import COMMANDS, main
from pyinfra_gvisor.command.controller import controller_lines
from pyinfra_gvisor.command.running import run_pyinfra
from pyinfra_gvisor.settings import load_settings
from tests.unit.waiting import until


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that the command is typed in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pyinfra was asked to run; it ends with 0."""
    runs: list[list[str]] = []
    monkeypatch.setattr(
        "pyinfra_gvisor.command.nodes.run_pyinfra",
        lambda words, **_: runs.append(words) or 0,
    )
    return runs


def test_a_new_fleet_has_its_hosts_and_parses(here: Path) -> None:
    assert main(["init", "run-1.example.com", "192.0.2.7"]) == 0

    written = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
    assert written == set(fleet.files(fleet.Fleet()))
    text = (here / fleet.INVENTORY).read_text()
    assert '    "run-1.example.com",\n    "192.0.2.7",\n]' in text
    for path in here.rglob("*.py"):
        ast.parse(path.read_text())


def test_nothing_is_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "notes.txt").write_text("mine")

    assert main(["init", "run-1"]) == 1

    assert "is not empty, got notes.txt; give an empty or new directory" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("known", "says"),
    [
        pytest.param({"run": ["-oProxyCommand=x"]}, "not a host name", id="an-option"),
        pytest.param({"run": ["@local"]}, "not a host name", id="a-connector"),
        pytest.param({"run": ["a b"]}, "not a host name", id="blanks"),
        pytest.param({"run": ["a", "a"]}, "a host is given twice, got a", id="twice"),
        pytest.param({"build": [("@local", {})]}, "not a host name", id="a-connector-that-builds"),
        pytest.param({"build": [("a\nb", {})]}, "not a host name", id="two-lines"),
        pytest.param({"build": [("", {})]}, "not a host name", id="no-name"),
        pytest.param(
            {"coolify": [("one", {"ssh_hostname": "-oProxyCommand=x"})]},
            "not a host name",
            id="an-option-as-an-address",
        ),
        pytest.param(
            {"coolify": [("one", {"ssh_hostname": ""})]}, "not a host name", id="no-address"
        ),
    ],
)
def test_what_is_no_host_is_refused_in_any_list(
    tmp_path: Path, known: dict[str, Any], says: str
) -> None:
    with pytest.raises(Problem, match=says):
        fleet.begin(tmp_path / "new", fleet.Fleet(**known))

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        pytest.param(["plan"], ["deploys/gvisor.py", "--dry", "--diff"], id="plan"),
        pytest.param(["apply", "-y"], ["deploys/gvisor.py", "-y"], id="apply"),
        pytest.param(
            ["apply", "-y", "--limit", "canary"],
            ["deploys/gvisor.py", "-y", "--limit=canary"],
            id="limit",
        ),
        pytest.param(
            ["audit", "--", "--ssh-user", "debian"],
            ["deploys/audit.py", "-y", "--ssh-user", "debian"],
            id="options-of-pyinfra",
        ),
        pytest.param(["remove", "-y"], ["deploys/remove.py", "-y"], id="remove"),
        pytest.param(
            ["rollback", "--to", "3", "-y"],
            ["deploys/rollback.py", "--data=gvisor_generation=3", "-y"],
            id="to-a-generation",
        ),
        pytest.param(
            ["apply", "--proof", "-y"],
            [
                "deploys/gvisor.py",
                "--data=gvisor_proof=always",
                "--data=gvisor_proof_rows=True",
                "-y",
            ],
            id="every-check",
        ),
        pytest.param(["doctor"], ["deploys/doctor.py", "-y"], id="doctor"),
        pytest.param(
            ["plan", "--deploy", "coolify"],
            ["deploys/coolify.py", "--dry", "--diff"],
            id="another-deploy",
        ),
        pytest.param(["rollback", "-y"], ["deploys/rollback.py", "-y"], id="rollback"),
    ],
)
def test_a_command_is_pyinfra_with_the_fleets_files(
    here: Path, ran: list[list[str]], typed: list[str], expected: list[str]
) -> None:
    main(["init", "run-1"])

    code = main(typed)

    assert code == 0
    assert ran == [[fleet.INVENTORY, *expected]]


def test_without_a_fleet_it_is_said_how_to_begin(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan"]) == 1

    said = capsys.readouterr().err
    assert f"inventories/run.py does not exist in {here}; change to the directory" in said


@pytest.mark.parametrize("typed", ["apply", "rollback", "remove"])
def test_without_a_terminal_a_change_needs_yes(
    here: Path, ran: list[list[str]], typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", "run-1"])

    assert main([typed]) == 1

    assert "stdin is no terminal; add -y" in capsys.readouterr().err
    assert ran == []


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param(["aply"], id="no-command"),
        pytest.param(["plan", "--nope"], id="no-option"),
        pytest.param(["releases"], id="no-action"),
        pytest.param(["plan", "canary"], id="a-host-without-limit"),
        pytest.param(["rollback", "--to", "0"], id="no-generation"),
        pytest.param(["init", "--token-file", "x"], id="a-token-without-coolify"),
        pytest.param(["init", "run-1", "--coolify", "https://c.example"], id="hosts-and-coolify"),
    ],
)
def test_a_wrong_command_line_is_no_pending_change(here: Path, typed: list[str]) -> None:
    assert main(typed) == 1

    assert list(here.iterdir()) == []


def test_every_command_has_a_help_text_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    listed = capsys.readouterr().out.partition("Commands:")[2].partition("Exit codes")[0]
    rows = [line.split(maxsplit=1) for line in listed.splitlines() if line.strip()]
    assert [name for name, _ in rows] == [*COMMANDS]
    assert [text for _, text in rows if text.endswith("...")] == []


def test_a_fleet_is_what_coolify_knows(here: Path) -> None:
    address = {"ssh_hostname": "192.0.2.7", "ssh_port": 22, "ssh_user": "root"}
    file = str(here / "token")
    known = fleet.Fleet([("shop", address)], coolify_url="https://c.example", token_file=file)

    fleet.begin(here / "new", known)

    inventory = run_path(str(here / "new" / fleet.INVENTORY))
    settings = run_path(str(here / "new/group_data/coolify.py"))
    assert inventory["run"] == [("shop", address)]
    assert settings["gvisor_coolify_url"] == "https://c.example"
    assert settings["gvisor_coolify_token_file"] == file


@pytest.mark.parametrize(
    "name",
    [
        pytest.param('a",__import__("os").getpid(),"b', id="code"),
        pytest.param("o'brien", id="an-apostrophe"),
        pytest.param("my server", id="a-blank"),
        pytest.param("f\u00fcr \\n", id="other-letters"),
    ],
)
def test_a_name_that_somebody_chose_in_coolify_stays_a_text(here: Path, name: str) -> None:
    address = {"ssh_hostname": "192.0.2.7", "ssh_port": 22, "ssh_user": name}

    fleet.begin(here / "new", fleet.Fleet(build=[(name, address)], coolify_url="https://c"))

    assert run_path(str(here / "new" / fleet.INVENTORY))["build"] == [(name, address)]


def test_every_container_must_be_in_gvisor_unless_coolify_tells_which(here: Path) -> None:
    fleet.begin(here / "plain", fleet.Fleet())
    fleet.begin(here / "platform", fleet.Fleet(coolify_url="https://c.example"))

    plain, platform = (
        run_path(str(here / name / "group_data/run.py")) for name in ("plain", "platform")
    )
    assert plain["gvisor_must_sandbox"] == [{"name": "*"}]
    assert "gvisor_must_sandbox" not in platform


def test_the_settings_of_a_new_fleet_are_valid(here: Path) -> None:
    fleet.begin(here, fleet.Fleet())

    problems = {
        path.name: load_settings(run_path(str(path)))[1] for path in here.glob("group_data/*.py")
    }

    assert problems == {key: {} for key in ("all.py", "run.py", "build.py", "coolify.py")}


def test_a_plan_needs_changes_to_be_looked_for(here: Path) -> None:
    main(["init", "run-1"])

    assert main(["plan", "--", "-y"]) == 1


def test_secrets_are_not_shown(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_pyinfra(["--ssh-password", "hunter2", "--data=api_token=hunter2", "--nope"])

    assert "hunter2" not in capfd.readouterr().err


INTERRUPTIBLE = """
import signal, sys
from pyinfra_gvisor.command.running import run_pyinfra
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
sys.exit(run_pyinfra(["@local", "exec", f"touch {sys.argv[1]}; sleep 60"]))
"""


def test_a_run_that_is_interrupted_has_failed(here: Path) -> None:
    started = here / "started"
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, started],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        start_new_session=True,
    ) as process:
        until(started.exists)

        for _ in range(6):  # again, as people do: pyinfra's handler may run where it ends nothing
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
                break

        assert process.returncode == 130


def test_pyinfras_exit_code_for_a_wrong_command_line_is_not_handed_on(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_pyinfra(["--nope"]) == 1

    assert capfd.readouterr().err.startswith("$ pyinfra --nope\n")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({}, "no SSH key in", id="none"),
        pytest.param({"id_ed25519": ""}, "/.ssh/id_ed25519", id="a-key"),
        pytest.param({"config": "Host *\n  identityfile x\n"}, "IdentityFile in", id="by-config"),
    ],
)
def test_the_doctor_says_which_ssh_keys_there_are(
    here: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], says: str
) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (here / ".ssh").mkdir()
    for name, text in files.items():
        (here / ".ssh" / name).write_text(text)

    versions, keys = controller_lines()

    assert versions.startswith("controller  Python 3.")
    assert says in keys


@pytest.mark.parametrize("name", ["settings", "report"])
def test_schemas_are_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0

    assert "$defs" in json.loads(capsys.readouterr().out)


def test_a_shell_is_told_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [main(["completion", shell]) for shell in ("bash", "zsh", "fish")] == [0, 0, 0]
    assert capsys.readouterr().out.count("_PYINFRA_GVISOR_COMPLETE=") == 3
    for name, value in {"COMP_WORDS": "pyinfra-gvisor app", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("_PYINFRA_GVISOR_COMPLETE", "bash_complete")

    with pytest.raises(SystemExit):
        main([])

    assert capsys.readouterr().out == "plain,apply\n"


def test_the_deploys_are_exported_and_nothing_is_imported_for_it() -> None:
    seen = "import sys, pyinfra_gvisor as g; print(sorted(g.DEPLOYS), 'pyinfra' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)

    assert ran.stdout.endswith("] False\n")
    assert all(callable(getattr(pyinfra_gvisor, name)) for name in pyinfra_gvisor.DEPLOYS)
    assert {function for function, _ in fleet.DEPLOYS.values()} == set(pyinfra_gvisor.DEPLOYS)


def test_the_console_script_is_this_command() -> None:
    root = Path(__file__).parents[3]
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]

    assert scripts == {"pyinfra-gvisor": "pyinfra_gvisor.command.__main__:main"}

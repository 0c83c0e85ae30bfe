"""The command ``pyinfra-gvisor``: what it writes for a new fleet, and what it has pyinfra run."""

import ast
import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from runpy import run_path

import pytest

import pyinfra_gvisor
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command import fleet
from pyinfra_gvisor.command.__main__ import COMMANDS, main
from pyinfra_gvisor.command.controller import controller_lines
from pyinfra_gvisor.command.running import run_pyinfra
from pyinfra_gvisor.settings import load_settings
from tests.arguments import Data, Patch, Printed
from tests.table import table
from tests.unit.waiting import until

Runs = list[list[str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: Patch) -> Path:
    """An empty directory that the command is typed in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ran(monkeypatch: Patch) -> Runs:
    """What pyinfra was asked to run; it ends with 0."""
    runs: Runs = []
    for module in ("nodes", "permit"):
        name = f"pyinfra_gvisor.command.{module}.run_pyinfra"
        monkeypatch.setattr(name, lambda words, **_: runs.append(words) or 0)
    return runs


def test_a_new_fleet_has_its_hosts_and_parses(here: Path) -> None:
    assert main(["init", "run-1.example.com", "192.0.2.7"]) == 0

    written = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
    assert written == set(fleet.files(fleet.Fleet()))
    assert '    "run-1.example.com",\n    "192.0.2.7",\n]' in (here / fleet.INVENTORY).read_text()
    for path in here.rglob("*.py"):
        ast.parse(path.read_text())


def test_nothing_is_overwritten(here: Path, capsys: Printed) -> None:
    (here / "notes.txt").write_text("mine")

    assert main(["init", "run-1"]) == 1

    assert "is not empty, got notes.txt; give an empty or new directory" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["notes.txt"]


@table(
    "known, says",
    an_option=({"run": ["-oProxyCommand=x"]}, "not a host name"),
    a_connector=({"run": ["@local"]}, "not a host name"),
    blanks=({"run": ["a b"]}, "not a host name"),
    twice=({"run": ["a", "a"]}, "a host is given twice, got a"),
    a_connector_that_builds=({"build": [("@local", {})]}, "not a host name"),
    two_lines=({"build": [("a\nb", {})]}, "not a host name"),
    no_name=({"build": [("", {})]}, "not a host name"),
    an_option_as_an_address=(
        {"coolify": [("one", {"ssh_hostname": "-oProxyCommand=x"})]},
        "not a host name",
    ),
    no_address=({"coolify": [("one", {"ssh_hostname": ""})]}, "not a host name"),
)
def test_what_is_no_host_is_refused(tmp_path: Path, known: Data, says: str) -> None:
    with pytest.raises(Problem, match=says):
        fleet.begin(tmp_path / "new", fleet.Fleet(**known))

    assert not (tmp_path / "new").exists()


@table(
    "typed, expected",
    plan=("plan", "gvisor.py --dry --diff"),
    apply=("apply -y", "gvisor.py -y"),
    limit=("apply -y --limit canary", "gvisor.py -y --limit=canary"),
    options_of_pyinfra=("audit -- --ssh-user debian", "audit.py -y --ssh-user debian"),
    remove=("remove -y", "remove.py -y"),
    to_a_generation=("rollback --to 3 -y", "rollback.py --data=gvisor_generation=3 -y"),
    to_a_release=(
        "rollback --release 20260928.0 -y",
        'rollback.py --data=rollback_release="20260928.0" -y',
    ),
    to_before_a_rollout=(
        "rollback --rollout 20261203-1405-9f3a -y",
        'rollback.py --data=rollback_rollout="20261203-1405-9f3a" -y',
    ),
    every_check=(
        "apply --proof -y",
        "gvisor.py --data=gvisor_proof=always --data=gvisor_proof_rows=True -y",
    ),
    doctor=("doctor", "doctor.py -y"),
    another_deploy=("plan --deploy coolify", "coolify.py --dry --diff"),
    rollback=("rollback -y", "rollback.py -y"),
)
def test_a_command_is_pyinfra_with_the_fleets_files(
    here: Path, ran: Runs, typed: str, expected: str
) -> None:
    main(["init", "run-1"])

    assert main(typed.split()) == 0
    assert ran == [[fleet.INVENTORY, *f"deploys/{expected}".split()]]


def test_a_permit_runs_one_command_of_docker_on_its_node(here: Path, ran: Runs) -> None:
    main(["init", "run-1"])
    command = ["--", "docker", "run", "-v", "a b:/x"]

    assert main(["permit", "run-1", "--reason", "the disk's load", *command]) == 0

    *words, script = ran[0]
    assert words == [fleet.INVENTORY, "exec", "--limit=run-1", "--"]
    assert shlex.split(script.partition("; then ")[2].partition("; else ")[0]) == [
        *("/opt/gvisor/judge/permit", "--reason", "the disk's load"),
        *command,
    ]


@table(
    "typed, says",
    {it: (it, "stdin is no terminal; add -y") for it in ("apply", "rollback", "remove")},
    short=("permit run-1 --reason x -- docker ps", "write 10 characters or more"),
    no_docker=("permit run-1 --reason a-look-at-it -- sh", "permit runs a command of docker"),
    a_plan_without_a_look=("plan -- -y", "with -y pyinfra does not look for changes"),
)
def test_a_bad_permit_a_plan_with_yes_and_a_change_without_a_terminal_or_yes_are_refused(
    here: Path, ran: Runs, typed: str, says: str, capsys: Printed
) -> None:
    main(["init", "run-1"])

    assert main(typed.split()) == 1

    assert says in capsys.readouterr().err
    assert ran == []


def test_without_a_fleet_it_is_said_how_to_begin(here: Path, capsys: Printed) -> None:
    assert main(["plan"]) == 1

    said = capsys.readouterr().err
    assert f"inventories/run.py does not exist in {here}; change to the directory" in said


@table(
    "typed",
    no_command=["aply"],
    no_option=["plan", "--nope"],
    no_action=["releases"],
    a_host_without_limit=["plan", "canary"],
    no_generation=["rollback", "--to", "0"],
    a_token_without_coolify=["init", "--token-file", "x"],
    hosts_and_coolify=["init", "run-1", "--coolify", "https://c.example"],
)
def test_a_wrong_command_line_is_no_pending_change(here: Path, typed: list[str]) -> None:
    assert main(typed) == 1

    assert list(here.iterdir()) == []


def test_every_command_has_a_help_text_of_one_line(capsys: Printed) -> None:
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
    settings = here / "new/group_data/coolify.py"
    assert inventory["run"] == [("shop", address)]
    assert run_path(str(settings))["gvisor_coolify"] is False
    assert '# gvisor_coolify_url = "https://c.example"' in settings.read_text()
    assert f'# gvisor_coolify_token_file = "{file}"' in settings.read_text()


@table(
    "name",
    code='a",__import__("os").getpid(),"b',
    an_apostrophe="o'brien",
    a_blank="my server",
    other_letters="f\u00fcr \\n",
)
def test_a_name_that_somebody_chose_in_coolify_stays_a_text(here: Path, name: str) -> None:
    address = {"ssh_hostname": "192.0.2.7", "ssh_port": 22, "ssh_user": name}

    fleet.begin(here / "new", fleet.Fleet(build=[(name, address)], coolify_url="https://c"))

    assert run_path(str(here / "new" / fleet.INVENTORY))["build"] == [(name, address)]


def test_every_container_must_be_in_gvisor_unless_coolify_tells_which(here: Path) -> None:
    fleet.begin(here / "plain", fleet.Fleet())
    fleet.begin(here / "platform", fleet.Fleet(coolify_url="https://c.example"))

    plain, platform = (
        run_path(str(here / f"{name}/group_data/run.py")) for name in ("plain", "platform")
    )
    assert plain["gvisor_must_sandbox"] == [{"name": "*"}]
    assert "gvisor_must_sandbox" not in platform


def test_the_settings_of_a_new_fleet_are_valid(here: Path) -> None:
    fleet.begin(here, fleet.Fleet())

    read = {path.name: run_path(str(path)) for path in here.glob("group_data/*.py")}
    problems = {name: load_settings(data)[1] for name, data in read.items()}

    assert problems == {key: {} for key in ("all.py", "run.py", "build.py", "coolify.py")}


def test_secrets_are_not_shown(here: Path, capfd: Printed) -> None:
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


def test_pyinfras_exit_code_for_a_wrong_command_is_not_ours(here: Path, capfd: Printed) -> None:
    assert run_pyinfra(["--nope"]) == 1

    assert capfd.readouterr().err.startswith("$ pyinfra --nope\n")


@table(
    "files, says",
    none=({}, "no SSH key in"),
    a_key=({"id_ed25519": ""}, "/.ssh/id_ed25519"),
    by_config=({"config": "Host *\n  identityfile x\n"}, "IdentityFile in"),
)
def test_the_doctor_says_which_ssh_keys_there_are(
    here: Path, monkeypatch: Patch, files: dict[str, str], says: str
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
def test_schemas_are_printed(name: str, capsys: Printed) -> None:
    assert main(["schema", name]) == 0

    assert "$defs" in json.loads(capsys.readouterr().out)


def test_a_shell_is_told_the_commands(monkeypatch: Patch, capsys: Printed) -> None:
    assert [main(["completion", shell]) for shell in ("bash", "zsh", "fish")] == [0, 0, 0]
    assert capsys.readouterr().out.count("_PYINFRA_GVISOR_COMPLETE=") == 3
    for name, value in {"COMP_WORDS": "pyinfra-gvisor appl", "COMP_CWORD": "1"}.items():
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

"""The command ``pyinfra-gvisor``: what it writes for a new fleet, and what it has pyinfra run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pyinfra_gvisor.command import fleet
from pyinfra_gvisor.command.__main__ import main
from pyinfra_gvisor.errors import Problem


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
        "pyinfra_gvisor.command.__main__.run_pyinfra", lambda words: runs.append(words) or 0
    )
    return runs


def test_a_new_fleet_has_its_hosts_and_parses(here: Path) -> None:
    assert main(["init", "run-1.example.com", "192.0.2.7"]) == 0

    written = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
    assert written == set(fleet.files([]))
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
    ("hosts", "says"),
    [
        pytest.param(["-oProxyCommand=x"], "not a host name", id="an-option"),
        pytest.param(["@local"], "not a host name", id="a-connector"),
        pytest.param(["a b"], "not a host name", id="blanks"),
        pytest.param(["a", "a"], "a host is given twice, got a", id="twice"),
    ],
)
def test_what_is_no_host_is_refused(tmp_path: Path, hosts: list[str], says: str) -> None:
    with pytest.raises(Problem, match=says):
        fleet.begin(tmp_path / "new", hosts)

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        pytest.param(["plan"], ["deploys/gvisor.py", "--dry", "--diff"], id="plan"),
        pytest.param(["apply", "-y"], ["deploys/gvisor.py", "-y"], id="apply"),
        pytest.param(
            ["apply", "--limit", "canary"], ["deploys/gvisor.py", "--limit=canary"], id="limit"
        ),
        pytest.param(
            ["audit", "--", "--ssh-user", "debian"],
            ["deploys/audit.py", "-y", "--ssh-user", "debian"],
            id="options-of-pyinfra",
        ),
        pytest.param(["remove"], ["deploys/remove.py"], id="remove"),
        pytest.param(["rollback", "-y"], ["deploys/rollback.py", "-y"], id="rollback"),
    ],
)
def test_a_command_is_pyinfra_with_the_fleets_files(
    here: Path, ran: list[list[str]], typed: list[str], expected: list[str]
) -> None:
    main(["init", "run-1"])

    with pytest.raises(SystemExit) as ended:
        main(typed)

    assert ended.value.code == 0
    assert ran == [[fleet.INVENTORY, *expected]]


def test_without_a_fleet_it_is_said_how_to_begin(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan"]) == 1

    assert (
        f"{here} has no fleet: inventories/run.py is missing; change to" in capsys.readouterr().err
    )


def test_a_wrong_command_line_is_no_pending_change(here: Path) -> None:
    assert main(["aply"]) == 1

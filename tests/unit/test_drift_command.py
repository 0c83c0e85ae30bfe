"""The drift command with a real pyinfra, on this machine and on hosts that do not answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.drift_command import Folder, states


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
    document = folder.drift("here.py", "still.py", "change.py", "--diff", "--json")

    assert ran.returncode == document.returncode == 2
    assert ran.stdout.splitlines()[1:] == [
        "@local  pending  Change",
        "pending: 1 pending, of 1 host",
    ]
    assert {"[@local]   - a=1", "[@local]   + a=2"} < set(ran.stderr.splitlines())
    host = json.loads(document.stdout)["hosts"][0]
    assert host["pending"] == [{"name": "Change"}]
    assert {"  - a=1", "  + a=2"} < set(host["details"])
    assert (folder.path / "text").read_text() == "a=1\n"


def test_a_host_that_is_not_reached_is_an_error_and_the_other_one_is_told(folder: Folder) -> None:
    ran = folder.drift("half.py", "change.py", "--json")

    assert ran.returncode == 1
    assert states(ran) == {"@local": "pending", "127.0.0.1": "unreachable"}
    assert json.loads(ran.stdout)["verdict"] == "error"
    assert "port 1" in json.loads(ran.stdout)["hosts"][0]["errors"][0]


def test_no_host_that_is_reached_is_an_error_that_names_all(folder: Folder) -> None:
    ran = folder.drift("away.py", "still.py", "--json")

    assert ran.returncode == 1
    assert states(ran) == {"127.0.0.1": "unreachable", "127.0.0.2": "unreachable"}


def test_a_host_that_fails_in_the_deploy_is_an_error_with_its_reason(folder: Folder) -> None:
    ran = folder.drift("here.py", "stopping.py", "--json")

    assert ran.returncode == 1
    assert states(ran) == {"@local": "failed"}
    assert json.loads(ran.stdout)["hosts"][0]["errors"] == ["not on this one"]


def test_a_host_that_fails_without_a_word_has_failed(folder: Folder) -> None:
    ran = folder.drift("here.py", "silent.py", "--json")

    assert ran.returncode == 1
    assert states(ran) == {"@local": "failed"}


def test_a_fact_that_fails_is_an_error_though_the_deploy_goes_on(folder: Folder) -> None:
    ran = folder.drift("here.py", "failing_fact.py", "--json")

    assert ran.returncode == 1
    assert states(ran) == {"@local": "failed"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["empty.py", "still.py"], "has no hosts, got empty.py", id="no-hosts"),
        pytest.param(["her.py", "still.py"], "has no hosts, got her.py", id="no-inventory"),
        pytest.param(["no/her.py", "still.py"], "has no hosts", id="no-inventory-in-a-directory"),
        pytest.param(["raising.py", "still.py"], "the inventory broke", id="broken-inventory"),
        pytest.param(["here.py", "broken.py"], "the deploy broke", id="broken-deploy"),
        pytest.param(["here.py", "nothing.py"], "no operation for it", id="no-operations"),
        pytest.param(
            ["here.py", "still.py", "nothing.py"], "nothing.py has no operation", id="one-without"
        ),
        pytest.param(["here.py", "still.py", "--limit", "x"], "got x", id="limit"),
        pytest.param(
            ["here.py", "still.py", "--limit", "@local", "--limit", "x"], "got x", id="one-limit"
        ),
        pytest.param(["here.py", "still.py", "--", "--exclude=run"], "no host is left", id="none"),
        pytest.param(["here.py", "still.py", "--config", "x.py"], "no such config", id="config"),
        pytest.param(["here.py", "printing.py"], "cannot be read, got hello", id="prints"),
        pytest.param(["here.py", "still.py", "--", "-vy"], "did not look", id="yes-in-disguise"),
        pytest.param(["here.py", "still.py", "--", "--nope"], "--nope", id="unknown-option"),
        pytest.param(["here.py", "still.py", "--", "--version"], "config file", id="version"),
    ],
)
def test_what_looked_at_nothing_is_an_error(
    folder: Folder, arguments: list[str], said: str
) -> None:
    ran = folder.drift(*arguments)

    assert ran.returncode == 1, ran.stdout
    assert said in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "deploys/gvisor.py does not exist in ", id="nothing"),
        pytest.param(["here.py", "stil.py"], "stil.py does not exist in ", id="no-deploy"),
        pytest.param(["here.py", "still.py", "stil.py"], "does not exist", id="one-of-two-deploys"),
        pytest.param(["here.py", "exec"], "deploys/exec.py does not exist", id="a-command"),
        pytest.param(["here.py", "server.shell"], "deploys/server.shell.py", id="an-operation"),
        pytest.param(["here.py", "still.py", "--nope"], "--nope", id="unknown-option"),
        pytest.param(["here.py", "still.py", "--data", "hunter2"], "KEY=VALUE", id="data"),
        pytest.param(["here.py", "still.py", "--timeout-s", "0"], "--timeout-s", id="no-time"),
        pytest.param(["here.py", "still.py", "--timeout-s", "nan"], "--timeout-s", id="nan"),
        pytest.param(["here.py", "still.py", "--", "-y"], "-y cannot be passed", id="yes"),
        pytest.param(["here.py", "still.py", "--", "--limit=x"], "--limit cannot", id="limit"),
    ],
)
def test_a_wrong_command_line_is_not_mistaken_for_pending_changes(
    folder: Folder, arguments: list[str], said: str
) -> None:
    ran = folder.drift(*arguments)

    assert ran.returncode == 1
    assert said in ran.stderr
    assert ran.stdout == ""
    assert "hunter2" not in ran.stderr


def test_yes_in_the_environment_does_not_hide_what_is_in_sync(folder: Folder) -> None:
    still, change = (
        folder.drift("here.py", f"{name}.py", PYINFRA_YES="1") for name in ("still", "change")
    )

    assert (still.returncode, change.returncode) == (0, 2)
    assert (folder.path / "text").read_text() == "a=1\n"


def test_yes_in_disguise_makes_no_change(folder: Folder) -> None:
    ran = folder.drift("here.py", "change.py", "--", "-vy")

    assert ran.returncode == 1
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


def test_a_limit_chooses_hosts(folder: Folder) -> None:
    ran = folder.drift("half.py", "still.py", "--limit", "@l*", "--json")

    assert ran.returncode == 0, ran.stdout
    assert states(ran) == {"@local": "in-sync"}

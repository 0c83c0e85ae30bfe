"""The operations of a control host on the real engine, with a Coolify on loopback that is asked."""

import base64
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.coolify.compose_file import merged
from pyinfra_gvisor.coolify.files import MOUNTS, kept_files, mounted_files
from pyinfra_gvisor.coolify.token import VARIABLE
from pyinfra_gvisor.deploys.coolify import run_control_host
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.operations import coolify
from tests.cases.fleet import MARKS, Fleet, Node, Reply
from tests.cases.kept import users
from tests.coolify.api_server import TOKEN
from tests.table import table
from tests.unit.answers import answer as node_answer
from tests.unit.coolify.coolify_answers import answer, compose, container, patched, persistent, php
from tests.unit.coolify.coolify_team import Team, team_at_work

BARE = answer(container(), *php())
PATCHED = answer(container(), *patched())
DONE = answer(*persistent(mounts=()), *patched())
THEIRS = "services:\n  coolify:\n    labels:\n      - mine=1\n"


def control_host(nodes: dict[str, Node], **data: Any) -> Fleet:
    """A fleet whose hosts are all in the group of control hosts."""
    return Fleet(nodes, groups={"coolify": data})


def variables(command: str) -> dict[str, str]:
    """What a script was told in front of it."""
    words = shlex.split(command)
    text = words[words.index("-c") + 1]
    return dict(re.findall(r"^(\w+)='?([^'\n]*)'?$", text, re.MULTILINE))


def test_a_host_that_cannot_be_patched_gets_no_file_and_one_as_declared_is_read_once() -> None:
    nodes = {"bad": Node([BARE], {"coolify option": Reply(ok=False)}), "good": Node([DONE])}

    fleet = control_host(nodes).deployed(run_control_host)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].kinds() == ["coolify state", "coolify option"]
    assert nodes["good"].kinds() == ["coolify state"]


def test_a_host_that_is_no_control_host_is_passed_over_but_a_run_without_any_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    factory, run, alone = Node([DONE]), Node([]), Node([])
    fleet = Fleet({"factory": factory}, groups={"coolify": {}})
    passed = Fleet({"run": run}, groups={"run": {}})
    inventory: Any = passed.state.inventory
    inventory.groups["coolify"] = [fleet.host("factory")]

    passed.deployed(run_control_host)
    with pytest.raises(PyinfraError, match="No hosts remaining"):
        Fleet({"run": alone}, groups={"run": {}}).deploy(run_control_host)

    assert (run.kinds(), passed.failed(), alone.kinds()) == ([], set(), [])
    assert "coolify: inventory on @fake/run: no host is in the group coolify; add" in caplog.text


def test_the_compose_file_is_sent_with_the_sum_of_what_was_read() -> None:
    node = Node([answer(container(), compose(THEIRS), *patched())])

    control_host({"factory": node}).done(coolify.persistence)

    told = variables(node.of("coolify install").command)
    assert base64.b64decode(told["compose_b64"]).decode() == merged(THEIRS, MOUNTS)
    assert told["compose_sum"] == compose(THEIRS).split()[2]
    words = shlex.split(node.of("coolify install").command)
    for item in (*mounted_files(), *kept_files()):
        assert words[words.index(item.path) + 1] == item.mode


def test_what_is_not_wanted_is_taken_back_and_a_second_run_has_nothing_to_do() -> None:
    gone = answer(container(), *php())
    node = Node([DONE, PATCHED, gone])
    again = Node([gone])

    for item in (node, again):
        control_host({"factory": item}, gvisor_coolify=False).deployed(run_control_host)

    assert node.acted() == ["coolify remove", "coolify option"]  # a timer would put it back
    assert "verb=remove" in node.of("coolify option").command
    assert again.acted() == []


def test_a_removal_of_everything_begins_with_coolify() -> None:
    states = [DONE, answer(*persistent(mounts=()), *php()), answer(container(), *php())]
    node = Node([node_answer(), *states], {"users": users()}, each_read=True)
    fleet = control_host({"factory": node})

    fleet.deploy(remove)

    names = [name for meta in fleet.state.op_meta.values() for name in meta.names]
    assert [name.rpartition("| ")[2] for name in names][:3] == [
        "Stop keeping the patch after upgrades of Coolify",
        "Remove the patch from Coolify",
        "Restore daemon.json",
    ]


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A Coolify with a server run-1, whose token is in the environment."""
    monkeypatch.setenv(VARIABLE, TOKEN)
    with team_at_work() as found:
        yield found


def done(*owed: str) -> Node:
    """A control host on which all is done but for the apps."""
    lines = [f"redeploy {uuid}" for uuid in owed]
    return Node([answer(*persistent(mounts=()), *patched(), *lines)])


def run(team: Team, node: Node, **settings: Any) -> Fleet:
    """The deploy on it."""
    given = {f"gvisor_coolify_{key}": value for key, value in settings.items()}
    data = {"gvisor_coolify_url": team.server.url, "gvisor_coolify_servers": ["run-*"], **given}
    fleet = Fleet({"factory": node}, groups={"coolify": data})
    fleet.deploy(run_control_host)
    return fleet


def records(node: Node) -> list[str]:
    """What was written down on the control host, one text after the other."""
    return [
        base64.b64decode(variables(item.command)["content_b64"]).decode()
        for item in node.sent
        if item.kind == "record" and "record=coolify-redeploys" in item.command
    ]


def test_apps_of_chosen_servers_are_told_and_set_once_and_others_are_left(
    team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    shop = team.state.add_app("shop", team.run, "--cap-drop=ALL")
    there = team.state.add_app("there", team.run, "--runtime=runsc")
    other = team.state.add_app("other", team.state.add_server("other"), "--init")

    fleet = run(team, done())
    told, prepared = caplog.text, dict(team.server.patches)
    fleet.run()
    patches = dict(team.server.patches)
    run(team, done()).run()

    assert fleet.failed() == set()
    change = '"--cap-drop=ALL" -> "--cap-drop=ALL --runtime=runsc"'
    assert f"app shop (server run-1): custom_docker_run_options {change}" in told
    assert TOKEN not in caplog.text
    assert team.state.options(shop) == "--cap-drop=ALL --runtime=runsc"
    assert [team.state.options(uuid) for uuid in (there, other)] == ["--runtime=runsc", "--init"]
    assert (prepared, patches) == ({}, {shop: 1}) == ({}, dict(team.server.patches))


@table("options", set_now=None, left_by_an_earlier_run="--runtime=runsc")
def test_what_is_to_be_restarted_is_on_record_until_it_is(team: Team, options: str | None) -> None:
    team.state.course = ("finished",)
    shop = team.state.add_app("shop", team.run, options)
    node = done(*([shop] if options else []))

    run(team, node, redeploy="changed").run()

    assert (team.state.restarted, dict(team.server.patches)) == (
        [shop],
        {} if options else {shop: 1},
    )
    assert records(node) == [*([] if options else [f"{shop}\n"]), ""]


def test_a_record_that_cannot_be_written_sets_no_app_and_a_refused_app_keeps_none_from_it(
    team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    shop, blog = (team.state.add_app(name, team.run) for name in ("shop", "blog"))
    full = done()
    full.replies = {"record": Reply(stderr=["no space left"], ok=False)}

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        run(team, full, redeploy="changed").run()
    patched_before = dict(team.server.patches)
    team.server.arm(f"PATCH /applications/{shop}", "500")
    with pytest.raises(PyinfraError, match="No hosts remaining"):
        run(team, done()).run()

    assert "record" in MARKS
    assert patched_before == {}
    assert "cannot be written, got no space left" in caplog.text
    assert team.state.options(blog) == "--runtime=runsc"


def test_a_refused_token_fails_the_host_with_the_reason_and_it_may_be_in_a_file(
    team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    shop = team.state.add_app("shop", team.run)
    monkeypatch.setenv(VARIABLE, "17|another")

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        run(team, done()).run()
    monkeypatch.delenv(VARIABLE)
    run(team, done(), token_file=str(file)).run()

    assert "coolify.apps: http" in caplog.text
    assert "Coolify refuses the token" in caplog.text
    assert team.state.options(shop) == "--runtime=runsc"

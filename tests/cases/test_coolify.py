"""``coolify.runtime_option`` and ``coolify.persistence`` on the real engine, and who calls them."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.coolify.compose_file import merged
from pyinfra_gvisor.coolify.files import COMPOSE, ENTRY, MOUNTS
from pyinfra_gvisor.deploys.coolify import run_control_host
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.operations import coolify
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.kept import users
from tests.unit.answers import answer as node_answer
from tests.unit.coolify_answers import (
    HONOURED,
    OURS,
    answer,
    compose,
    container,
    patched,
    persistent,
    php,
)

BARE = answer(container(), *php())
PATCHED = answer(container(), *patched())
DONE = answer(*persistent(mounts=()), *patched())
NATIVE = answer(container(), *php("native", probe=HONOURED))
DAMAGED = answer(container(), *php("damaged", "reason two returns", probe=None))
THEIRS = "services:\n  coolify:\n    labels:\n      - mine=1\n"
BOTH_WAYS = [pytest.param(True, id="interactive"), pytest.param(False, id="with-yes")]


def control_host(nodes: dict[str, Node], *, prepare: bool = False, **data: Any) -> Fleet:
    """A fleet whose hosts are all in the group of control hosts."""
    return Fleet(nodes, prepare=prepare, groups={"coolify": data})


def variables(command: str) -> dict[str, str]:
    """What a script was told in front of it."""
    words = shlex.split(command)
    text = words[words.index("-c") + 1]
    return dict(re.findall(r"^(\w+)='?([^'\n]*)'?$", text, re.MULTILINE))


@pytest.mark.parametrize("prepare", BOTH_WAYS)
def test_a_control_host_is_taken_there_in_one_command_for_each_half(prepare: bool) -> None:
    nodes = {"factory": Node([BARE, PATCHED, DONE])}
    fleet = control_host(nodes, prepare=prepare)

    fleet.deploy(run_control_host)
    fleet.run()

    assert nodes["factory"].acted() == ["coolify option", "coolify install"]
    assert fleet.failed() == set()


@pytest.mark.parametrize("prepare", BOTH_WAYS)
@pytest.mark.parametrize(
    "state", [pytest.param(DONE, id="ours-is-there"), pytest.param(NATIVE, id="coolify-knows-it")]
)
def test_a_control_host_that_is_as_declared_is_read_once(state: list[str], prepare: bool) -> None:
    nodes = {"factory": Node([state])}
    fleet = control_host(nodes, prepare=prepare)

    fleet.deploy(run_control_host)
    fleet.run()

    assert nodes["factory"].kinds() == ["coolify state"]


def test_preparing_changes_nothing_and_says_what_would_be(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    nodes = {"factory": Node([BARE])}

    control_host(nodes, prepare=True).deploy(run_control_host)

    assert nodes["factory"].kinds() == ["coolify state"]
    assert "drops --runtime: patch convertDockerRunToCompose()" in caplog.text
    assert f"create {COMPOSE} for the next upgrade:" in caplog.text
    for mount in MOUNTS:
        assert f"- {mount}" in caplog.text


def test_a_function_that_is_not_as_we_know_it_fails_its_host_before_a_file_is_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = {"bad": Node([DAMAGED]), "good": Node([DONE])}
    fleet = control_host(nodes)

    fleet.deploy(run_control_host)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].kinds() == ["coolify state"]
    assert "coolify.runtime_option: coolify on @fake/bad: unknown version of" in caplog.text


def test_a_host_without_coolify_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    nodes = {"bad": Node([answer()])}
    fleet = control_host(nodes)

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.deploy(run_control_host)

    assert nodes["bad"].kinds() == ["coolify state"]
    assert "on @fake/bad: no Coolify on this host: no container is named coolify" in caplog.text


def test_a_host_that_is_no_control_host_is_passed_over() -> None:
    factory, run = Node([DONE]), Node([])
    fleet = Fleet({"factory": factory}, groups={"coolify": {}})
    passed = Fleet({"run": run}, groups={"run": {}})
    inventory: Any = passed.state.inventory
    inventory.groups["coolify"] = [fleet.host("factory")]

    passed.deploy(run_control_host)
    passed.run()

    assert run.kinds() == []
    assert passed.failed() == set()


def test_a_run_without_any_control_host_says_so(caplog: pytest.LogCaptureFixture) -> None:
    node = Node([])
    fleet = Fleet({"run": node}, groups={"run": {}})

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.deploy(run_control_host)

    assert node.kinds() == []
    assert "coolify: inventory on @fake/run: no host is in the group coolify; add" in caplog.text


def test_the_compose_file_is_sent_with_the_sum_of_what_was_read() -> None:
    node = Node([answer(container(), compose(THEIRS), *patched())])
    fleet = control_host({"factory": node})

    fleet.add(coolify.persistence)
    fleet.run()

    told = variables(node.of("coolify install").command)
    assert base64.b64decode(told["compose_b64"]).decode() == merged(THEIRS, MOUNTS)
    assert told["compose_sum"] == compose(THEIRS).split()[2]
    words = shlex.split(node.of("coolify install").command)
    assert [words[words.index(item.path) + 1] for item in OURS] == [item.mode for item in OURS]


def test_a_compose_file_that_cannot_be_merged_fails_the_host_with_the_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flow = "services: {coolify: {volumes: ['/a:/b']}}\n"
    nodes = {
        "bad": Node([answer(container(), compose(flow), *patched())]),
        "good": Node([DONE]),
    }
    fleet = control_host(nodes)

    fleet.add(coolify.persistence)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == []
    assert f"coolify.persistence: {COMPOSE} on @fake/bad: " in caplog.text
    for mount in MOUNTS:
        assert f"- {mount}" in caplog.text


def absent(fleet: Fleet) -> None:
    """Both halves, taken back."""
    fleet.add(coolify.persistence, present=False)
    fleet.add(coolify.runtime_option, present=False)


@pytest.mark.parametrize(
    "take_back",
    [
        pytest.param(absent, id="operations"),
        pytest.param(lambda fleet: fleet.deploy(run_control_host), id="the-setting"),
    ],
)
def test_what_is_not_wanted_is_taken_back_and_a_second_run_has_nothing_to_do(
    take_back: Callable[[Fleet], None],
) -> None:
    gone = answer(container(), *php())
    node = Node([DONE, PATCHED, gone])
    again = Node([gone])

    for item in (node, again):
        fleet = control_host({"factory": item}, gvisor_coolify=False)
        take_back(fleet)
        fleet.run()

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


def test_what_coolify_says_on_failure_is_shown_and_nothing_else_is_done() -> None:
    nodes = {
        "bad": Node([BARE], {"coolify option": Reply(stderr=["php -l: no"], ok=False)}),
        "good": Node([DONE]),
    }
    fleet = control_host(nodes)

    fleet.deploy(run_control_host)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == ["coolify option"]


def test_the_entry_script_is_among_what_is_written() -> None:
    assert ENTRY in {item.path for item in OURS}

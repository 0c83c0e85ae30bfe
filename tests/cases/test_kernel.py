"""``kernel.surface`` on the real engine."""

from __future__ import annotations

import base64
import shlex

import pytest

from pyinfra_gvisor.operations import kernel
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE
from pyinfra_gvisor.parts.kernel.settings import Kernel
from tests.cases.fleet import Fleet, Node, Reply
from tests.unit.answers import answer
from tests.unit.kernel.kernel_answers import ALL, in_force, told

WEAK = [*told(), *answer()]
STRONG = [*in_force(), *answer()]
KEY = "net.ipv4.conf.all.send_redirects"


def words(item: Node) -> list[str]:
    """The arguments of the one command that was sent."""
    parts = shlex.split(item.of("kernel").command)
    return parts[parts.index("-c") + 1 :]


def written(item: Node) -> dict[str, tuple[str, str]]:
    """Mode and text by path, as they were sent."""
    sent = words(item)[2:]
    return {
        path: (mode, base64.b64decode(text).decode())
        for path, mode, text in zip(sent[::3], sent[1::3], sent[2::3], strict=True)
    }


def test_files_and_settings_go_there_in_one_command() -> None:
    nodes = {"a": Node([WEAK, STRONG])}
    fleet = Fleet(nodes)

    meta = fleet.add(kernel.surface, ALL)
    fleet.run()

    assert nodes["a"].acted() == ["kernel"]
    files = written(nodes["a"])
    assert {path: mode for path, (mode, _) in files.items()} == {
        MODULES_FILE: "644",
        SYSCTL_FILE: "644",
    }
    assert "install cuse /bin/false\n" in files[MODULES_FILE][1]
    assert f"{KEY} 0\n" in words(nodes["a"])[0]
    assert meta["a"].did_change()


@pytest.mark.parametrize(
    ("wanted", "state"),
    [
        pytest.param(ALL, STRONG, id="wanted-and-there"),
        pytest.param(None, WEAK, id="not-wanted-and-not-there"),
    ],
)
def test_a_node_that_is_as_declared_is_left_so(wanted: Kernel | None, state: list[str]) -> None:
    nodes = {"a": Node([state])}
    fleet = Fleet(nodes)

    meta = fleet.add(kernel.surface, wanted)
    fleet.run()

    assert nodes["a"].kinds() == ["state"]
    assert not meta["a"].did_change()


def test_what_is_not_wanted_any_more_is_taken_back_and_then_gone() -> None:
    nodes = {"a": Node([STRONG, WEAK])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(kernel.surface, None)
    again = fleet.add(kernel.surface, None)
    fleet.run()

    assert nodes["a"].acted() == ["kernel"]
    assert f"gone='{MODULES_FILE}\n{SYSCTL_FILE}'" in words(nodes["a"])[0]
    assert "settings=''" in words(nodes["a"])[0]
    assert written(nodes["a"]) == {}
    assert not again["a"].did_change()


def test_a_diff_shows_both_files_as_they_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    few = Kernel(modules=("sctp",), sysctls={KEY: None})
    nodes = {"a": Node([[*in_force(few), *answer()]])}

    Fleet(nodes, DIFF=True).add(kernel.surface, Kernel(modules=()))

    assert f"--- {MODULES_FILE}" in caplog.text
    assert "-install sctp /bin/false" in caplog.text
    assert f"--- {SYSCTL_FILE}" in caplog.text
    assert f"+{KEY} = 0" in caplog.text
    assert "-kernel.dmesg_restrict" not in caplog.text


def test_a_node_that_refuses_a_value_fails_alone() -> None:
    nodes = {"bad": Node([WEAK], {"kernel": Reply(ok=False)}), "good": Node([WEAK, STRONG])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(kernel.surface, ALL)
    fleet.run()

    assert fleet.failed() == {"bad"}

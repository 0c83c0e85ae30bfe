"""What is told of each container of a node: for people, and in order of what matters."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from pyinfra_gvisor.apps.outlook import outlooks
from pyinfra_gvisor.apps.seen import END, apps_script, parse_apps
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node.next_start import Place
from pyinfra_gvisor.report.results import AppOutlooks
from pyinfra_gvisor.settings import Settings
from tests.table import table
from tests.unit.answers import node
from tests.unit.apps.looked import looked, looked_lines
from tests.unit.apps.test_rules import ABOUT

RUNSC = Settings.model_validate({"gvisor_runtimes": {"runsc": {}, "other": {}}})

NONE = Settings.model_validate({"gvisor_runtimes": {}})


def seen(*apps: dict[str, Any], places: Sequence[Place] = ()) -> AppOutlooks:
    """What is told of containers; ``places`` are those of the first ones."""
    ids = [item["Id"] for item in apps]
    ground = node().model_copy(update={"places": dict(zip(ids, places, strict=False))})
    return outlooks("run-1", ground, RUNSC, parse_apps(looked_lines(*apps)))


def place(where: str, why: str = "not infrastructure") -> Place:
    """Where a container would run."""
    told = {"name": "shop", "asked": "", "where": where, "why": why, "when": "start"}
    return Place.model_validate(told)


def test_the_worst_is_what_is_told_first_and_nothing_known_is_no_promise() -> None:
    fails, differs = ABOUT["device"][0], {**ABOUT["tmp"][0], "Name": "/wiki"}

    found = seen(looked("plain"), differs, {**fails, "Name": "/cam"})

    assert {app.name: app.outlook for app in found.apps} == {
        "cam": "fails",
        "plain": "nothing known",
        "wiki": "differs",
    }
    assert [line.partition(":")[0].partition(".")[0] for line in found.lines] == [
        "3 running containers",
        "cam FAILS in gVisor",
        "  device",
        "    A device of the node cannot be used",
        "differs, tmp",
        "    Files in /tmp are memory, and gone after a restart",
        "no known difference, which is no promise",
    ]


def test_what_the_node_decides_goes_before_rules() -> None:
    proxy, backup = ABOUT["node-socket"][0], looked("backup")

    found = seen(proxy, backup, places=[place("runc", "accepted"), place("refused", "mount of /b")])

    assert {app.name: app.outlook for app in found.apps} == {"shop": "outside", "backup": "fails"}
    (refused,) = found.apps[0].differences
    assert (refused.rule, refused.seen) == ("refused", "mount of /b")


def test_three_hundred_containers_take_few_lines() -> None:
    apps = [looked(f"app-{number}", seen={"tmp_bytes": 4096}) for number in range(300)]

    lines = [*seen(*apps).lines]

    assert len(lines) == 3
    assert "and 288 more" in lines[1]


def test_a_host_without_a_runtime_is_told_what_to_do() -> None:
    with pytest.raises(Problem, match="no runtime is declared"):
        outlooks("run-1", node(), NONE, parse_apps(looked_lines(looked())))


@table(
    "answer, says",
    cut=([f"app {json.dumps(looked())}"], "incomplete"),
    empty=([], "incomplete"),
    other=(["hello", END], "malformed"),
    half=(['app {"Id": "x"}', END], "Name"),
    no_json=(["app {", END], "Expecting"),
)
def test_an_answer_that_is_not_whole_is_refused(answer: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_apps(answer)


def test_the_look_asks_for_no_environment_and_no_arguments() -> None:
    script = apps_script()

    assert "Env" not in script.replace("ENV{", "")
    assert "/environ" not in script
    assert "cmdline" not in script

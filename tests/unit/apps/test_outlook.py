"""What is told of each container of a node: for people, and in order of what matters."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from pyinfra_gvisor.apps.outlook import outlooks
from pyinfra_gvisor.apps.seen import END, apps_script, parse_apps
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node.next_start import Place
from pyinfra_gvisor.report.outlooks import AppOutlooks
from pyinfra_gvisor.settings import Settings
from tests.table import table
from tests.unit.answers import RUNSC as RUNSC_ENTRY
from tests.unit.answers import Running, info, node
from tests.unit.apps.looked import looked, looked_lines, volume
from tests.unit.apps.test_rules import ABOUT, KMSG

SANDBOX: dict[str, Any] = {
    "runtime": "runsc",
    "executable": "/opt/gvisor/releases/20260928.0/gvisor-bin/gvisor_sentry",
    "argv0": "runsc-sandbox",
}
RUNTIMES = {"gvisor_runtimes": {"runsc": {}, "other": {}}}
RUNSC = Settings.model_validate({**RUNTIMES, "gvisor_default": "sandbox"})

SWITCHED = {"gvisor_default": "sandbox"}
NONE = Settings.model_validate({"gvisor_runtimes": {}})


def seen(
    *apps: dict[str, Any],
    places: Sequence[Place] = (),
    inside: Sequence[str] = (),
    settings: Settings = RUNSC,
    switched: bool = False,
    declared: bool = True,
) -> AppOutlooks:
    """What is told of containers; ``places`` are those of the first ones."""
    known = [*places, *[place("sandbox")] * (len(apps) - len(places))]
    ids = dict(zip([item["Id"] for item in apps], known, strict=True))
    runtime = "gvisordefault" if switched else "runc"
    names = [item["Name"].removeprefix("/") for item in apps]
    containers = [
        Running(name, 4711 + at, **(SANDBOX if name in inside else {}))
        for at, name in enumerate(names)
    ]
    ground = node(
        docker=info(default_runtime=runtime, runtimes={"runsc": RUNSC_ENTRY}),
        containers=containers,
        releases=["20260928.0"],
        wrappers={RUNSC_ENTRY["path"]: "0a1b2c3d" + "0" * 56},
    )
    found = parse_apps(looked_lines(*apps))
    return outlooks(
        "run-1", ground.model_copy(update={"places": ids}), settings, found, declared=declared
    )


def place(where: str, *reasons: str) -> Place:
    """Where a container would run."""
    why = "; ".join(reasons) or "not infrastructure"
    told = {"name": "shop", "asked": "", "where": where, "why": why, "when": "start"}
    return Place.model_validate({**told, "reasons": reasons if where == "refused" else ()})


def test_the_worst_is_what_is_told_first_and_nothing_known_is_no_promise() -> None:
    fails, differs = ABOUT["device"][0], {**ABOUT["tmp"][0], "Name": "/wiki"}

    found = seen(looked("plain"), differs, {**fails, "Name": "/cam"})

    assert {app.name: app.outlook for app in found.apps} == {
        "cam": "fails",
        "plain": "nothing known",
        "wiki": "differs",
    }
    assert [line.partition(".")[0] for line in found.lines] == [
        "3 containers run, 0 in gVisor now",
        "WOULD FAIL device: A device of the node cannot be used",
        "    cam (/dev/kmsg)",
        "would differ tmp: Files in /tmp are memory, and gone after a restart",
        "    wiki (0",
        "no known difference, which is no promise: plain",
    ]


def test_accepted_containers_stay_and_are_not_judged() -> None:
    found = seen(ABOUT["node-socket"][0], places=[place("runc", "our own proxy")])

    (app,) = found.apps
    assert (app.outlook, app.differences) == ("outside", ())
    assert "stay under runc, accepted: shop" in [*found.lines]


def test_what_docker_would_refuse_is_told_once_and_with_all_reasons() -> None:
    reasons = ("mount of /b on /b (directory of the node)", "device /dev/kmsg")
    apps = [looked("backup", Devices=[KMSG]), looked("other", Devices=[KMSG])]

    found = seen(*apps, places=[place("refused", *reasons)] * 2)

    assert [[item.rule for item in app.differences] for app in found.apps] == [["refused"] * 2] * 2
    assert [*found.lines][2:] == [f"    backup, other: {'; '.join(reasons)}"]


def test_missing_binds_can_be_copied_into_settings_but_not_what_opens_the_node() -> None:
    mounts = [volume("/srv/é", "/a"), volume("/var/run/docker.sock", "/s"), volume("/etc", "/etc")]
    told = [f"mount of {item['Source']} on {item['Destination']} (x)" for item in mounts]
    settings = Settings.model_validate({**RUNTIMES, **SWITCHED, "gvisor_seal": {"binds": ["/z"]}})

    found = seen(looked(mounts=mounts), places=[place("refused", *told)], settings=settings)

    assert AppOutlooks.to_copy([found]) == 'gvisor_seal = {"binds": ["/srv/é", "/z"]}'
    assert AppOutlooks.to_copy([seen(looked(mounts=mounts), settings=settings)]) == ""


def test_a_node_that_cannot_say_what_it_would_refuse_is_told() -> None:
    ground = node().model_copy(update={"places_error": "no decision within 20 s"})

    found = outlooks("run-1", ground, RUNSC, parse_apps(looked_lines(looked())))

    assert "UNKNOWN what Docker would refuse: no decision within 20 s" in [*found.lines]


def test_of_apps_in_gvisor_it_is_told_what_holds_now() -> None:
    apps = [looked(name, CapAdd=["NET_ADMIN"]) for name in ("one", "two")]

    now, both = seen(*apps, inside=["one", "two"]), seen(*apps, inside=["one"])

    assert [line.split(":")[0] for line in now.lines][1] == "differs network-changes"
    assert [line.split(":")[0] for line in both.lines][1] == "would differ network-changes"
    assert [*both.lines][2] == (
        "    one (capability NET_ADMIN; in gVisor already), two (capability NET_ADMIN)"
    )


def test_an_app_of_coolify_has_the_name_that_people_know() -> None:
    name = "k4og8s0wsgcwk8oco0wk0gks-102030405060"

    found = seen(looked(name, labels={"coolify.resourceName": "shop"}))

    assert [*found.lines][-1].endswith(": k4og8s0wsgcw… of shop")
    assert (found.apps[0].name, found.apps[0].app) == (name, "shop")


@table(
    "given, then",
    fails=({"places": [place("refused", "privileged")]}, "change the apps that fail; "),
    not_declared=({"declared": False}, "set gvisor_default = "),
    not_switched=({}, "pyinfra-gvisor plan"),
    not_recreated=(
        {"switched": True},
        "pyinfra-gvisor move HOST, for what still runs under runc: shop",
    ),
    all_inside=({"switched": True, "inside": ["shop"]}, "pyinfra-gvisor audit"),
)
def test_the_last_line_is_the_next_step(given: dict[str, Any], then: str) -> None:
    summary, last = AppOutlooks.closing([seen(looked(), **given)])

    assert summary.startswith("Summary: 1 container runs on 1 host. In gVisor: ")
    assert last.startswith(f"next: {then}")


def test_a_host_without_containers_is_told_so() -> None:
    assert [*seen().lines] == ["no container runs on this node"]


def test_fourteen_containers_with_faults_take_no_more_than_forty_lines() -> None:
    apps = [{**ABOUT[rule][0], "Name": f"/{rule}"} for rule in [*ABOUT][:14]]

    lines = [*seen(*apps).lines]

    assert len(lines) <= 40


def test_three_hundred_containers_take_few_lines() -> None:
    apps = [looked(f"app-{number}", seen={"tmp_bytes": 4096}) for number in range(300)]
    others = [place("refused", f"mount of /{number} on /x") for number in range(300)]

    lines, refused = [*seen(*apps).lines], [*seen(*apps, places=others).lines]

    assert len(lines) == 3
    assert "and 288 more" in lines[2]
    assert "    and 288 more: pyinfra-gvisor apps --json" in refused


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

"""What a plan writes, leaves to others and refuses to touch, and how it is told."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Restart, plan_daemon_json
from pyinfra_gvisor.daemon_json.reload import unloadable
from pyinfra_gvisor.daemon_json.render_plan import interrupted_line, plan_lines, unheard_line
from pyinfra_gvisor.daemon_json.transaction import transaction
from pyinfra_gvisor.planning.preflight import notes
from pyinfra_gvisor.proof.skipped_checks import why_not_reload
from tests.table import table
from tests.unit.answers import RUNSC, Running, after, info, node
from tests.unit.shells import run

LOGGING: dict[str, Json] = {"log-driver": "json-file", "log-opts": {"max-size": "10m"}}


@table(
    "given, message",
    {
        "not-utf-8": ({"daemon_json": b"\xff{}"}, "is not UTF-8 text; "),
        "empty": (
            {"daemon_json": " \n", "docker": info(ServerVersion="20.10.24+dfsg1")},
            "the file is empty, and Docker before 23.0 does not start with an empty file; write {}",
        ),
        "not-json": (
            {"daemon_json": '{\n  "a": 1\n  "b": 2\n}'},
            r"line 3 column 3: not JSON \(.*\), got \"b\": 2; ",
        ),
        "cut-off": ({"daemon_json": '{"a": {'}, "line 1 column 8: not JSON"),
        "cut-off-line": ({"daemon_json": '{"a": {\n'}, "line 2 column 1: not JSON"),
        "twice": ({"daemon_json": '{"a": 1, "a": 2}'}, "line 1 column 10: /a exists twice"),
    },
)
def test_a_file_that_cannot_be_understood_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(Problem, match=f"^{message}"):
        plan_daemon_json(node(**given), {"live-restore": True})


@table(
    "state, message",
    {
        "unreadable": ("unreadable", "^cannot be read; connect as root or with sudo$"),
        "directory": ("directory", "^is a directory; "),
        "dangling": ("dangling", "^is a symbolic link without a target; "),
    },
)
def test_a_file_that_is_not_known_is_refused_even_where_nothing_is_wanted(
    state: str, message: str
) -> None:
    found = node()
    found = found.model_copy(
        update={"daemon_json": found.daemon_json.model_copy(update={"state": state})}
    )

    with pytest.raises(Problem, match=message):
        plan_daemon_json(found, {})


@table("text", {"nothing": "", "white-space": " \t\r\n"})
def test_an_empty_file_is_taken_as_dockerd_takes_it_and_given_back_to_the_byte(text: str) -> None:
    installed = after(plan_daemon_json(node(daemon_json=text), {"debug": True}))

    plan = plan_daemon_json(node(**installed), {})

    assert json.loads(installed["daemon_json"]) == {"debug": True}
    assert plan.after == text
    assert json.loads(plan.neutral or "null") == {"debug": False}


@table(
    "key, wrote, neutral",
    {
        "live-restore": ("live-restore", True, False),
        "debug": ("debug", True, False),
        "labels": ("labels", ["a=b"], []),
        "registry-mirrors": ("registry-mirrors", ["https://x"], []),
        "insecure-registries": ("insecure-registries", ["x:5000"], []),
        "runtimes": ("runtimes", {"runsc": RUNSC}, {}),
    },
)
def test_a_key_that_would_stay_live_is_made_neutral_before_it_goes(
    key: str, wrote: Json, neutral: Json
) -> None:
    installed = after(plan_daemon_json(node(daemon_json='{"dns": []}'), {key: wrote}))

    plan = plan_daemon_json(node(**installed), {})

    assert plan.after == '{"dns": []}'
    assert json.loads(plan.neutral or "null") == {"dns": [], key: neutral}


@table(
    "wrote, version, neutral",
    {
        "before-29.10": (["x:5000"], "29.9.2", []),
        "29.10": (["x:5000"], "29.10.0", ["127.0.0.0/8", "::1/128"]),
        "default-switched-off": ([], "29.10.0", ["127.0.0.0/8", "::1/128"]),
    },
)
def test_docker_trusts_loopback_again_when_insecure_registries_go(
    wrote: Json, version: str, neutral: Json
) -> None:
    wanted: dict[str, Json] = {"insecure-registries": wrote}
    installed = after(plan_daemon_json(node(daemon_json='{"dns": []}'), wanted))

    plan = plan_daemon_json(node(**{**installed, "docker": info(ServerVersion=version)}), {})

    assert plan.after == '{"dns": []}'
    assert plan.action is Force.RELOAD
    assert json.loads(plan.neutral or "null") == {"dns": [], "insecure-registries": neutral}


@table(
    "before, wanted",
    {
        "neutral-already": ({"live-restore": False}, {}),
        "read-at-start-only": ({"userland-proxy": False}, {}),
        "changed-and-not-removed": ({"labels": ["a=b"]}, {"labels": ["c=d"]}),
        "kept": ({"debug": True}, {"debug": True}),
    },
)
def test_no_neutral_value_is_written_where_none_is_needed(
    before: dict[str, Json], wanted: dict[str, Json]
) -> None:
    installed = after(plan_daemon_json(node(), before))

    plan = plan_daemon_json(node(**installed), wanted)

    assert plan.neutral is None


def test_one_runtime_of_two_goes_without_a_neutral_value() -> None:
    both = after(plan_daemon_json(node(), {"runtimes": {"runsc": RUNSC, "net": {"path": "/n"}}}))

    plan = plan_daemon_json(node(**both), {"runtimes": {"runsc": RUNSC}})

    assert plan.neutral is None
    assert plan.action is Force.RELOAD
    assert json.loads(plan.after or "") == {"runtimes": {"runsc": RUNSC}}


@table(
    "text, expected",
    {
        "none": (None, {"log-driver": "json-file", "log-opts": {"max-size": "10m"}}),
        "same-driver": (
            '{"log-driver": "json-file"}',
            {"log-driver": "json-file", "log-opts": {"max-size": "10m"}},
        ),
        "other-driver": ('{"log-driver": "local"}', {"log-driver": "local"}),
        "options-of-their-own": (
            '{"log-opts": {"tag": "t"}}',
            {"log-opts": {"tag": "t"}, "log-driver": "json-file"},
        ),
    },
)
def test_a_default_is_set_only_where_the_node_has_no_value_of_its_own(
    text: str | None, expected: dict[str, Json]
) -> None:
    plan = plan_daemon_json(node(daemon_json=text), {}, if_absent=LOGGING)

    assert json.loads(plan.after or "{}") == expected


def test_a_default_that_we_set_stays_ours_in_later_runs() -> None:
    first = plan_daemon_json(node(), {}, if_absent=LOGGING)

    second = plan_daemon_json(node(**after(first)), {}, if_absent=LOGGING)

    assert not second.changes
    assert second.owned == first.owned


def test_a_default_that_we_set_follows_its_new_value() -> None:
    first = plan_daemon_json(node(), {}, if_absent={"metrics-addr": "127.0.0.1:9323"})

    second = plan_daemon_json(
        node(**after(first)), {}, if_absent={"metrics-addr": "127.0.0.1:9999"}
    )

    assert json.loads(second.after or "") == {"metrics-addr": "127.0.0.1:9999"}
    assert second.drifted == ()


def test_a_default_that_nobody_wants_any_more_goes() -> None:
    first = plan_daemon_json(node(), {}, if_absent=LOGGING)

    second = plan_daemon_json(node(**after(first)), {})

    assert second.after is None


def test_a_default_never_takes_the_place_of_what_is_wanted() -> None:
    wanted: dict[str, Json] = {"live-restore": True, "runtimes": {"runsc": RUNSC}}
    defaults: dict[str, Json] = {"live-restore": False, "runtimes": {"kata": {"path": "/k"}}}

    plan = plan_daemon_json(node(), wanted, if_absent=defaults)

    value = json.loads(plan.after or "")
    assert value["live-restore"] is True
    assert value["runtimes"]["runsc"] == RUNSC


LIVE: dict[str, Json] = {"live-restore": True}
RESTART: dict[str, Json] = {"live-restore": True, "userland-proxy": False}
OLD_FORM = {"runsc": {"path": "/usr/local/bin/runsc"}}
SANDBOX = {"runtime": "runsc", "argv0": "runsc-sandbox"}


def told(wanted: dict[str, Json], restart: Restart = "auto", **given: Any) -> list[str]:
    """What is said about bringing ``wanted`` to a node."""
    found = node(**given)
    return plan_lines(plan_daemon_json(found, wanted, restart=restart), found, wait_s=300)


@table(
    "wanted, given, first",
    {
        "new": (LIVE, {}, "new, reload"),
        "changed": (LIVE, {"daemon_json": '{"mtu": 1}'}, "changed, reload"),
        "restart": (RESTART, {}, "new, restart"),
        "removed": ({}, after(plan_daemon_json(node(), LIVE)), "removed, reload"),
        "owed": (LIVE, {"daemon_json": '{"live-restore": true}'}, "unchanged, reload"),
    },
)
def test_the_first_line_says_what_happens_to_the_file_and_with_which_force(
    wanted: dict[str, Json], given: dict[str, Any], first: str
) -> None:
    assert told(wanted, **given)[0] == f"/etc/docker/daemon.json: {first}"


def test_a_reload_says_that_it_touches_nobody() -> None:
    lines = told(LIVE, containers=[Running("app")])

    assert lines[1:] == [
        "  reload (SIGHUP) applies: /live-restore",
        "  a reload affects no running container and no connection",
    ]


DEFAULT: dict[str, Json] = {"default-runtime": "runsc", "runtimes": {"runsc": RUNSC}}
BY_NAME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}
CRUN = '{"default-runtime": "crun", "runtimes": {"crun": {"path": "/usr/bin/crun"}}}'


@table(
    "wanted, given, line",
    {
        "on": (DEFAULT, {}, "runsc, no longer runc"),
        "another-was-on": (DEFAULT, {"daemon_json": CRUN}, "runsc, no longer crun"),
        "off": (BY_NAME, after(plan_daemon_json(node(), DEFAULT)), "runc, no longer runsc"),
        "somebody-elses": (BY_NAME, {"daemon_json": CRUN}, None),
        "none": (LIVE, after(plan_daemon_json(node(), LIVE)), None),
    },
)
def test_another_default_runtime_is_told_with_what_new_containers_get(
    wanted: dict[str, Json], given: dict[str, Any], line: str | None
) -> None:
    said = "  new containers that ask for no runtime get "

    lines = [item for item in told(wanted, **given) if item.startswith(said)]

    assert lines == ([] if line is None else [f"{said}{line}"])


LATE = (
    "  --rm containers that start during the wait are waited for too. One that starts in the last "
    "second ends: start no deployment meanwhile"
)


def test_a_restart_says_why_and_which_containers_it_touches_and_how() -> None:
    containers = [Running("app", pid=2), Running("job", pid=3, auto_remove=True)]

    lines = told(RESTART, containers=containers)

    assert lines[1:] == [
        "  restart, because dockerd reads these keys only at its start: /userland-proxy",
        "  reload (SIGHUP) applies: /live-restore",
        "  the Docker API does not answer for some seconds, live-restore keeps containers running",
        "  running docker exec, attach, logs -f and builds will end",
        "  containers that keep running: app",
        "  --rm containers, which the restart waits for up to 300 s: job",
        LATE,
    ]


def test_without_containers_a_restart_names_none() -> None:
    assert told(RESTART)[5:] == [LATE]


def test_a_restart_that_stays_owed_says_so_and_touches_nobody() -> None:
    lines = told({"userland-proxy": False}, "reload", containers=[Running("app")])

    assert lines == [
        "/etc/docker/daemon.json: new, nothing",
        "  take effect when dockerd is restarted: /userland-proxy",
    ]


def test_of_a_restart_that_stays_owed_the_rest_is_reloaded() -> None:
    lines = told(RESTART, "reload")

    assert lines == [
        "/etc/docker/daemon.json: new, reload",
        "  take effect when dockerd is restarted: /userland-proxy",
        "  reload (SIGHUP) applies: /live-restore",
        "  a reload affects no running container and no connection",
    ]


@table(
    "run, end",
    {
        "finished": ({"result": "applied", "reason": ""}, "applied"),
        "undone": (
            {"result": "reverted", "reason": "the change of generation 3 was interrupted"},
            "reverted, because the change of generation 3 was interrupted",
        ),
        "without-a-reason": ({"result": "left"}, "left"),
        "without-a-result": ({}, "ended"),
        "no-record": (None, "ended"),
        "damaged-record": ("x", "ended"),
    },
)
def test_how_an_interrupted_change_ended_is_told_from_the_nodes_own_record(
    run: object, end: str
) -> None:
    found = node(state={} if run is None else {"last-run": run})

    assert interrupted_line(found) == f"/etc/docker/daemon.json: the earlier change is {end}"


@table(
    "unheard, proof, told_of",
    {
        "unheard": (True, None, True),
        "proof-before": (True, {"at": "2026-11-29T15:40:42+00:00"}, True),
        "a-later-run-proved": (True, {"at": "2026-11-29T15:40:44+00:00"}, False),
        "heard": (False, None, False),
    },
)
def test_a_change_that_ended_without_its_run_is_told_until_a_later_run_has_looked(
    unheard: bool, proof: object, told_of: bool
) -> None:
    run = {"result": "reverted", "reason": "dockerd died", "at": "2026-11-29T15:40:43Z"}
    found = node(state={"last-run": run, **({"proof": proof} if proof else {})})

    line = unheard_line(found.model_copy(update={"unheard": unheard}))

    assert bool(line) is told_of
    assert told_of is line.endswith("at 2026-11-29T15:40:43 UTC: reverted, because dockerd died")


def test_what_somebody_changed_is_told() -> None:
    given = after(plan_daemon_json(node(), {"live-restore": True, "debug": True}))
    given["daemon_json"] = '{"live-restore": false, "debug": false}'

    lines = told(LIVE, **given)

    assert "  changed by somebody else, set as declared again: /live-restore" in lines
    assert "  changed by somebody else, left as they are: /debug" in lines


@table(
    "container, told_of",
    {
        "old-set-up": (Running("old", executable="/usr/local/bin/runsc", **SANDBOX), True),
        "ours": (
            Running("new", executable="/opt/gvisor/releases/20260928.0/runsc", **SANDBOX),
            False,
        ),
        "no-sandbox": (Running("plain"), False),
    },
)
def test_sandboxes_of_an_older_set_up_are_named(container: Running, told_of: bool) -> None:
    lines = told(
        {"runtimes": {"runsc": RUNSC}}, containers=[container], docker=info(runtimes=OLD_FORM)
    )

    said = f"sandboxes that this package did not set up keep running: {container.name}"
    assert any(said in line for line in lines) is told_of


@table(
    "version, is_told",
    {
        "before": ("27.5.1", False),
        "first": ("28.0.0", True),
        "last": ("29.2.9", True),
        "corrected": ("29.3.0", False),
    },
)
def test_a_reload_says_what_a_docker_forgets_by_it(version: str, is_told: bool) -> None:
    docker = info(ServerVersion=version)
    restarted = [line.strip() for line in told(LIVE, docker=docker)]

    reloaded = told(LIVE, "never", docker=docker)

    assert any("such as Coolify's proxy, start again only" in line for line in reloaded) is is_told
    why = "restart, because Docker 28.0 to 29.2 forgets host-gateway at a reload: /live-restore"
    assert (why in restarted) is is_told


ON = '{\n  "userland-proxy": true\n}\n'
PATH = {"userland-proxy-path": "/usr/bin/docker-proxy"}
NO_PATH = 'dockerd refuses every reload: "userland-proxy" is true without "userland-proxy-path"'


def of(version: str, text: str | None = ON, **given: Any) -> Any:
    """A node with this dockerd and this daemon.json."""
    return node(daemon_json=text, docker=info(ServerVersion=version), **given)


@table(
    "version, text, refused",
    {
        "no-path": ("26.1.5", ON, True),
        "no-path-in-29": ("29.7.1", ON, True),
        "before-25": ("24.0.9", ON, False),
        "a-path": ("26.1.5", '{"userland-proxy": true, "userland-proxy-path": "/x"}', False),
        "off": ("26.1.5", '{"userland-proxy": false}', False),
        "left-out": ("26.1.5", "{}", False),
        "not-json": ("26.1.5", "{", False),
        "no-file": ("26.1.5", None, False),
    },
)
def test_a_file_that_dockerd_refuses_to_reload_is_named_with_the_way_out(
    version: str, text: str | None, refused: bool
) -> None:
    found = of(version, text)

    told = [line for line in notes(found) if NO_PATH in line]

    assert (unloadable(found) is not None) is refused
    assert len(told) == refused
    assert all('; remove "userland-proxy" from the file' in line for line in told)
    assert (NO_PATH in (why_not_reload(found) or "")) is refused


@table(
    "version, wanted, refused",
    {
        "no-path": ("26.1.5", {}, True),
        "a-path": ("26.1.5", PATH, False),
        "before-25": ("20.10.24", {}, False),
    },
)
def test_a_declaration_that_makes_such_a_file_is_refused(
    version: str, wanted: dict[str, Any], refused: bool
) -> None:
    keys = {"userland-proxy": True, **wanted}
    found = of(version, "{}")

    try:
        plan_daemon_json(found, keys)
        said = ""
    except Problem as problem:
        said = str(problem)

    assert (NO_PATH in said) is refused
    assert ('declare "userland-proxy": None' in said) is refused


def staged(script: str) -> dict[str, str | None]:
    """The texts of daemon.json in a transaction's script, by name."""
    names = ("after", "neutral", "old_neutral", "on", "off", "old_on", "old_off")
    lines = [f'printf "%s\\n" "${name}_b64"' for name in (*names, "load_after", "load_old")]
    head = "\n".join(line for line in script.splitlines() if "_b64=" in line)
    said = run("\n".join([head, *lines])).stdout.split()
    texts = [None if item == "-" else base64.b64decode(item).decode() for item in said]
    return dict(zip((*names, "load_after", "load_old"), texts, strict=True))


@table(
    "wanted, action",
    {
        "reload": ({"runtimes": {"runsc": RUNSC}}, Force.RELOAD),
        "restart": ({"no-new-privileges": True}, Force.RESTART),
    },
)
def test_dockerd_loads_a_file_without_the_key_of_somebody_else_which_stays(
    wanted: dict[str, Any], action: Force
) -> None:
    found = of("26.1.5")
    plan = plan_daemon_json(found, wanted)

    texts = staged(transaction(plan, found, host="run-1", timeout_s=60, wait_s=300))

    assert plan.action is action
    assert '"userland-proxy": true' in (plan.after or "")
    assert texts.pop("after") == plan.after
    assert texts["load_old"]
    assert texts["load_after"]
    assert not any("userland-proxy" in (text or "") for text in texts.values())


def test_a_file_that_dockerd_accepts_is_loaded_as_it_is() -> None:
    found = of("20.10.24")

    script = transaction(
        plan_daemon_json(found, {"debug": True}), found, host="run-1", timeout_s=60, wait_s=300
    )

    texts = staged(script)
    assert (texts["load_after"], texts["load_old"]) == (None, None)

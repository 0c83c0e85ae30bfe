"""What a plan writes, leaves to others and refuses to touch, and how it is told."""

import base64
import json
import re
from contextlib import nullcontext
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Plan, Restart, plan_daemon_json
from pyinfra_gvisor.daemon_json.render_plan import interrupted_line, plan_lines, unheard_line
from pyinfra_gvisor.daemon_json.transaction import transaction
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.planning.preflight import notes
from pyinfra_gvisor.proof.skipped_checks import why_not_reload
from tests.arguments import Data
from tests.table import table
from tests.unit.answers import RUNSC, Running, after, info, node

LOCAL: dict[str, Json] = {"log-driver": "local"}
LOGGING: dict[str, Json] = {"log-driver": "json-file", "log-opts": {"max-size": "10m"}}


def test_an_empty_file_that_an_old_dockerd_does_not_start_with_is_refused() -> None:
    found = node(daemon_json=" \n", docker=info(ServerVersion="20.10.24+dfsg1"))

    with pytest.raises(Problem, match=r"^the file is empty, and Docker before 23\.0 .*; write {}"):
        plan_daemon_json(found, {"live-restore": True})


@table(
    "state, message",
    unreadable=("unreadable", "^cannot be read; connect as root or with sudo$"),
    directory=("directory", "^is a directory; "),
    dangling=("dangling", "^is a symbolic link without a target; "),
)
def test_a_file_that_is_not_known_is_refused_even_where_nothing_is_wanted(
    state: str, message: str
) -> None:
    file = node().daemon_json.model_copy(update={"state": state})

    with pytest.raises(Problem, match=message):
        plan_daemon_json(node().model_copy(update={"daemon_json": file}), {})


@table("text", nothing="", white_space=" \t\r\n")
def test_an_empty_file_is_taken_as_dockerd_takes_it_and_given_back_to_the_byte(text: str) -> None:
    installed = after(plan_daemon_json(node(daemon_json=text), {"debug": True}))

    plan = plan_daemon_json(node(**installed), {})

    assert json.loads(installed["daemon_json"]) == {"debug": True}
    assert plan.after == text
    assert json.loads(plan.neutral or "null") == {"debug": False}


LOOPBACK = ["127.0.0.0/8", "::1/128"]


@table(
    "key, wrote, version, neutral",
    {
        "live-restore": ("live-restore", True, "29.8.2", False),
        "labels": ("labels", ["a=b"], "29.8.2", []),
        "runtimes": ("runtimes", {"runsc": RUNSC}, "29.8.2", {}),
        "registries": ("insecure-registries", ["x:5000"], "29.9.2", []),
        "registries-from-29.10": ("insecure-registries", ["x:5000"], "29.10.0", LOOPBACK),
        "default-registries-off": ("insecure-registries", [], "29.10.0", LOOPBACK),
    },
)
def test_a_key_that_would_stay_live_is_made_neutral_before_it_goes(
    key: str, wrote: Json, version: str, neutral: Json
) -> None:
    installed = after(plan_daemon_json(node(daemon_json='{"dns": []}'), {key: wrote}))
    installed["docker"]["ServerVersion"] = version

    plan = plan_daemon_json(node(**installed), {})

    assert (plan.after, plan.action) == ('{"dns": []}', Force.RELOAD)
    assert json.loads(plan.neutral or "null") == {"dns": [], key: neutral}


@table(
    "before, wanted",
    neutral_already=({"live-restore": False}, {}),
    read_at_start_only=({"userland-proxy": False}, {}),
    changed_and_not_removed=({"labels": ["a=b"]}, {"labels": ["c=d"]}),
    one_runtime_of_two=(
        {"runtimes": {"runsc": RUNSC, "net": {"path": "/n"}}},
        {"runtimes": {"runsc": RUNSC}},
    ),
)
def test_no_neutral_value_is_written_where_none_is_needed(before: Data, wanted: Data) -> None:
    assert plan_daemon_json(node(**after(plan_daemon_json(node(), before))), wanted).neutral is None


@table(
    "text, expected",
    none=(None, LOGGING),
    same_driver=('{"log-driver": "json-file"}', LOGGING),
    other_driver=('{"log-driver": "local"}', {"log-driver": "local"}),
    options_of_their_own=(
        '{"log-opts": {"tag": "t"}}',
        {"log-opts": {"tag": "t"}, "log-driver": "json-file"},
    ),
)
def test_a_default_is_set_only_where_the_node_has_no_value_of_its_own(
    text: str | None, expected: dict[str, Json]
) -> None:
    plan = plan_daemon_json(node(daemon_json=text), {}, if_absent=LOGGING)

    assert json.loads(plan.after or "{}") == expected


@table(
    "wanted, if_absent, expected",
    same=({}, LOGGING, LOGGING),
    another_value=({}, {"log-driver": "local"}, {"log-driver": "local"}),
    none=({}, {}, None),
    another_that_is_wanted=(LOCAL, LOGGING, LOCAL | {"log-opts": {"max-size": "10m"}}),
)
def test_a_default_of_ours_follows_what_is_declared(
    wanted: dict[str, Json], if_absent: dict[str, Json], expected: dict[str, Json] | None
) -> None:
    first = plan_daemon_json(node(), {}, if_absent=LOGGING)

    second = plan_daemon_json(node(**after(first)), wanted, if_absent=if_absent)

    assert json.loads(second.after or "null") == expected
    assert second.drifted == ()
    assert second.changes is (if_absent != LOGGING or bool(wanted))


LIVE: dict[str, Json] = {"live-restore": True}
RESTART: dict[str, Json] = {"live-restore": True, "userland-proxy": False}
AT_START = ("/log-opts/max-size", "/userland-proxy")
KEPT: dict[str, Json] = {"log-opts": {"max-size": "10m"}}
OURS = "/opt/gvisor/releases/20260928.0"
PLAIN = Running("plain", pid=2)
OLD_FORM = {"runsc": {"path": "/usr/local/bin/runsc"}}


def told(wanted: dict[str, Json], restart: Restart = "auto", **given: Any) -> list[str]:
    """What is said about bringing ``wanted`` to a node."""
    found = node(**given)
    return plan_lines(plan_daemon_json(found, wanted, restart=restart), found, wait_s=300)


@table(
    "wanted, given, first",
    new=(LIVE, {}, "new, reload"),
    changed=(LIVE, {"daemon_json": '{"mtu": 1}'}, "changed, reload"),
    restart=(RESTART, {}, "new, restart"),
    removed=({}, after(plan_daemon_json(node(), LIVE)), "removed, reload"),
    owed=(LIVE, {"daemon_json": '{"live-restore": true}'}, "unchanged, reload"),
)
def test_the_first_line_says_what_happens_to_the_file_and_with_which_force(
    wanted: dict[str, Json], given: dict[str, Any], first: str
) -> None:
    assert told(wanted, **given)[0] == f"/etc/docker/daemon.json: {first}"


DEFAULT: dict[str, Json] = {"default-runtime": "runsc", "runtimes": {"runsc": RUNSC}}
BY_NAME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}
CRUN = '{"default-runtime": "crun", "runtimes": {"crun": {"path": "/usr/bin/crun"}}}'


@table(
    "wanted, given, line",
    on=(DEFAULT, {}, "runsc, no longer runc"),
    another_was_on=(DEFAULT, {"daemon_json": CRUN}, "runsc, no longer crun"),
    off=(BY_NAME, after(plan_daemon_json(node(), DEFAULT)), "runc, no longer runsc"),
    somebody_elses=(BY_NAME, {"daemon_json": CRUN}, None),
    none=(LIVE, after(plan_daemon_json(node(), LIVE)), None),
)
def test_another_default_runtime_is_told_with_what_new_containers_get(
    wanted: dict[str, Json], given: dict[str, Any], line: str | None
) -> None:
    said = "  new containers that ask for no runtime get "

    lines = [item for item in told(wanted, **given) if item.startswith(said)]

    assert lines == ([] if line is None else [f"{said}{line}"])


LATE = "  start no deployment now: a new --rm container may end"


def test_a_restart_says_why_and_which_containers_it_touches_and_how() -> None:
    containers = [Running("app", pid=2), Running("job", pid=3, auto_remove=True)]

    lines = told({**RESTART, **KEPT}, containers=containers)

    assert lines[1:] == [
        f"  restart, because dockerd reads these keys only at its start: {', '.join(AT_START)}",
        "  reload (SIGHUP) applies: /live-restore",
        "  existing containers keep the old value until they are recreated: /log-opts/max-size",
        "  the Docker API does not answer for some seconds, live-restore keeps containers running",
        "  running docker exec, attach, logs -f and builds will end",
        "  containers that keep running: app",
        "  --rm containers, which the restart waits for up to 300 s: job",
        LATE,
    ]


def test_without_containers_a_restart_names_none() -> None:
    assert told(RESTART)[5:] == [LATE]


def test_a_restart_that_stays_owed_says_so_the_rest_is_reloaded_and_nobody_touched() -> None:
    owed = "  take effect when dockerd is restarted: /userland-proxy"
    nothing, some = (
        told(wanted, "reload", containers=[Running("app")])
        for wanted in ({"userland-proxy": False}, RESTART)
    )

    assert nothing == ["/etc/docker/daemon.json: new, no reload or restart", owed]
    assert some == [
        *("/etc/docker/daemon.json: new, reload", owed, "  reload (SIGHUP) applies: /live-restore"),
        "  a reload affects no running container and no connection",
    ]


@table(
    "state, end",
    undone=(
        {"last-run": {"result": "reverted", "reason": "the change was interrupted"}},
        "reverted, because the change was interrupted",
    ),
    without_a_reason=({"last-run": {"result": "left"}}, "left"),
    without_a_result=({"last-run": {}}, "ended"),
    no_record=({}, "ended"),
    damaged_record=({"last-run": "x"}, "ended"),
)
def test_how_an_interrupted_change_ended_is_told_from_the_nodes_own_record(
    state: dict[str, object], end: str
) -> None:
    line = interrupted_line(node(state=state))

    assert line == f"/etc/docker/daemon.json: the earlier change is {end}"


@table(
    "unheard, proof, told_of",
    unheard=(True, None, True),
    proof_before=(True, {"at": "2026-11-29T15:40:42+00:00"}, True),
    a_later_run_proved=(True, {"at": "2026-11-29T15:40:44+00:00"}, False),
    heard=(False, None, False),
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


@table("release, told_of", old_set_up=("/usr/local/bin", True), ours=(OURS, False))
def test_sandboxes_of_an_older_set_up_are_named(release: str, told_of: bool) -> None:
    old = Running("old", runtime="runsc", argv0="runsc-sandbox", executable=f"{release}/runsc")

    lines = told(BY_NAME, containers=[old, PLAIN], docker=info(runtimes=OLD_FORM))

    said = [line for line in lines if "sandboxes that this package did not set up" in line]
    assert said == ["  sandboxes that this package did not set up keep running: old"] * told_of


@table(
    "version, is_told",
    before=("27.5.1", False),
    first=("28.0.0", True),
    last=("29.2.9", True),
    corrected=("29.3.0", False),
)
def test_a_reload_says_what_a_docker_forgets_by_it(version: str, is_told: bool) -> None:
    docker = info(ServerVersion=version)
    restarted = [line.strip() for line in told(LIVE, docker=docker)]

    reloaded = told(LIVE, "never", docker=docker)

    assert any("such as Coolify's proxy, start again only" in line for line in reloaded) is is_told
    why = "restart, because Docker 28.0 to 29.2 forgets host-gateway at a reload: /live-restore"
    assert (why in restarted) is is_told


ON = '{\n  "userland-proxy": true\n}\n'
NO_PATH = 'dockerd refuses every reload: "userland-proxy" is true without "userland-proxy-path"'


def of(version: str, text: str | None = ON, **given: Any) -> Any:
    """A node with this dockerd and this daemon.json."""
    return node(daemon_json=text, docker=info(ServerVersion=version), **given)


@table(
    "version, text, refused",
    no_path=("26.1.5", ON, True),
    no_path_in_29=("29.7.1", ON, True),
    before_25=("24.0.9", ON, False),
    a_path=("26.1.5", '{"userland-proxy": true, "userland-proxy-path": "/x"}', False),
    off=("26.1.5", '{"userland-proxy": false}', False),
    not_json=("26.1.5", "{", False),
    no_file=("26.1.5", None, False),
)
def test_a_file_that_dockerd_refuses_to_reload_is_named_with_the_way_out(
    version: str, text: str | None, refused: bool
) -> None:
    found = of(version, text)

    told = [line for line in notes(found) if NO_PATH in line]

    assert ['; remove "userland-proxy" from' in line for line in told] == [True] * refused
    assert (NO_PATH in (why_not_reload(found) or "")) is refused


@table(
    "version, wanted, refused",
    no_path=("26.1.5", {}, True),
    a_path=("26.1.5", {"userland-proxy-path": "/usr/bin/docker-proxy"}, False),
    before_25=("20.10.24", {}, False),
)
def test_a_declaration_that_makes_such_a_file_is_refused(
    version: str, wanted: dict[str, Any], refused: bool
) -> None:
    message = f'{NO_PATH}.*declare "userland-proxy": None'

    with pytest.raises(Problem, match=message) if refused else nullcontext():
        plan_daemon_json(of(version, "{}"), {"userland-proxy": True, **wanted})


def staged(found: Node, plan: Plan) -> dict[str, str | None]:
    """The texts of daemon.json in a transaction's script, by name."""
    script = transaction(plan, found, host="run-1", timeout_s=60, wait_s=300)
    return {
        name: None if text == "-" else base64.b64decode(text).decode()
        for name, text in re.findall(r"^(\w+)_b64=(\S+)$", script, re.MULTILINE)
        if name not in ("intent", "owned", "applied", "applied_anew")
    }


@table("wanted", reload={"runtimes": {"runsc": RUNSC}}, restart={"no-new-privileges": True})
def test_dockerd_loads_a_file_without_the_key_of_somebody_else_which_stays(wanted: Data) -> None:
    found = of("26.1.5")
    plan = plan_daemon_json(found, wanted)

    texts = staged(found, plan)

    assert '"userland-proxy": true' in (plan.after or "")
    assert texts.pop("after") == plan.after
    assert texts["load_old"]
    assert texts["load_after"]
    assert not any("userland-proxy" in (text or "") for text in texts.values())


def test_a_file_that_dockerd_accepts_is_loaded_as_it_is() -> None:
    found = of("20.10.24")

    texts = staged(found, plan_daemon_json(found, {"debug": True}))

    assert (texts["load_after"], texts["load_old"]) == (None, None)

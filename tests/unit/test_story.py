"""A plan in words."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.plan import Restart, plan_daemon_json
from pyinfra_gvisor.daemon_json.render_plan import interrupted_line, plan_lines, unheard_line
from tests.unit.answers import RUNSC, Running, after, info, node

LIVE: dict[str, Json] = {"live-restore": True}
RESTART: dict[str, Json] = {"live-restore": True, "userland-proxy": False}
OLD_FORM = {"runsc": {"path": "/usr/local/bin/runsc"}}
SANDBOX = {"runtime": "runsc", "argv0": "runsc-sandbox"}


def told(wanted: dict[str, Json], restart: Restart = "auto", **given: Any) -> list[str]:
    """What is said about bringing ``wanted`` to a node."""
    found = node(**given)
    return plan_lines(plan_daemon_json(found, wanted, restart=restart), found, wait_s=300)


@pytest.mark.parametrize(
    ("wanted", "given", "first"),
    [
        pytest.param(LIVE, {}, "new, reload", id="new"),
        pytest.param(LIVE, {"daemon_json": '{"mtu": 1}'}, "changed, reload", id="changed"),
        pytest.param(RESTART, {}, "new, restart", id="restart"),
        pytest.param({}, after(plan_daemon_json(node(), LIVE)), "removed, reload", id="removed"),
        pytest.param(
            LIVE, {"daemon_json": '{"live-restore": true}'}, "unchanged, reload", id="owed"
        ),
    ],
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


@pytest.mark.parametrize(
    ("wanted", "given", "line"),
    [
        pytest.param(DEFAULT, {}, "runsc, no longer runc", id="on"),
        pytest.param(DEFAULT, {"daemon_json": CRUN}, "runsc, no longer crun", id="another-was-on"),
        pytest.param(
            BY_NAME, after(plan_daemon_json(node(), DEFAULT)), "runc, no longer runsc", id="off"
        ),
        pytest.param(BY_NAME, {"daemon_json": CRUN}, None, id="somebody-elses"),
        pytest.param(LIVE, after(plan_daemon_json(node(), LIVE)), None, id="none"),
    ],
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
    lines = told(RESTART)

    assert not [line for line in lines if "keep running:" in line or "waits for up to" in line]
    assert lines[-1] == LATE


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


@pytest.mark.parametrize(
    ("run", "end"),
    [
        pytest.param({"result": "applied", "reason": ""}, "applied", id="finished"),
        pytest.param(
            {"result": "reverted", "reason": "the change of generation 3 was interrupted"},
            "reverted, because the change of generation 3 was interrupted",
            id="undone",
        ),
        pytest.param({"result": "left"}, "left", id="without-a-reason"),
        pytest.param({}, "ended", id="without-a-result"),
        pytest.param(None, "ended", id="no-record"),
        pytest.param("x", "ended", id="damaged-record"),
    ],
)
def test_how_an_interrupted_change_ended_is_told_from_the_nodes_own_record(
    run: object, end: str
) -> None:
    found = node(state={} if run is None else {"last-run": run})

    assert interrupted_line(found) == f"/etc/docker/daemon.json: the earlier change is {end}"


@pytest.mark.parametrize(
    ("unheard", "proof", "told_of"),
    [
        pytest.param(True, None, True, id="unheard"),
        pytest.param(True, {"at": "2026-11-29T15:40:42+00:00"}, True, id="proof-before"),
        pytest.param(True, {"at": "2026-11-29T15:40:44+00:00"}, False, id="a-later-run-proved"),
        pytest.param(False, None, False, id="heard"),
    ],
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


@pytest.mark.parametrize(
    ("container", "told_of"),
    [
        pytest.param(
            Running("old", executable="/usr/local/bin/runsc", **SANDBOX), True, id="old-set-up"
        ),
        pytest.param(
            Running("new", executable="/opt/gvisor/releases/20260928.0/runsc", **SANDBOX),
            False,
            id="ours",
        ),
        pytest.param(Running("plain"), False, id="no-sandbox"),
    ],
)
def test_sandboxes_of_an_older_set_up_are_named(container: Running, told_of: bool) -> None:
    lines = told(
        {"runtimes": {"runsc": RUNSC}}, containers=[container], docker=info(runtimes=OLD_FORM)
    )

    said = f"sandboxes that this package did not set up keep running: {container.name}"
    assert any(said in line for line in lines) is told_of


@pytest.mark.parametrize(
    ("version", "is_told"),
    [
        pytest.param("27.5.1", False, id="before"),
        pytest.param("28.0.0", True, id="first"),
        pytest.param("29.2.9", True, id="last"),
        pytest.param("29.3.0", False, id="corrected"),
    ],
)
def test_a_reload_says_what_a_docker_forgets_by_it(version: str, is_told: bool) -> None:
    docker = info(ServerVersion=version)
    restarted = [line.strip() for line in told(LIVE, docker=docker)]

    reloaded = told(LIVE, "never", docker=docker)

    assert any("such as Coolify's proxy, start again only" in line for line in reloaded) is is_told
    why = "restart, because Docker 28.0 to 29.2 forgets host-gateway at a reload: /live-restore"
    assert (why in restarted) is is_told

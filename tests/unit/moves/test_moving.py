"""An app is moved or runs on as before, whichever request fails or kills the mover."""

import copy
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from pyinfra_gvisor.moves.mover import looks
from pyinfra_gvisor.moves.mover.moving import Given, Gone, Mover, masked
from pyinfra_gvisor.moves.mover.record import Record
from tests.arguments import Patch
from tests.unit.moves.stand_in import OLD_ID, Dead, StandIn, told

NEW_ID = "b" * 64
CHANGES = 9
"""Of a move that succeeds: create, policy, two names, stop, policy, start, removal; see below."""

BETWEEN = 5
"""The old one is not to start again from here on, and the new one starts with the next request."""

GAPLESS_CHANGES = 7
"""Create, start, policy, two names, stop, removal."""

GAPLESS = told(
    State={"Health": {"Status": "healthy"}},
    Config={"Labels": {"caddy": "a.example.invalid"}},
    Mounts=[],
)
SANDBOXED = Mover._sandboxed

Made = Callable[[StandIn], Mover]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: Patch) -> Made:
    """Return a mover of a stand-in, for which time passes at once."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(Mover, "_sandboxed", lambda *_: None)

    def sleep(seconds: float) -> None:
        now[0] += max(seconds, 0.01)

    def make(docker: StandIn) -> Mover:
        given = Given("", str(tmp_path / "moves.json"), "", "", watch_s=2)
        mover = Mover(given, sleep)
        monkeypatch.setattr(mover, "_docker", docker)
        return mover

    return make


def state(docker: StandIn) -> list[tuple[str, str, str]]:
    """Of each container: its first letter, its name, its policy; a stopped one in brackets."""
    return sorted(
        (
            key[0] if item["State"]["Running"] else f"({key[0]})",
            item["Name"],
            item["HostConfig"]["RestartPolicy"]["Name"],
        )
        for key, item in docker.containers.items()
    )


MOVED = [("b", "/web", "unless-stopped")]
BACK = [("a", "/web", "unless-stopped")]


def test_the_new_one_has_the_name_and_the_policy_and_the_old_one_is_gone(made: Made) -> None:
    docker = StandIn()

    ended = made(docker).move(OLD_ID)

    assert (ended["where"], state(docker)) == ("moved", MOVED)
    assert len(docker.changes) == CHANGES - 1
    assert ended["warnings"] == ["new in its log: error with *** in b"]


@pytest.mark.parametrize("number", range(CHANGES))
def test_whichever_request_fails_the_app_runs(made: Made, number: int) -> None:
    docker = StandIn(number)

    ended = made(docker).move(OLD_ID)

    is_moved = number >= CHANGES - 2  # the last one removes the old container
    assert ended["where"] == ("moved" if is_moved else "back")
    left = [("(a)", "/web.before-gvisor", "no")] if number == CHANGES - 2 else []
    assert state(docker) == ([*left, *MOVED] if is_moved else BACK)


@pytest.mark.parametrize("number", range(CHANGES - 1))
def test_killed_after_any_request_the_next_move_ends_it(made: Made, number: int) -> None:
    docker = StandIn(number, kills=True)
    with pytest.raises(Dead):
        made(docker).move(OLD_ID)
    running = docker.after_a_restart_of_the_node()

    found = made(docker).resume()

    # For some milliseconds nothing would run: if both did, two would write to one volume.
    assert running in ([OLD_ID], [NEW_ID]) or (number, running) == (BETWEEN, [])
    ended = MOVED if number == CHANGES - 2 else BACK
    assert (state(docker), [item["where"] for item in found]) == (
        ended,
        [] if ended is MOVED else ["back"],
    )


@pytest.mark.parametrize("number", range(GAPLESS_CHANGES))
@pytest.mark.parametrize("kills", [True, False])
def test_without_a_gap_one_of_the_two_runs_until_a_request_fails(
    made: Made, number: int, *, kills: bool
) -> None:
    docker = StandIn(number, kills=kills)
    docker.containers[OLD_ID] = copy.deepcopy(GAPLESS)
    running = []
    change = docker._change

    def changed(*given: Any) -> Any:
        done = change(*given)
        running.append([name for name, *_ in state(docker) if not name.startswith("(")])
        return done

    docker._change = changed  # type: ignore[method-assign]
    with suppress(Dead):
        made(docker).move(OLD_ID)
    boots = docker.after_a_restart_of_the_node()

    made(docker).resume()

    assert all(running[:number])
    assert boots
    assert state(docker) == (MOVED if number == GAPLESS_CHANGES - 1 else BACK)


def test_on_its_way_back_the_old_one_runs_before_the_new_one_ends(
    made: Made, monkeypatch: Patch
) -> None:
    docker = StandIn()
    docker.containers[OLD_ID] = copy.deepcopy(GAPLESS)
    monkeypatch.setattr(Mover, "_watched", Mock(side_effect=Gone("it failed late")))

    ended = made(docker).move(OLD_ID)

    again, end = (f"/containers/{OLD_ID}/start", f"/containers/{NEW_ID}/stop")
    assert (ended["where"], state(docker)) == ("back", BACK)
    assert docker.changes.index(f"POST {again}") < docker.changes.index(f"POST {end}")


def test_without_a_health_check_its_ports_say_when_the_new_one_is_ready(
    made: Made, monkeypatch: Patch
) -> None:
    docker = StandIn()
    docker.containers[OLD_ID] = copy.deepcopy(GAPLESS)
    del docker.containers[OLD_ID]["State"]["Health"]
    monkeypatch.setattr(looks, "listening", lambda _: [80])

    ended = made(docker).move(OLD_ID)

    words = [text.rpartition("/")[2].partition("?")[0] for text in docker.changes]
    assert words[1:6] == ["start", "update", "rename", "rename", "stop"]
    assert (ended["where"], ended["away_s"]) == ("moved", pytest.approx(3, abs=0.3))


def test_a_verdict_that_does_not_come_goes_back(made: Made, monkeypatch: Patch) -> None:
    docker = StandIn()
    mover = made(docker)
    monkeypatch.setattr(Mover, "_sandboxed", SANDBOXED)
    late = subprocess.TimeoutExpired("perl", 30)
    monkeypatch.setattr(subprocess, "run", Mock(side_effect=late))

    ended = mover.move(OLD_ID)

    assert (ended["where"], state(docker)) == ("back", BACK)
    assert ended["why"] == "it was not seen in gVisor within 30 s"


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ({"RestartCount": 1}, "it ended, and was started again"),
        ({"State": {"Running": False, "Status": "exited", "ExitCode": 3}}, "with code 3"),
        ({"State": {"Running": True, "Status": "running", "OOMKilled": True}}, "out of memory"),
    ],
)
def test_what_does_not_run_on_goes_back(made: Made, new: dict[str, Any], why: str) -> None:
    docker = StandIn(new=new)

    ended = made(docker).move(OLD_ID)

    assert (ended["where"], state(docker)) == ("back", BACK)
    assert ended["why"].endswith(why)


def test_what_somebody_else_recreates_meanwhile_is_left(made: Made, monkeypatch: Patch) -> None:
    docker = StandIn()
    mover = made(docker)

    def deployed(*_: object) -> list[str]:
        del docker.containers[NEW_ID]
        docker.containers["c" * 64] = told("c" * 64)
        mover._running(NEW_ID)
        return []

    monkeypatch.setattr(mover, "_watched", deployed)
    ended = mover.move(OLD_ID)

    assert ended["where"] == "left"
    assert "somebody else recreated it" in ended["why"]
    assert ("c", "/web", "unless-stopped") in state(docker)
    assert mover.resume() == []


def test_a_container_of_others_is_never_removed_for_its_name(made: Made) -> None:
    docker = StandIn(0)
    docker.containers["d" * 64] = told("d" * 64, "web.pyinfra-gvisor")

    ended = made(docker).move(OLD_ID)

    assert (ended["where"], docker.changes) == ("left", [])
    assert "a container is called web.pyinfra-gvisor" in ended["why"]


def test_a_record_is_whole_after_a_write_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "moves.json"
    Record(str(path)).note(OLD_ID, name="web", where="begun")
    path.with_name("moves.json.new").write_text('{"format')

    assert Record(str(path)).unfinished()[OLD_ID]["name"] == "web"


def test_values_that_an_app_was_given_leave_no_node() -> None:
    config = {
        "Env": ["PATH=/usr/bin", "URL=postgres://shop:s3cr3t@db/x", 'JSON={"key":"abcd"}'],
        "Cmd": ["serve", "--token", "t0ken"],
    }
    lines = ["connect shop:s3cr3t at /usr/bin", "no abcd, t0ken\x1b[31m", "x" * 999]

    assert masked(lines, told(Config=config)) == [
        "connect ***:*** at /usr/bin",
        "no ***, ***[31m",
        "x" * 300,
    ]

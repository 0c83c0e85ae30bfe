"""What is known of a container before its move."""

from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.moves.mover import looks
from pyinfra_gvisor.moves.mover.looks import look, ready_s
from tests.arguments import Patch
from tests.table import table
from tests.unit.moves.stand_in import OLD_ID, StandIn, told

HEALTHY = {"Status": "running", "Running": True, "Health": {"Status": "healthy"}}
SITE = {"caddy": "a.example.com"}
SECOND = 10**9


def seen(*others: Any, **more: Any) -> Any:
    """What is known of a container of which Docker tells this."""
    return look(StandIn(), told(**more), others)  # type: ignore[arg-type]


@table(
    "more, why",
    alone=({}, ""),
    swarm=({"Config": {"Labels": {"com.docker.swarm.service.name": "s"}}}, "--force s"),
    removed=({"HostConfig": {"AutoRemove": True}}, "(--rm)"),
    paused=({"State": {"Status": "paused"}}, "it is paused"),
    ill=({"State": {**HEALTHY, "Health": {"Status": "starting"}}}, "says starting"),
    inside=({"HostConfig": {"Runtime": "gvisordefault"}}, "it could not go back"),
    joined=({"HostConfig": {"NetworkMode": "container:x"}}, "recreate both together"),
    slow=({"Config": {"StopTimeout": 3600}}, "it is given 3600 s"),
    endless=({"Config": {"StopTimeout": -1}}, "it is given -1 s"),
    strange=({"Created": "yesterday"}, "is not understood"),
)
def test_a_container_that_could_not_go_back_is_not_moved(more: dict[str, Any], why: str) -> None:
    assert why in seen(**more).why_not
    assert bool(seen(**more).why_not) is bool(why)


@table(
    "other, why",
    namespaces=(told("b", "b", HostConfig={"NetworkMode": f"container:{OLD_ID}"}), "b uses its"),
    name=(told("b", "web.before-gvisor"), "is called web.before-gvisor"),
)
def test_others_can_keep_it_where_it_is(other: Any, why: str) -> None:
    assert why in seen(other).why_not


@table(
    "text, why",
    hook=("services:\n  web:\n    post_start: [{command: x}]\n", "post_start"),
    config=("configs:\n  one:\n    content: |\n      text\n", "configs"),
    secret=("secrets:\n  # of CI\n  one:\n    environment: WORD\n", "secrets"),
    file=("configs:\n  one:\n    file: ./a\nservices:\n  web:\n    environment: {}\n", ""),
)
def test_what_only_compose_brings_keeps_it_where_it_is(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(text)
    labels = {"com.docker.compose.project.config_files": f"/no/file,{path}"}

    found = seen(Config={"Labels": labels}).why_not

    assert (f"has {why}," in found) if why else found == ""


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/proc/self/mem", "a\0b"])
def test_a_label_may_name_any_file(path: str) -> None:
    labels = {"com.docker.compose.project.config_files": path}

    assert seen(Config={"Labels": labels}).why_not == ""


@table(
    "more, gapless",
    two_at_once=({}, True),
    unhealthy=({"State": {"Status": "running"}}, False),
    unrouted=({"Config": {"Labels": {}}}, False),
    published=({"HostConfig": {"PortBindings": {"80/tcp": []}}}, False),
    writes=({"Mounts": [{"Type": "bind", "Destination": "/a", "RW": True}]}, False),
    reads=({"Mounts": [{"Type": "bind", "Destination": "/a", "RW": False}]}, True),
    bridge=({"NetworkSettings": {"Ports": {}, "Networks": {"bridge": {}}}}, False),
)
def test_two_can_run_at_once_only_if_a_proxy_knows_both(
    more: dict[str, Any], gapless: bool
) -> None:
    given = {"State": HEALTHY, "Config": {"Labels": SITE}, "Mounts": [], **more}
    if not more.get("HostConfig"):
        given["HostConfig"] = {"PortBindings": {}}

    found = seen(**given)

    assert found.gapless is gapless
    assert (found.away_s == 0) is gapless


def test_without_a_health_check_a_port_shows_when_it_is_ready(monkeypatch: Patch) -> None:
    monkeypatch.setattr(looks, "listening", lambda _: [80])

    found = seen(Config={"Labels": SITE}, Mounts=[])

    assert (found.gapless, found.away_s) == (True, 30)


@table(
    "check, limit",
    none=({}, 30),
    off=({"Test": ["NONE"], "Interval": 90 * SECOND}, 30),
    usual=({"Test": ["CMD", "x"]}, 181),
    slow=({"Test": ["CMD", "x"], "StartPeriod": 900 * SECOND}, 300),
)
def test_a_new_one_has_as_long_as_its_health_check_needs(check: dict[str, Any], limit: int) -> None:
    assert ready_s(told(Config={"Healthcheck": check})) == limit


def test_files_that_a_start_does_not_make_again_are_told() -> None:
    docker = StandIn()
    paths = {"/app/data.db": 900, "/app/made": 5, "/app/old": -60, "/run/secrets/x": 0.05}
    times = {path: 1796292000.5 + at for path, at in paths.items()}
    quiet = ("/tmp/a", "/var/log/b", "/root/.cache/c", "/app/__pycache__/d", "/data", "/app")
    kinds = [{"Path": path, "Kind": 1} for path in (*times, *quiet)]
    docker._read = lambda _: [*kinds, {"Path": "/etc/motd", "Kind": 2}]  # type: ignore[method-assign]
    docker.changed_s = lambda _, path: times[path]  # type: ignore[method-assign]

    assert look(docker, told(), ()).wrote == ("/app/data.db", "/run/secrets/x")  # type: ignore[arg-type]

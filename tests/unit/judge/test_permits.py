"""Permits of operators: for one request, then for the container that it made, and for a time."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.judge import permits
from pyinfra_gvisor.judge.docker_request import Request
from pyinfra_gvisor.judge.door import made, why_refused
from pyinfra_gvisor.judge.permits import HEADER, open_permit
from tests.unit.dispatch.judged import ID, Judged
from tests.unit.judge.test_door import DOCKER, has_docker

SECRET = "5" * 64
ABOUT = {"reason": "a disk has to be looked at", "by": "eve", "command": "docker run"}
DEFAULT = "gvisordefault"


@pytest.fixture
def node(tmp_path: Path) -> Judged:
    """A node with a permit for an hour."""
    node = has_docker(Judged(tmp_path, door="refuse"))
    node.container(host={"Privileged": True})
    node.spec()
    (tmp_path / "run").mkdir(mode=0o700)
    open_permit(SECRET, ABOUT, 3600, node.paths.run)
    return node


def create(secret: str = SECRET, **host: Any) -> Request:
    """A request for a container, by default one that is refused."""
    body = {"Image": "bb:1", "HostConfig": host or {"Privileged": True}}
    return asked("/containers/create?name=app", body, secret)


def asked(uri: str, body: Mapping[str, Any], secret: str = SECRET) -> Request:
    """A request with a permit."""
    headers = {HEADER: secret} if secret else {}
    return Request("POST", f"/v1.45{uri}", headers, json.dumps(body).encode(), DOCKER)


def test_one_request_that_is_refused_otherwise_passes_and_no_other(node: Judged) -> None:
    first = why_refused(create(), node.paths)
    second = why_refused(create(Privileged=True, Memory=5), node.paths)
    without = why_refused(create(""), node.paths)
    other = why_refused(create("6" * 64), node.paths)

    assert first == ""
    assert without.startswith("a sandbox may not have: privileged")
    why = "it was already used, or is unknown"
    assert second == other == f"{without}. The given exception does not help: {why}"


def test_what_passes_anyway_takes_no_permit(node: Judged) -> None:
    assert why_refused(create(Memory=5), node.paths) == ""
    assert why_refused(asked("/containers/app/start", {}), node.paths) == ""
    assert why_refused(asked("/volumes/create", {"Name": "v"}), node.paths) == ""

    assert why_refused(create(), node.paths) == ""


def test_it_is_for_any_kind_of_request(node: Judged) -> None:
    network = asked("/networks/create", {"Name": "n", "Driver": "macvlan"})

    assert why_refused(replace(network, headers={}), node.paths) != ""
    assert why_refused(network, node.paths) == ""
    made(network, ID, node.paths)
    assert why_refused(replace(network, uri="/networks/create?x"), node.paths) != ""
    assert node.create(DEFAULT).startswith("refused: a sandbox may not have")


@pytest.mark.parametrize(
    ("runtime", "runs"), [("", "runsc"), (DEFAULT, "runsc"), ("gvisor", "runsc"), ("runc", "runc")]
)
def test_its_container_runs_where_the_request_said_and_no_other(
    node: Judged, runtime: str, runs: str
) -> None:
    request = create(Privileged=True, Runtime=runtime)
    assert why_refused(request, node.paths) == ""
    before = node.create(DEFAULT)

    made(request, ID, node.paths)

    assert before.startswith("refused: a sandbox may not have: privileged")
    assert [node.create(DEFAULT), node.create(DEFAULT)] == [runs, runs]
    made(request, f"{8:064x}", node.paths)
    assert [path.name for path in permit_files(node)] == [f"permit-{ID}.container"]


def permit_files(node: Judged) -> list[Path]:
    """The files of permits."""
    return [*(node.root / "run").glob("permit-*")]


def test_a_permit_for_runc_is_taken_although_the_request_may_pass(node: Judged) -> None:
    """A container that asks for runc may be one of infrastructure, or be put into a sandbox."""
    request = create(Runtime="runc")
    assert why_refused(request, node.paths) == ""
    made(request, ID, node.paths)

    assert node.create(DEFAULT) == "runc"


def test_the_same_request_passes_until_it_has_made_a_container(node: Judged) -> None:
    """An image is pulled after the first request for its container."""
    assert [why_refused(create(), node.paths) for _ in range(2)] == ["", ""]

    made(create(), ID, node.paths)

    assert why_refused(create(), node.paths) != ""


def test_the_requests_of_one_command_about_a_swarm_pass_together(node: Judged) -> None:
    """docker swarm init reads the swarm that it has made, to print how others join."""
    init = asked("/swarm/init", {})

    assert why_refused(init, node.paths) == ""
    assert why_refused(replace(init, method="GET", uri="/v1.45/swarm"), node.paths) == ""
    assert why_refused(create(), node.paths) != ""


def test_a_service_has_no_permit_because_its_tasks_have_none(node: Judged) -> None:
    mount = {"Type": "bind", "Source": "/etc", "Target": "/x"}
    spec = {"TaskTemplate": {"ContainerSpec": {"Image": "bb:1", "Mounts": [mount]}}}

    assert "mount of /etc" in why_refused(asked("/services/create", spec), node.paths)
    assert why_refused(create(), node.paths) == ""


def test_the_answer_to_another_request_gives_its_container_nothing(node: Judged) -> None:
    assert why_refused(create(), node.paths) == ""

    made(create(Memory=5), ID, node.paths)
    made(create("6" * 64), ID, node.paths)
    made(create(), "../../x", node.paths)

    assert node.create(DEFAULT).startswith("refused: ")


def test_it_ends_with_its_time(node: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    request, now = create(), permits._since_boot_s()
    assert why_refused(request, node.paths) == ""
    made(request, ID, node.paths)
    open_permit("7" * 64, ABOUT, 3600, node.paths.run)
    assert node.create(DEFAULT) == "runsc"

    monkeypatch.setattr(permits, "_since_boot_s", lambda: now + 3700)

    assert why_refused(create("7" * 64), node.paths).endswith("it has expired")
    assert node.create(DEFAULT).startswith("refused: a sandbox may not have: privileged")


def test_who_has_no_permit_is_judged_whatever_daemon_json_says(node: Judged) -> None:
    (node.root / "daemon.json").write_text("{")

    assert node.create("gvisor").startswith("refused: a sandbox may not have: privileged")


@pytest.mark.parametrize("door", ["report", "off"])
def test_where_nothing_is_refused_at_the_request_files_of_permits_count_for_nothing(
    tmp_path: Path, door: str
) -> None:
    node = has_docker(Judged(tmp_path, door=door))
    node.container(host={"Privileged": True})
    node.spec()
    (tmp_path / "run").mkdir(mode=0o700)
    path = open_permit(SECRET, ABOUT, 3600, node.paths.run)
    found = json.loads(path.read_text()) | {"kind": "runc"}
    path.write_text(json.dumps(found))
    path.rename(path.with_name(f"permit-{ID}.container"))

    assert node.create(DEFAULT).startswith("refused: a sandbox may not have: privileged")


@pytest.mark.parametrize("state", ["open", "container"])
def test_a_file_that_others_can_have_made_is_none(node: Judged, state: str) -> None:
    if state == "container":
        assert why_refused(create(), node.paths) == ""
        made(create(), ID, node.paths)
    (path,) = permit_files(node)
    path.chmod(0o644)

    said = why_refused(create(), node.paths) if state == "open" else node.create(DEFAULT)

    assert "was not written by pyinfra-gvisor" in said

"""``docker_state.sh`` asking for Docker's build cache, against a Docker API of the test's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.audit.observed import BuildCache, parse_observed
from tests.unit.answers import compact, info
from tests.unit.fake_docker import SECRET, Answer, closes, daemon, hangs, routes, says
from tests.unit.node_script import Machine
from tests.unit.shells import run

OF_23, OF_25 = "/v1.42/system/df?type=build-cache", "/v1.44/system/df?type=build-cache"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node with perl that is asked for all that an audit looks at."""
    return Machine(tmp_path, wide="yes", labels="")


def record(last_used: str | None, **others: Any) -> dict[str, Any]:
    """A record as Docker shows it, members in Docker's own order."""
    return {
        "ID": "zi7q1tztez5yb4pnbeifoguvb",
        " Parents": ["bzg6a0ywumy1tu7wptbi0im1r"],  # moby's own slip of the pen
        "Type": "regular",
        "Description": f'mount / from exec /bin/sh -c curl -H "token: {SECRET}" x | tar -x {{}}]',
        "InUse": False,
        "Size": 150,
        "CreatedAt": "2026-11-25T14:05:19.311095027Z",
        "LastUsedAt": last_used,
        "UsageCount": 1,
        **others,
    }


def usage(records: object) -> Answer:
    """Docker's answer, with all that was not asked for left out."""
    document = {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": None}
    return says(compact({**document, "BuildCache": records}) + "\n")


def seen(
    machine: Machine,
    *,
    version: str = "28.5.2+dfsg4",
    answers: dict[str, Answer] | None = None,
    alarm_s: int = 10,
) -> tuple[BuildCache, list[str], str]:
    """What is known of the build cache, what the daemon was asked for, and all that was printed."""
    docker = info(ServerVersion=version, DockerRootDir=str(machine.root))
    known = {"/containers/json?all=1": says("[]"), **routes([], docker), **(answers or {})}
    text = machine.script().replace("alarm $limit_s;", f"alarm {alarm_s};")
    with daemon(machine.socket, known) as asked:
        output = run(text, path=machine.path).stdout
    return parse_observed(output.rstrip("\n").split("\n")).build_cache, asked, output


@pytest.mark.parametrize(
    ("version", "path"),
    [
        pytest.param("23.0.6", OF_23, id="23"),
        pytest.param("24.0.9", OF_23, id="24"),
        pytest.param("25.0.0", OF_25, id="25"),
        pytest.param("26.1.5+dfsg1", OF_25, id="26"),
        pytest.param("29.1.0", OF_25, id="29"),
    ],
)
def test_each_docker_is_asked_in_an_api_that_answers_in_one_form(
    machine: Machine, version: str, path: str
) -> None:
    used = ["2026-11-25T14:05:19.351171851Z", "2026-11-26T09:00:00Z", None]

    found, _, output = seen(
        machine, version=version, answers={path: usage(list(map(record, used)))}
    )

    assert found == BuildCache(records=3, last_used="2026-11-26T09:00:00Z")
    assert SECRET not in output


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param([], BuildCache(records=0), id="empty"),
        pytest.param(None, BuildCache(records=0), id="null"),
        pytest.param([record(None)], BuildCache(records=1), id="never-used"),
        pytest.param(
            [record("2026-11-25T16:05:19.35+02:00")],
            BuildCache(records=1, last_used="2026-11-25T16:05:19+02:00"),
            id="in-the-node's-own-time",
        ),
    ],
)
def test_the_records_are_counted(machine: Machine, records: object, expected: BuildCache) -> None:
    found, _, _ = seen(machine, answers={OF_25: usage(records)})

    assert found == expected


@pytest.mark.parametrize("ran", [True, False], ids=["a-step-has-run", "none-has"])
def test_an_old_docker_is_not_asked_and_its_builder_leaves_a_log(
    machine: Machine, ran: bool
) -> None:
    executor = machine.root / "buildkit" / "executor"
    executor.mkdir(parents=True)
    if ran:
        (executor / "runc-log.json").touch()
    os.utime(executor, (1764079522, 1764079522))

    found, asked, _ = seen(machine, version="20.10.24+dfsg1")

    assert found == (BuildCache(ran_by_s=1764079522) if ran else BuildCache())
    assert not [path for path in asked if "system/df" in path]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(says("{}", "500 Internal Server Error"), "answer 500 to ", id="an-error"),
        pytest.param(closes, "no answer to ", id="a-panic"),
        pytest.param(hangs, "no answer within 10 s", id="nothing"),
        pytest.param(says(json.dumps({})[:1]), "incomplete answer to ", id="half-an-answer"),
    ],
)
def test_without_an_answer_to_this_the_rest_is_known(
    machine: Machine, answer: Answer, error: str
) -> None:
    found, _, output = seen(machine, answers={OF_25: answer}, alarm_s=1)

    assert (found.error or "").startswith(error)
    assert "\ninfo {" in f"\n{output}"
    assert "docker_error" not in output


def test_only_an_audit_asks_for_it(tmp_path: Path) -> None:
    _, asked, _ = seen(Machine(tmp_path))

    assert not [path for path in asked if "system/df" in path]

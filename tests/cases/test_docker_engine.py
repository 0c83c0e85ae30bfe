"""``docker.engine``: an engine that is there is left, one that is missing is installed if asked."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.operations import docker
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node
from tests.table import table
from tests.unit.answers import answer

DOWN = ("info", "dockerd", "clock")
MISSING = (*DOWN, "docker_client")


@table(
    "flavour, given, reason",
    down=("present", {"without": DOWN}, "dockerd does not answer, got "),
    not_replaced=("debian", {"without": DOWN}, "dockerd does not answer, got "),
    no_permission=(
        "docker-ce",
        {"without": DOWN, "docker_error": "connect: Permission denied"},
        "dockerd does not answer, got connect: Permission denied; ",
    ),
)
def test_an_engine_that_cannot_be_had_fails_its_host_alone(
    flavour: Any, given: Data, reason: str, caplog: Log
) -> None:
    nodes = {"bad": Node([answer(**given)]), "good": Node([answer()])}

    fleet = Fleet(nodes).done(docker.engine, flavour)

    assert fleet.failed() == {"bad"}
    assert [set(item.kinds()) for item in nodes.values()] == [{"state"}, {"state"}]
    assert f"docker.engine: docker on @fake/bad: {reason}" in caplog.text


@table(
    "flavour, expected",
    debian=("debian", ["flavour=debian"]),
    docker_ce=(
        "docker-ce",
        [
            "flavour=docker-ce",
            "repository=https://download.docker.com/linux",
            "distribution=ubuntu",
            "codename=noble",
            f"key_sha256={docker.DOCKER_CE_KEY_SHA256}",
        ],
    ),
)
def test_a_missing_engine_is_installed_as_asked(flavour: Any, expected: list[str]) -> None:
    bare = answer(without=MISSING, os="ubuntu 24.04 noble")
    nodes = {"a": Node([bare, answer()])}

    fleet = Fleet(nodes).done(docker.engine, flavour)

    assert fleet.meta["a"].did_change()
    command = nodes["a"].of("docker").command
    assert all(f"{line}\n" in command for line in expected)

"""The deploy has the resolver where a runtime asks for it, before anything that would ask it."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.parts.resolver.state import ResolverState
from tests.cases.fleet import Fleet, Node
from tests.cases.naming import having
from tests.unit.answers import answer
from tests.unit.resolver.resolver_answers import ABLE, there, told

BARE = ResolverState(**ABLE)
ASKED = "f" * 64
METRICS = {"gvisor_textfile_dir": "/srv/text", "gvisor_proof": "never"}
NAMED = {"gvisor_runtimes": {"gvisor": {"network": "sandbox", "dns": "docker"}}}
INSTALLATION = ["release", "wrappers", "daemon.json", "link"]


@pytest.mark.parametrize(
    ("data", "found", "expected"),
    [
        pytest.param({}, BARE, [], id="neither-wanted-nor-there"),
        pytest.param(NAMED, BARE, ["resolver"], id="wanted"),
        pytest.param(NAMED, there(), [], id="wanted-and-there"),
        pytest.param(NAMED, there(service="failed"), ["resolver"], id="wanted-and-down"),
        pytest.param({}, there(), ["resolver remove"], id="no-runtime-has-dns-any-more"),
        pytest.param({"gvisor_runtimes": {}}, there(), ["resolver remove"], id="no-runtime"),
        pytest.param({}, there(asks=(ASKED,)), [], id="not-wanted-and-asked"),
    ],
)
def test_the_deploy_has_it_as_the_runtimes_ask_for_it_and_first(
    data: dict[str, Any], found: ResolverState, expected: list[str]
) -> None:
    nodes = {"a": having(found, data={"gvisor_proof": "never", **data})}
    fleet = Fleet(nodes)

    fleet.deploy(run_node)
    fleet.run()

    more = INSTALLATION if data.get("gvisor_runtimes") != {} else ["daemon.json"]
    more = [*more, "keeper"] if data is NAMED else more
    assert nodes["a"].acted() == [*expected, *more]
    assert fleet.failed() == set()


def test_the_deploy_hands_on_where_metrics_go() -> None:
    nodes = {"a": having(BARE, data={**NAMED, **METRICS})}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)
    fleet.run()

    assert "\ntextfile_dir=/srv/text\n" in nodes["a"].of("resolver").words[0]


def test_what_answers_for_docker_is_there_behind_docker_and_before_a_release() -> None:
    missing = answer(without=("info", "dockerd", "clock", "docker_client"))
    steps = ((ResolverState(**ABLE), missing), (ResolverState(**ABLE), answer()))
    answers = [[*told(found), *lines] for found, lines in (*steps, (there(), answer()))]
    data = {**NAMED, "gvisor_docker": "debian", "gvisor_proof": "never"}
    nodes = {"a": Node(answers, data=data)}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)
    fleet.run()

    installed = ["release", "wrappers", "daemon.json", "link"]
    assert nodes["a"].acted() == ["docker", "resolver", *installed, "keeper"]

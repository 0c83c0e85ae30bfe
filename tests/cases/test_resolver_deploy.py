"""The deploy has the resolver where a runtime asks for it, before anything that would ask it."""

from __future__ import annotations

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.parts.resolver.state import ResolverState
from tests.arguments import Data
from tests.cases.fleet import Fleet, Node
from tests.cases.naming import having
from tests.table import table
from tests.unit.answers import answer
from tests.unit.resolver.resolver_answers import ABLE, there, told

BARE = ResolverState(**ABLE)
ASKED = "f" * 64
METRICS = {"gvisor_textfile_dir": "/srv/text", "gvisor_proof": "never"}
NAMED = {"gvisor_runtimes": {"gvisor": {"network": "sandbox", "dns": "docker"}}}
INSTALLATION = ["release", "wrappers", "daemon.json", "link"]


@table(
    "data, found, expected",
    {
        "neither-wanted-nor-there": ({}, BARE, []),
        "wanted": (NAMED, BARE, ["resolver"]),
        "wanted-and-there": (NAMED, there(), []),
        "wanted-and-down": (NAMED, there(service="failed"), ["resolver"]),
        "no-runtime-has-dns-any-more": ({}, there(), ["resolver remove"]),
        "no-runtime": ({"gvisor_runtimes": {}}, there(), ["resolver remove"]),
        "not-wanted-and-asked": ({}, there(asks=(ASKED,)), []),
    },
)
def test_it_is_there_first_if_asked(data: Data, found: ResolverState, expected: list[str]) -> None:
    nodes = {"a": having(found, data={"gvisor_proof": "never", **data})}

    fleet = Fleet(nodes).deployed(run_node)

    more = INSTALLATION if data.get("gvisor_runtimes") != {} else ["daemon.json"]
    more = [*more, "keeper"] if data is NAMED else more
    assert nodes["a"].acted() == [*expected, *more]
    assert fleet.failed() == set()


def test_the_deploy_hands_on_where_metrics_go() -> None:
    nodes = {"a": having(BARE, data={**NAMED, **METRICS})}

    Fleet(nodes, prepare=False).deployed(run_node)

    assert "\ntextfile_dir=/srv/text\n" in nodes["a"].of("resolver").words[0]


def test_what_answers_for_docker_is_there_behind_docker_and_before_a_release() -> None:
    missing = answer(without=("info", "dockerd", "clock", "docker_client"))
    steps = ((ResolverState(**ABLE), missing), (ResolverState(**ABLE), answer()))
    answers = [[*told(found), *lines] for found, lines in (*steps, (there(), answer()))]
    data = {**NAMED, "gvisor_docker": "debian", "gvisor_proof": "never"}
    nodes = {"a": Node(answers, data=data)}

    Fleet(nodes, prepare=False).deployed(run_node)

    installed = ["release", "wrappers", "daemon.json", "link"]
    assert nodes["a"].acted() == ["docker", "resolver", *installed, "keeper"]

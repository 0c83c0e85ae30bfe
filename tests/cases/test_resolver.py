"""``resolver.resolver`` on the real engine, and the deploy, which has it before who asks it."""

from typing import Any

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.operations import resolver
from pyinfra_gvisor.parts.resolver.files import SERVICE, kept_files
from pyinfra_gvisor.parts.resolver.state import ResolverState
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node
from tests.cases.guarded import said
from tests.table import table
from tests.unit.answers import Running, answer
from tests.unit.resolver.resolver_answers import ABLE, there, told

BARE = ResolverState(**ABLE)
ANSWER = "answer DNS queries of sandboxes at 169.254.53.53 port 53, as Docker does"
WANTED = {"wanted": True}
GONE = {"wanted": False}
SHOP = Running("shop")
SHOP_ID = answer(containers=[SHOP])[-2].split('"Id":"')[1][:64]
OTHER_ID = "7e" * 32


def having(*found: ResolverState, given: Data | None = None, **more: Any) -> Node:
    """A node with these, one after the other; ``given``: what ``answer`` is given for the rest."""
    return Node([[*told(item), *answer(**(given or {}))] for item in found], **more)


def test_it_is_put_there_in_one_command(caplog: Log) -> None:
    nodes = {"a": having(BARE, there())}

    fleet = Fleet(nodes, DIFF=True).done(resolver.resolver, **WANTED, _sudo=True)

    sent = nodes["a"].of("resolver")
    assert nodes["a"].acted() == ["resolver"]
    assert sent.sudo
    assert sent.files == {item.path: (item.mode, item.text) for item in kept_files((), None)}
    assert "\noperation=resolver.resolver\nhost=@fake/a\ntextfile_dir=''\n" in sent.words[0]
    assert fleet.meta["a"].did_change()
    writes = [f"write {item.path}" for item in kept_files((), None)]
    assert [line for line in said(caplog) if line in (*writes, ANSWER)] == [*writes, ANSWER]


def test_it_is_told_where_its_metrics_go_and_whom_dockerd_asks_by_a_deploy_too() -> None:
    nodes = {"a": having(BARE, given={"daemon_json": '{"dns": ["9.9.9.9"]}'})}
    deployed = having(BARE, data={**NAMED, **METRICS})

    Fleet(nodes, prepare=False).done(resolver.resolver, **WANTED, textfile_dir="/srv/text")
    Fleet({"a": deployed}, prepare=False).deployed(run_node)

    sent = nodes["a"].of("resolver")
    _, unit = sent.files[SERVICE]
    assert (
        "ExecStart=/usr/bin/python3 -I -B /opt/gvisor/resolver --resolver=9.9.9.9 "
        "--textfile=/srv/text/pyinfra_gvisor_resolver.prom\n"
    ) in unit
    for item in (nodes["a"], deployed):
        assert "\ntextfile_dir=/srv/text\n" in item.of("resolver").words[0]


@table("service, acted", up=("active", []), down=("failed", ["resolver"]))
def test_one_that_is_asked_stays_and_tells_who_and_else_goes_whatever_the_node_lacks(
    service: str, acted: list[str], caplog: Log
) -> None:
    asks = (SHOP_ID, OTHER_ID)
    states = there(asks=asks, service=service), there(asks=asks)
    nodes = {"a": having(*states, given={"containers": [SHOP]})}
    lacking = there(ip=False, shared=False), ResolverState()
    poor = having(*lacking, given={"without": ("python",)})

    fleet = Fleet(nodes, prepare=False).done(resolver.resolver, **GONE)
    stays = f"the resolver stays, because these containers use it: shop, {OTHER_ID[:12]}"
    assert said(caplog).count(stays) == 1
    Fleet({"a": poor}, prepare=False).done(resolver.resolver, **GONE)

    assert (nodes["a"].acted(), fleet.failed()) == (acted, set())
    assert poor.acted() == ["resolver remove"]
    assert poor.of("resolver remove").files == {}


ASKED = "f" * 64
METRICS = {"gvisor_textfile_dir": "/srv/text", "gvisor_proof": "never"}
NAMED = {"gvisor_runtimes": {"gvisor": {"network": "sandbox", "dns": "docker"}}}
INSTALLATION = ["release", "wrappers", "daemon.json", "link"]


@table(
    "data, found, expected",
    neither_wanted_nor_there=({}, BARE, []),
    wanted=(NAMED, BARE, ["resolver"]),
    wanted_and_there=(NAMED, there(), []),
    wanted_and_down=(NAMED, there(service="failed"), ["resolver"]),
    no_runtime_has_dns_any_more=({}, there(), ["resolver remove"]),
    no_runtime=({"gvisor_runtimes": {}}, there(), ["resolver remove"]),
    not_wanted_and_asked=({}, there(asks=(ASKED,)), []),
)
def test_a_deploy_has_it_first(data: Data, found: ResolverState, expected: list[str]) -> None:
    nodes = {"a": having(found, data={"gvisor_proof": "never", **data})}

    fleet = Fleet(nodes).deployed(run_node)

    more = INSTALLATION if data.get("gvisor_runtimes") != {} else ["daemon.json"]
    more = [*more, "keeper"] if data is NAMED else more
    assert nodes["a"].acted() == [*expected, *more]
    assert fleet.failed() == set()


def test_what_answers_for_docker_is_there_behind_docker_and_before_a_release() -> None:
    missing = answer(without=("info", "dockerd", "clock", "docker_client"))
    steps = ((BARE, missing), (BARE, answer()), (there(), answer()))
    answers = [[*told(found), *lines] for found, lines in steps]
    data = {**NAMED, "gvisor_docker": "debian", "gvisor_proof": "never"}
    nodes = {"a": Node(answers, data=data)}

    Fleet(nodes, prepare=False).deployed(run_node)

    assert nodes["a"].acted() == ["docker", "resolver", *INSTALLATION, "keeper"]

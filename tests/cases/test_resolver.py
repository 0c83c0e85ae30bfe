"""``resolver.resolver`` on the real engine: there, as it has to be, or gone."""

from __future__ import annotations

from pyinfra_gvisor.operations import resolver
from pyinfra_gvisor.parts.resolver.files import SERVICE, kept_files
from pyinfra_gvisor.parts.resolver.state import ResolverState
from tests.arguments import Log
from tests.cases.fleet import Fleet
from tests.cases.guarded import said
from tests.cases.naming import having
from tests.table import table
from tests.unit.answers import Running, answer
from tests.unit.resolver.resolver_answers import ABLE, there

BARE = ResolverState(**ABLE)
ANSWER = "answer DNS queries of sandboxes at 169.254.53.53 port 53, as Docker does"
WANTED = {"wanted": True}
GONE = {"wanted": False}
SHOP = Running("shop")
SHOP_ID = answer(containers=[SHOP])[-2].split('"Id":"')[1][:64]
OTHER_ID = "7e" * 32


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


def test_it_is_told_where_its_metrics_go_and_whom_dockerd_asks() -> None:
    nodes = {"a": having(BARE, given={"daemon_json": '{"dns": ["9.9.9.9"]}'})}

    Fleet(nodes, prepare=False).done(resolver.resolver, **WANTED, textfile_dir="/srv/text")

    sent = nodes["a"].of("resolver")
    _, unit = sent.files[SERVICE]
    assert (
        "ExecStart=/usr/bin/python3 -I -B /opt/gvisor/resolver --resolver=9.9.9.9 "
        "--textfile=/srv/text/pyinfra_gvisor_resolver.prom\n"
    ) in unit
    assert "\ntextfile_dir=/srv/text\n" in sent.words[0]


def test_one_that_is_not_wanted_and_that_nobody_asks_is_taken_off() -> None:
    nodes = {"a": having(there(), BARE)}

    fleet = Fleet(nodes).done(resolver.resolver, **GONE)

    assert nodes["a"].acted() == ["resolver remove"]
    assert nodes["a"].of("resolver remove").files == {}
    assert fleet.meta["a"].did_change()


@table("service, acted", {"up": ("active", []), "down": ("failed", ["resolver"])})
def test_one_that_is_asked_stays_and_tells_who(service: str, acted: list[str], caplog: Log) -> None:
    asks = (SHOP_ID, OTHER_ID)
    states = there(asks=asks, service=service), there(asks=asks)
    nodes = {"a": having(*states, given={"containers": [SHOP]})}

    fleet = Fleet(nodes, prepare=False).done(resolver.resolver, **GONE)

    assert nodes["a"].acted() == acted
    stays = f"the resolver stays, because these containers use it: shop, {OTHER_ID[:12]}"
    assert said(caplog).count(stays) == 1
    assert fleet.failed() == set()


def test_what_a_node_lacks_is_no_reason_to_keep_it_there() -> None:
    nodes = {"a": having(there(python="", modules=(), ip=False, shared=False), ResolverState())}

    Fleet(nodes, prepare=False).done(resolver.resolver, **GONE)

    assert nodes["a"].acted() == ["resolver remove"]

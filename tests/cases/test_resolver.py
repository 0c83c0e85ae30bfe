"""``resolver.resolver`` on the real engine: there, as it has to be, or gone."""

from __future__ import annotations

from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.operations import resolver
from pyinfra_gvisor.parts.resolver.files import SERVICE, SOCKET, kept_files
from pyinfra_gvisor.parts.resolver.state import ResolverState
from tests.cases.fleet import Fleet
from tests.cases.guarded import said
from tests.cases.naming import having
from tests.unit.answers import Running, answer
from tests.unit.resolver.resolver_answers import ABLE, there

BARE = ResolverState(**ABLE)
ANSWER = "answer DNS queries of sandboxes at 169.254.53.53 port 53, as Docker does"
WANTED = {"wanted": True}
GONE = {"wanted": False}
SHOP = Running("shop")
SHOP_ID = answer(containers=[SHOP])[-2].split('"Id":"')[1][:64]
OTHER_ID = "7e" * 32


def test_it_is_put_there_in_one_command(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    nodes = {"a": having(BARE, there())}
    fleet = Fleet(nodes, DIFF=True)

    meta = fleet.add(resolver.resolver, **WANTED, _sudo=True)
    fleet.run()

    sent = nodes["a"].of("resolver")
    assert nodes["a"].acted() == ["resolver"]
    assert sent.sudo
    assert sent.files == {item.path: (item.mode, item.text) for item in kept_files((), None)}
    assert "\noperation=resolver.resolver\nhost=@fake/a\ntextfile_dir=''\n" in sent.words[0]
    assert meta["a"].did_change()
    writes = [f"write {item.path}" for item in kept_files((), None)]
    assert [line for line in said(caplog) if line in (*writes, ANSWER)] == [*writes, ANSWER]


def test_it_is_told_where_its_metrics_go_and_whom_dockerd_asks() -> None:
    nodes = {"a": having(BARE, given={"daemon_json": '{"dns": ["9.9.9.9"]}'})}
    fleet = Fleet(nodes, prepare=False, DIFF=True)

    fleet.add(resolver.resolver, **WANTED, textfile_dir="/srv/text")
    fleet.run()

    sent = nodes["a"].of("resolver")
    _, unit = sent.files[SERVICE]
    assert (
        "ExecStart=/usr/bin/python3 -I -B /opt/gvisor/resolver --resolver=9.9.9.9 "
        "--textfile=/srv/text/pyinfra_gvisor_resolver.prom\n"
    ) in unit
    assert "\ntextfile_dir=/srv/text\n" in sent.words[0]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(WANTED, there(), id="wanted-and-there"),
        pytest.param(WANTED, there(asks=(SHOP_ID,)), id="wanted-and-asked"),
        pytest.param(GONE, BARE, id="neither-wanted-nor-there"),
        pytest.param(GONE, ResolverState(), id="neither-wanted-nor-possible"),
        pytest.param(GONE, there(asks=(SHOP_ID,)), id="not-wanted-and-asked"),
    ],
)
def test_a_node_that_is_as_declared_is_left_so(
    wanted: dict[str, bool], found: ResolverState
) -> None:
    nodes = {"a": having(found)}
    fleet = Fleet(nodes, DIFF=True)

    meta = fleet.add(resolver.resolver, **wanted)
    fleet.run()

    assert nodes["a"].kinds() == ["state"]
    assert not meta["a"].did_change()


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        pytest.param(there(service="failed"), [ANSWER], id="down"),
        pytest.param(there(enabled=False), [ANSWER], id="not-enabled"),
        pytest.param(
            there([item for item in kept_files((), None) if item.path != SOCKET]),
            [f"write {SOCKET}", ANSWER],
            id="a-file-missing",
        ),
        pytest.param(
            there(strays=("/opt/gvisor/resolver/unfinished",)),
            ["remove /opt/gvisor/resolver/unfinished", ANSWER],
            id="a-run-that-broke-off",
        ),
    ],
)
def test_one_that_is_not_as_declared_is_put_there_again(
    found: ResolverState, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    nodes = {"a": having(found, there())}
    fleet = Fleet(nodes, prepare=False, DIFF=True)

    fleet.add(resolver.resolver, **WANTED)
    again = fleet.add(resolver.resolver, **WANTED)
    fleet.run()

    assert nodes["a"].acted() == ["resolver"]
    assert len(nodes["a"].of("resolver").files) == len(kept_files((), None))
    assert [line for line in said(caplog) if line.startswith(("write", "remove", "ans"))] == lines
    assert not again["a"].did_change()


def test_one_that_is_not_wanted_and_that_nobody_asks_is_taken_off() -> None:
    nodes = {"a": having(there(), BARE)}
    fleet = Fleet(nodes)

    meta = fleet.add(resolver.resolver, **GONE)
    fleet.run()

    assert nodes["a"].acted() == ["resolver remove"]
    assert nodes["a"].of("resolver remove").files == {}
    assert meta["a"].did_change()


def test_one_that_containers_ask_stays_and_they_are_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    nodes = {"a": having(there(asks=(SHOP_ID, OTHER_ID)), given={"containers": [SHOP]})}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(resolver.resolver, **GONE)
    fleet.run()

    assert nodes["a"].acted() == []
    stays = f"the resolver stays, because these containers use it: shop, {OTHER_ID[:12]}"
    assert said(caplog).count(stays) == 1


def test_one_that_containers_ask_and_that_is_down_is_started() -> None:
    nodes = {"a": having(there(asks=(SHOP_ID,), service="failed"), there(asks=(SHOP_ID,)))}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(resolver.resolver, **GONE)
    fleet.run()

    assert nodes["a"].acted() == ["resolver"]
    assert fleet.failed() == set()


def test_preparing_changes_nothing_and_says_what_would_be(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    nodes = {"a": having(BARE), "b": having(there()), "c": having(there(service="failed"))}

    metas = Fleet(nodes, DIFF=True).add(resolver.resolver, **WANTED)

    assert {name: meta.will_change for name, meta in metas.items()} == {
        "a": True,
        "b": False,
        "c": True,
    }
    assert [item.kinds() for item in nodes.values()] == [["state"]] * 3
    assert [ANSWER in said(caplog, name) for name in nodes] == [True, False, True]


WHAT = 'runtimes with "dns": "docker" need'


@pytest.mark.parametrize(
    ("changes", "init", "message"),
    [
        pytest.param({}, "init", f"{WHAT} systemd on the node, got init; ", id="no-systemd"),
        pytest.param(
            {"python": "3.9"}, "systemd", f"{WHAT} Python 3.10 or later, got 3.9; ", id="python"
        ),
        pytest.param({"modules": ()}, "systemd", f"{WHAT} Python's asyncio, ", id="modules"),
        pytest.param({"ip": False}, "systemd", f"{WHAT} ip, got none; ", id="no-ip"),
        pytest.param(
            {"shared": False}, "systemd", f"{WHAT} `/` as a shared mount, got ", id="private-mounts"
        ),
    ],
)
def test_a_node_on_which_it_could_not_run_is_refused_and_others_go_on(
    changes: dict[str, Any], init: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = having(BARE.model_copy(update=changes), given={"init": init})
    fleet = Fleet({"bad": bad, "good": having(there())})

    fleet.add(resolver.resolver, **WANTED)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert bad.kinds() == ["state"]
    assert f"resolver.resolver: pyinfra-gvisor-resolver on @fake/bad: {message}" in caplog.text


def test_what_a_node_lacks_is_no_reason_to_keep_it_there() -> None:
    nodes = {"a": having(there(python="", modules=(), ip=False, shared=False), ResolverState())}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(resolver.resolver, **GONE)
    fleet.run()

    assert nodes["a"].acted() == ["resolver remove"]


def test_a_directory_that_cannot_be_in_a_unit_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    bad = having(BARE)
    fleet = Fleet({"bad": bad}, prepare=False)

    fleet.add(resolver.resolver, **WANTED, textfile_dir="/a b")
    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.run()

    assert bad.kinds() == ["state"]
    what = "the textfile directory cannot be written into a systemd unit"
    assert f"on @fake/bad: {what}, got /a b; write" in caplog.text

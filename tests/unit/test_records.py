"""Our records: lost, damaged or from a newer version, each told apart from a node without us."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.merge import GVISOR, Owned
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.records import (
    COPY_JSON,
    OWNED_JSON,
    UnusableRecord,
    harmless_faults,
    mending,
    newer,
    owned_by_us,
)
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.records import VERSIONS
from pyinfra_gvisor.preflight.wanted import plan_without_us
from tests.unit.answers import RUNSC, after, in_base64, node

ORIGINAL = '{\r\n\t"dns": ["1.1.1.1"] }'
WANTED: dict[str, Json] = {"live-restore": True, "runtimes": {"runsc": RUNSC}}
CHANGED = after(plan_daemon_json(node(daemon_json=ORIGINAL), WANTED))
OWNED = Owned.load(CHANGED["state"]["owned"])
DAMAGED = [
    pytest.param({"without": ("state.owned",)}, "missing", id="missing"),
    pytest.param({"state.owned": ""}, "damaged", id="empty"),
    pytest.param({"state.owned": in_base64('{"paths": ')}, "damaged", id="cut-off"),
    pytest.param({"state.owned": in_base64("[]")}, "damaged", id="a-list"),
    pytest.param({"state.owned": in_base64("{}")}, "damaged", id="an-empty-object"),
    pytest.param({"state.owned": in_base64('{"paths": 7}')}, "damaged", id="another-form"),
    pytest.param({"state.owned": in_base64('{"version": "x"}')}, "damaged", id="no-version"),
]


def changed(**given: Any) -> Node:
    """A node that we have changed, with this of it otherwise."""
    return node(**{**CHANGED, **given})


def without_copy(**given: Any) -> Node:
    """The same, and the second copy is gone, too."""
    return changed(**{**given, "without": (*given.get("without", ()), "state.owned.copy")})


@pytest.mark.parametrize(("given", "state"), DAMAGED)
def test_a_lost_record_is_read_from_its_copy_and_that_is_said(
    given: dict[str, Any], state: str
) -> None:
    found = changed(**given)

    assert owned_by_us(found) == OWNED
    mended = mending(found)
    assert mended
    assert (mended.source, mended.target) == (COPY_JSON, OWNED_JSON)
    assert mended.why == f"{OWNED_JSON} is {state}: restore it"
    assert harmless_faults(found)[-1] == (OWNED_JSON, f"{state}; its second copy counts")


@pytest.mark.parametrize(("given", "state"), DAMAGED)
def test_a_lost_record_without_a_copy_is_refused_with_the_way_out(
    given: dict[str, Any], state: str
) -> None:
    found = without_copy(**given)

    for plan in (lambda: plan_daemon_json(found, {}), lambda: plan_without_us(found, lambda: ())):
        with pytest.raises(UnusableRecord, match=f"{OWNED_JSON} is {state}, .* Lost records"):
            plan()
    assert mending(found) is None


def test_what_was_recovered_gives_the_original_back_to_the_byte() -> None:
    found = changed(without=("state.owned",))

    assert plan_daemon_json(found, {}, owner=GVISOR).after == ORIGINAL


def test_a_record_without_a_copy_gets_one_and_then_rests() -> None:
    mended = mending(without_copy())

    assert mended
    assert (mended.source, mended.target) == (OWNED_JSON, COPY_JSON)
    assert mending(changed()) is None
    assert mending(node()) is None


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="nothing-of-ours"),
        pytest.param({"state": {"last-run": {"result": "reverted"}}}, id="first-change-undone"),
        pytest.param({"state": {"proof": {"failed": []}}}, id="only-a-proof"),
        pytest.param(
            {"daemon_json": '{"runtimes": {"runsc": {"path": "/usr/bin/runsc"}}}'},
            id="older-set-up",
        ),
        pytest.param(
            {"daemon_json": f'{{"runtimes": {{"x": {{"path": "{RUNSC["path"]}", "a": 1}}}}}}'},
            id="an-entry-of-somebodys",
        ),
        pytest.param(
            {"daemon_json": f'{{"runtimes": {{"x": {{"path": "{RUNSC["path"]}"}}}}}}'},
            id="an-entry-of-another-name",
        ),
        pytest.param({"pending": "yes", "generations_owned": "yes"}, id="not-over-yet"),
    ],
)
def test_a_node_without_a_record_is_new_where_there_never_was_one(given: dict[str, Any]) -> None:
    assert owned_by_us(node(**given)) == Owned()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"state.applied": in_base64("{}")}, "owned.json is missing", id="applied"),
        pytest.param(
            {"state.applied": in_base64("x")}, "owned.json is missing", id="applied-damaged"
        ),
        pytest.param(
            {"state": {"last-run": {"result": "applied"}}}, "owned.json is missing", id="last-run"
        ),
        pytest.param({"generations_owned": "yes"}, "owned.json is missing", id="generations"),
        pytest.param(
            {"daemon_json": CHANGED["daemon_json"]},
            "owned.json is missing, but daemon.json has runtimes of ours, got runsc",
            id="nothing-but-our-runtime",
        ),
    ],
)
def test_what_only_we_can_have_left_shows_that_the_record_is_lost(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnusableRecord, match=said):
        owned_by_us(node(**given))


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in VERSIONS])
def test_a_record_of_a_newer_version_is_refused_by_name_with_both_versions(name: str) -> None:
    found = changed(**{f"state.{name}": in_base64('{"version": 999}')})

    refused = newer(found)
    with pytest.raises(UnusableRecord):
        plan_daemon_json(found, WANTED)

    assert f"/{name}.json is from a newer pyinfra-gvisor" in str(refused)
    assert f"knows version {VERSIONS[name]}, got version 999" in str(refused)


@pytest.mark.parametrize("name", ["applied", "last-run", "proof", "proof-try"])
def test_another_damaged_record_stops_no_run_and_what_it_means_is_said(name: str) -> None:
    found = changed(**{f"state.{name}": in_base64("garbage")})

    plan_daemon_json(found, WANTED)

    ((file, what),) = harmless_faults(found)
    assert file == f"/var/lib/pyinfra-gvisor/{name}.json"
    assert what.startswith("damaged: 7 characters that are not a record; ")

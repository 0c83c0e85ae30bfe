"""What a plan writes, what it leaves to others and what it refuses to touch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import dump, plan_daemon_json
from tests.unit.answers import RUNSC, after, info, node

LOGGING: dict[str, Json] = {"log-driver": "json-file", "log-opts": {"max-size": "10m"}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"daemon_json": b"\xff{}"}, "is not UTF-8 text; ", id="not-utf-8"),
        pytest.param(
            {"daemon_json": " \n", "docker": info(ServerVersion="20.10.24+dfsg1")},
            "the file is empty, and Docker before 23.0 does not start with an empty file; write {}",
            id="empty",
        ),
        pytest.param(
            {"daemon_json": '{\n  "a": 1\n  "b": 2\n}'},
            r"line 3 column 3: not JSON \(.*\), got \"b\": 2; ",
            id="not-json",
        ),
        pytest.param({"daemon_json": '{"a": {'}, "line 1 column 8: not JSON", id="cut-off"),
        pytest.param({"daemon_json": '{"a": {\n'}, "line 2 column 1: not JSON", id="cut-off-line"),
        pytest.param(
            {"daemon_json": '{"a": 1, "a": 2}'}, "line 1 column 10: /a exists twice", id="twice"
        ),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(Problem, match=f"^{message}"):
        plan_daemon_json(node(**given), {"live-restore": True})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        pytest.param(
            "unreadable", "^cannot be read; connect as root or with sudo$", id="unreadable"
        ),
        pytest.param("directory", "^is a directory; ", id="directory"),
        pytest.param("dangling", "^is a symbolic link without a target; ", id="dangling"),
    ],
)
def test_a_file_that_is_not_known_is_refused_even_where_nothing_is_wanted(
    state: str, message: str
) -> None:
    found = node()
    found = found.model_copy(
        update={"daemon_json": found.daemon_json.model_copy(update={"state": state})}
    )

    with pytest.raises(Problem, match=message):
        plan_daemon_json(found, {})


@pytest.mark.parametrize(
    "text", [pytest.param("", id="nothing"), pytest.param(" \t\r\n", id="white-space")]
)
def test_an_empty_file_is_taken_as_dockerd_takes_it_and_given_back_to_the_byte(text: str) -> None:
    installed = after(plan_daemon_json(node(daemon_json=text), {"debug": True}))

    plan = plan_daemon_json(node(**installed), {})

    assert json.loads(installed["daemon_json"]) == {"debug": True}
    assert plan.after == text
    assert json.loads(plan.neutral or "null") == {"debug": False}


def test_what_cannot_work_on_the_node_is_refused() -> None:
    found = node(docker=info(swarm="active"))

    with pytest.raises(Problem, match="swarm"):
        plan_daemon_json(found, {"live-restore": True})


@pytest.mark.parametrize(
    ("key", "wrote", "neutral"),
    [
        pytest.param("live-restore", True, False, id="live-restore"),
        pytest.param("debug", True, False, id="debug"),
        pytest.param("labels", ["a=b"], [], id="labels"),
        pytest.param("registry-mirrors", ["https://x"], [], id="registry-mirrors"),
        pytest.param("insecure-registries", ["x:5000"], [], id="insecure-registries"),
        pytest.param("runtimes", {"runsc": RUNSC}, {}, id="runtimes"),
    ],
)
def test_a_key_that_would_stay_live_is_made_neutral_before_it_goes(
    key: str, wrote: Json, neutral: Json
) -> None:
    installed = after(plan_daemon_json(node(daemon_json='{"dns": []}'), {key: wrote}))

    plan = plan_daemon_json(node(**installed), {})

    assert plan.after == '{"dns": []}'
    assert json.loads(plan.neutral or "null") == {"dns": [], key: neutral}


@pytest.mark.parametrize(
    ("wrote", "version", "neutral"),
    [
        pytest.param(["x:5000"], "29.9.2", [], id="before-29.10"),
        pytest.param(["x:5000"], "29.10.0", ["127.0.0.0/8", "::1/128"], id="29.10"),
        pytest.param([], "29.10.0", ["127.0.0.0/8", "::1/128"], id="default-switched-off"),
    ],
)
def test_docker_trusts_loopback_again_when_insecure_registries_go(
    wrote: Json, version: str, neutral: Json
) -> None:
    wanted: dict[str, Json] = {"insecure-registries": wrote}
    installed = after(plan_daemon_json(node(daemon_json='{"dns": []}'), wanted))

    plan = plan_daemon_json(node(**{**installed, "docker": info(ServerVersion=version)}), {})

    assert plan.after == '{"dns": []}'
    assert plan.action is Force.RELOAD
    assert json.loads(plan.neutral or "null") == {"dns": [], "insecure-registries": neutral}


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        pytest.param({"live-restore": False}, {}, id="neutral-already"),
        pytest.param({"userland-proxy": False}, {}, id="read-at-start-only"),
        pytest.param({"labels": ["a=b"]}, {"labels": ["c=d"]}, id="changed-and-not-removed"),
        pytest.param({"debug": True}, {"debug": True}, id="kept"),
    ],
)
def test_no_neutral_value_is_written_where_none_is_needed(
    before: dict[str, Json], wanted: dict[str, Json]
) -> None:
    installed = after(plan_daemon_json(node(), before))

    plan = plan_daemon_json(node(**installed), wanted)

    assert plan.neutral is None


def test_one_runtime_of_two_goes_without_a_neutral_value() -> None:
    both = after(plan_daemon_json(node(), {"runtimes": {"runsc": RUNSC, "net": {"path": "/n"}}}))

    plan = plan_daemon_json(node(**both), {"runtimes": {"runsc": RUNSC}})

    assert plan.neutral is None
    assert plan.action is Force.RELOAD
    assert json.loads(plan.after or "") == {"runtimes": {"runsc": RUNSC}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, {"log-driver": "json-file", "log-opts": {"max-size": "10m"}}, id="none"),
        pytest.param(
            '{"log-driver": "json-file"}',
            {"log-driver": "json-file", "log-opts": {"max-size": "10m"}},
            id="same-driver",
        ),
        pytest.param('{"log-driver": "local"}', {"log-driver": "local"}, id="other-driver"),
        pytest.param(
            '{"log-opts": {"tag": "t"}}',
            {"log-opts": {"tag": "t"}, "log-driver": "json-file"},
            id="options-of-their-own",
        ),
    ],
)
def test_a_default_is_set_only_where_the_node_has_no_value_of_its_own(
    text: str | None, expected: dict[str, Json]
) -> None:
    plan = plan_daemon_json(node(daemon_json=text), {}, if_absent=LOGGING)

    assert json.loads(plan.after or "{}") == expected


def test_a_default_that_we_set_stays_ours_in_later_runs() -> None:
    first = plan_daemon_json(node(), {}, if_absent=LOGGING)

    second = plan_daemon_json(node(**after(first)), {}, if_absent=LOGGING)

    assert not second.changes
    assert second.owned == first.owned


def test_a_default_that_we_set_follows_its_new_value() -> None:
    first = plan_daemon_json(node(), {}, if_absent={"metrics-addr": "127.0.0.1:9323"})

    second = plan_daemon_json(
        node(**after(first)), {}, if_absent={"metrics-addr": "127.0.0.1:9999"}
    )

    assert json.loads(second.after or "") == {"metrics-addr": "127.0.0.1:9999"}
    assert second.drifted == ()


def test_a_default_that_nobody_wants_any_more_goes() -> None:
    first = plan_daemon_json(node(), {}, if_absent=LOGGING)

    second = plan_daemon_json(node(**after(first)), {})

    assert second.after is None


def test_a_default_never_takes_the_place_of_what_is_wanted() -> None:
    wanted: dict[str, Json] = {"live-restore": True, "runtimes": {"runsc": RUNSC}}
    defaults: dict[str, Json] = {"live-restore": False, "runtimes": {"kata": {"path": "/k"}}}

    plan = plan_daemon_json(node(), wanted, if_absent=defaults)

    value = json.loads(plan.after or "")
    assert value["live-restore"] is True
    assert value["runtimes"]["runsc"] == RUNSC


def test_drift_and_what_is_left_to_others_are_told_by_pointer() -> None:
    first = after(plan_daemon_json(node(), {"live-restore": True, "debug": True}))
    first["daemon_json"] = '{"live-restore": false, "debug": false}'

    plan = plan_daemon_json(node(**first), {"live-restore": True})

    assert plan.drifted == ("/live-restore",)
    assert plan.left == ("/debug",)
    assert json.loads(plan.after or "") == {"live-restore": True, "debug": False}


def test_install_then_remove_gives_the_original_file_back() -> None:
    text = '{\r\n\t"dns" : ["1.1.1.1"],\r\n\t"runtimes": { }\r\n}'
    installed = plan_daemon_json(
        node(daemon_json=text), {"live-restore": True, "runtimes": {"runsc": RUNSC}}
    )

    removed = plan_daemon_json(node(**after(installed)), {})

    assert removed.after == text
    assert removed.owned.paths == {}


def test_a_record_of_ours_is_one_line_of_json() -> None:
    assert dump({"a": "x\ny", "b": [1]}) == '{"a":"x\\ny","b":[1]}\n'

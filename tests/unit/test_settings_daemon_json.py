"""What the settings want of daemon.json: the hardened default and the operator's keys over it."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from tests.unit.loaded_settings import good


def test_the_hardened_default_is_what_docker_bench_asks_for() -> None:
    settings = good()

    assert settings.wanted_daemon_json() == {
        "no-new-privileges": True,
        "live-restore": True,
        "userland-proxy": False,
    }
    assert settings.daemon_json_defaults() == {
        "metrics-addr": "127.0.0.1:9323",
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
    }


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param({"live-restore": None}, None, id="none-leaves-it-alone"),
        pytest.param({"live-restore": False}, False, id="false-is-a-value"),
        pytest.param({}, True, id="default"),
    ],
)
def test_an_operators_key_counts_for_more_than_the_hardened_one(
    keys: dict[str, Json], expected: Json
) -> None:
    wanted = good(gvisor_daemon_json=keys).wanted_daemon_json()

    assert wanted.get("live-restore") == expected
    assert wanted["userland-proxy"] is False


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([], id="empty-list"),
        pytest.param({}, id="empty-object"),
        pytest.param(0, id="zero"),
        pytest.param("", id="empty-text"),
        pytest.param(False, id="false"),
    ],
)
def test_an_empty_value_is_owned_with_that_value(value: Json) -> None:
    assert good(gvisor_daemon_json={"x": value}).wanted_daemon_json()["x"] == value


@pytest.mark.parametrize(
    ("data", "key", "expected"),
    [
        pytest.param(
            {"gvisor_daemon_json_if_absent": {"metrics-addr": None}},
            "metrics-addr",
            None,
            id="none-sets-no-default",
        ),
        pytest.param(
            {"gvisor_daemon_json_if_absent": {"log-driver": "local"}},
            "log-driver",
            "local",
            id="own-default",
        ),
        pytest.param(
            {"gvisor_daemon_json": {"metrics-addr": "0.0.0.0:9323"}},
            "metrics-addr",
            None,
            id="owned-is-no-default",
        ),
        pytest.param(
            {"gvisor_daemon_json": {"log-driver": None}}, "log-driver", None, id="left-alone"
        ),
        pytest.param(
            {"gvisor_daemon_json_if_absent": {"mtu": 1400}}, "mtu", 1400, id="another-key"
        ),
    ],
)
def test_a_default_can_be_changed_switched_off_or_owned(
    data: dict[str, Any], key: str, expected: Json
) -> None:
    assert good(**data).daemon_json_defaults().get(key) == expected


def test_what_is_wanted_can_be_changed_by_its_reader_without_changing_the_settings() -> None:
    settings = good()

    settings.wanted_daemon_json()["live-restore"] = "changed"

    assert settings.wanted_daemon_json()["live-restore"] is True

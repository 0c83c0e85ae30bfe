"""What a change of each daemon.json key needs."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.dockerd_keys import (
    FLAG_NAMES,
    KEYS,
    NEUTRAL,
    RECREATE,
    RELOADABLE,
    Force,
    as_rows,
    force_of,
    only_new_containers,
    version_of,
)
from pyinfra_gvisor.dockerd_table import WITHOUT_EFFECT

# notes/docker.md, tried on Docker 26.1.5
BY_SIGHUP = [
    "runtimes",
    "default-runtime",
    "live-restore",
    "debug",
    "labels",
    "features",
    "registry-mirrors",
    "insecure-registries",
    "default-shm-size",
    "default-ipc-mode",
    "default-cgroupns-mode",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "shutdown-timeout",
    "authorization-plugins",
    "network-diagnostic-port",
]
AT_START_ONLY = [
    "no-new-privileges",
    "userland-proxy",
    "metrics-addr",
    "log-driver",
    "log-opts",
    "icc",
    "bip",
    "default-address-pools",
    "dns",
    "exec-opts",
    "cgroup-parent",
    "data-root",
    "storage-driver",
    "seccomp-profile",
    "default-ulimits",
    "userns-remap",
    "iptables",
    "firewall-backend",
    "hosts",
    "log-level",
]


NEUTRALISED = (
    "runtimes",
    "default-runtime",
    "live-restore",
    "labels",
    "registry-mirrors",
    "debug",
)


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in BY_SIGHUP])
def test_a_key_that_dockerd_reloads_needs_no_restart(key: str) -> None:
    assert force_of((key,)) is Force.RELOAD


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in AT_START_ONLY])
def test_a_key_that_sighup_ignores_needs_a_restart(key: str) -> None:
    assert force_of((key,)) is Force.RESTART


@pytest.mark.parametrize("key", [pytest.param(key, id=key or "empty") for key in ("new-key", "")])
def test_a_key_that_nobody_knows_is_restarted_for(key: str) -> None:
    assert force_of((key,)) is Force.RESTART


@pytest.mark.parametrize(
    ("path", "force"),
    [
        pytest.param(("runtimes", "log-driver"), Force.RELOAD, id="inside-runtimes"),
        pytest.param(("log-opts", "debug"), Force.RESTART, id="inside-log-opts"),
    ],
)
def test_an_entry_needs_what_its_key_needs(path: tuple[str, ...], force: Force) -> None:
    assert force_of(path) is force


def test_forces_are_ordered_by_strength() -> None:
    assert Force.NOTHING < Force.RELOAD < Force.RESTART


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(("log-driver",), True, id="log-driver"),
        pytest.param(("log-opts", "max-size"), True, id="inside-log-opts"),
        pytest.param(("default-runtime",), True, id="default-runtime"),
        pytest.param(("no-new-privileges",), True, id="no-new-privileges"),
        pytest.param(("live-restore",), False, id="live-restore"),
        pytest.param(("default-ulimits", "nofile"), False, id="taken-at-a-containers-restart"),
        pytest.param(("userland-proxy",), False, id="userland-proxy"),
    ],
)
def test_only_some_keys_reach_new_containers_alone(path: tuple[str, ...], expected: bool) -> None:
    assert only_new_containers(path) is expected


@pytest.mark.parametrize(
    "key",
    [pytest.param(key, id=key) for key in NEUTRALISED],
)
def test_a_key_whose_omission_keeps_its_value_live_has_a_neutral_value(key: str) -> None:
    assert key in NEUTRAL


def test_only_keys_that_a_reload_takes_over_have_a_neutral_value() -> None:
    assert set(NEUTRAL) <= RELOADABLE


# As a container was seen to keep them over a restart of dockerd and of itself, on 26.1.5 and
# 28.5.2; default-ulimits, init, seccomp-profile and cgroup-parent it then had anew.
def test_what_a_container_keeps_is_what_it_was_seen_to_keep() -> None:
    assert {
        "default-cgroupns-mode",
        "default-ipc-mode",
        "default-runtime",
        "default-shm-size",
        "log-driver",
        "log-opts",
        "no-new-privileges",
    } == RECREATE


def test_every_key_has_a_source_and_its_versions_are_in_order() -> None:
    assert all(key.source.startswith("moby ") for key in KEYS.values())
    assert all(not key.until or key.until > (key.since or (20, 10)) for key in KEYS.values())
    assert all(key.since is None or key.since > (20, 10) for key in KEYS.values())


def test_the_table_is_in_the_order_of_the_alphabet() -> None:
    assert list(KEYS) == sorted(KEYS)


def test_flags_of_another_name_are_known_by_key() -> None:
    assert FLAG_NAMES["labels"] == "label"
    assert FLAG_NAMES["runtimes"] == "add-runtime"
    assert "debug" not in FLAG_NAMES


def test_a_name_without_effect_is_no_key_and_what_is_meant_by_it_is_one() -> None:
    assert not WITHOUT_EFFECT.keys() & KEYS.keys()
    assert {meant for meant in WITHOUT_EFFECT.values() if meant} <= KEYS.keys()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("26.1.5+dfsg1", (26, 1), id="debian"),
        pytest.param("28.5.2", (28, 5), id="docker"),
        pytest.param("20.10.24~rc1", (20, 10), id="candidate"),
        pytest.param("v29.0", (29, 0), id="v"),
        pytest.param("library-import", None, id="no-number"),
        pytest.param("dev", None, id="dev"),
        pytest.param("0.0.0-20241223130549-3b49deb58cdf", None, id="untagged"),
        pytest.param("26", None, id="major-alone"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_version_is_its_first_two_numbers(text: str, version: tuple[int, int] | None) -> None:
    assert version_of(text) == version


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(("debug", "reload", False, "", "moby daemon/reload.go"), id="reload"),
        pytest.param(("log-opts", "restart", True, "", "moby daemon/config/config.go"), id="new"),
        pytest.param(
            ("bip6", "restart", False, "from 28.0", "moby daemon/config/config_linux.go"),
            id="since",
        ),
        pytest.param(
            ("graph", "restart", False, "before 24.0", "moby v20.10 daemon/config/config.go"),
            id="until",
        ),
    ],
)
def test_the_table_can_be_printed(row: tuple[str, str, bool, str, str]) -> None:
    rows = as_rows()

    assert row in rows
    assert rows == sorted(rows)
    assert len(rows) == len(KEYS)

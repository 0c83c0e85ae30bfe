"""What a change of each daemon.json key needs."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.dockerd_keys import NEUTRAL, RELOADABLE, Force, force_of, only_new_containers

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
        pytest.param(("live-restore",), False, id="live-restore"),
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

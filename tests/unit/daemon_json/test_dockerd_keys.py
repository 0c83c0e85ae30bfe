"""What a change of each daemon.json key needs."""

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.key_table import (
    FEATURES_AT_START,
    LOOPBACK,
    WITHOUT_EFFECT,
    Version,
)
from pyinfra_gvisor.daemon_json.keys import (
    FLAG_NAMES,
    KEYS,
    NEUTRAL,
    RECREATE,
    RELOADABLE,
    Force,
    as_rows,
    force_of,
    neutral_values,
    only_new_containers,
    version_of,
)
from tests.table import table

# notes/docker.md, tried on Docker 26.1.5
BY_SIGHUP = [
    *("runtimes", "default-runtime", "live-restore", "debug", "labels", "features"),
    *("registry-mirrors", "insecure-registries", "default-shm-size", "default-ipc-mode"),
    *("default-cgroupns-mode", "max-concurrent-downloads", "max-concurrent-uploads"),
    *("max-download-attempts", "shutdown-timeout", "authorization-plugins"),
    "network-diagnostic-port",
]
AT_START_ONLY = [
    *("no-new-privileges", "userland-proxy", "metrics-addr", "log-driver", "log-opts", "icc"),
    *("bip", "default-address-pools", "dns", "exec-opts", "cgroup-parent", "data-root"),
    *("storage-driver", "seccomp-profile", "default-ulimits", "userns-remap", "iptables"),
    *("firewall-backend", "hosts", "log-level"),
]


@pytest.mark.parametrize("key", BY_SIGHUP)
def test_a_key_that_dockerd_reloads_needs_no_restart(key: str) -> None:
    assert force_of((key,)) is Force.RELOAD


@pytest.mark.parametrize("key", [*AT_START_ONLY, "a-key-that-nobody-knows"])
def test_a_key_that_sighup_ignores_needs_a_restart(key: str) -> None:
    assert force_of((key,)) is Force.RESTART


# moby docker-v29.7.2: image_store_choice.go, daemon.go, daemon_unix.go, command/daemon.go and
# command/daemon_unix.go
AT_START = ["cdi", "containerd-migration", "containerd-snapshotter", "embedded-containerd"]


@table(
    "path, force",
    inside_runtimes=(("runtimes", "log-driver"), Force.RELOAD),
    inside_log_opts=(("log-opts", "debug"), Force.RESTART),
    inside_features=(("features", "buildkit"), Force.RELOAD),
    feature_that_nobody_knows=(("features", "no-such"), Force.RELOAD),
    **{name: (("features", name), Force.RESTART) for name in (*AT_START, "time-namespaces")},
)
def test_an_entry_needs_what_its_key_needs(path: tuple[str, ...], force: Force) -> None:
    assert force_of(path) is force
    assert Force.NOTHING < Force.RELOAD < Force.RESTART


# moby docker-v29.7.2: image_store_choice.go, daemon.go, daemon_unix.go, command/daemon.go and
# command/daemon_unix.go
@table(
    "path, expected",
    log_driver=(("log-driver",), True),
    inside_log_opts=(("log-opts", "max-size"), True),
    default_runtime=(("default-runtime",), True),
    no_new_privileges=(("no-new-privileges",), True),
    live_restore=(("live-restore",), False),
    taken_at_a_containers_restart=(("default-ulimits", "nofile"), False),
    userland_proxy=(("userland-proxy",), False),
)
def test_only_some_keys_reach_new_containers_alone(path: tuple[str, ...], expected: bool) -> None:
    assert only_new_containers(path) is expected


def test_only_keys_that_a_reload_takes_over_have_a_neutral_value() -> None:
    assert "default-runtime" in NEUTRAL
    assert set(NEUTRAL) <= RELOADABLE
    assert set(neutral_values((99, 0))) <= RELOADABLE


# Release notes of Docker 29.10.0: an empty list switches the default for loopback off.
@table(
    "version, value",
    {
        "20.10": ((20, 10), []),
        "29.9": ((29, 9), []),
        "29.10": ((29, 10), LOOPBACK),
        "30.0": ((30, 0), LOOPBACK),
        "unknown": (None, []),
    },
)
def test_no_insecure_registries_leave_dockers_own_default_for_loopback(
    version: Version | None, value: Json
) -> None:
    assert neutral_values(version)["insecure-registries"] == value


@table(
    "version, there",
    which_refuses_the_key=((29, 6), False),
    which_knows_the_key=((29, 7), True),
)
def test_a_key_is_neutralised_only_for_a_dockerd_that_knows_it(
    version: Version, *, there: bool
) -> None:
    assert ("default-stop-timeout" in neutral_values(version)) is there


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
    assert all(
        key.source.startswith("moby ") for key in (*KEYS.values(), *FEATURES_AT_START.values())
    )
    assert all(not key.until or key.until > (key.since or (20, 10)) for key in KEYS.values())
    assert all(key.since is None or key.since > (20, 10) for key in KEYS.values())


def test_the_table_is_in_the_order_of_the_alphabet() -> None:
    assert list(KEYS) == sorted(KEYS)
    assert list(FEATURES_AT_START) == sorted(FEATURES_AT_START)


def test_flags_of_another_name_are_known_by_key() -> None:
    assert FLAG_NAMES["labels"] == "label"
    assert FLAG_NAMES["runtimes"] == "add-runtime"
    assert "debug" not in FLAG_NAMES


def test_a_name_without_effect_is_no_key_and_what_is_meant_by_it_is_one() -> None:
    assert not WITHOUT_EFFECT.keys() & KEYS.keys()
    assert {meant for meant in WITHOUT_EFFECT.values() if meant} <= KEYS.keys()


@table(
    "text, version",
    debian=("26.1.5+dfsg1", (26, 1)),
    candidate=("20.10.24~rc1", (20, 10)),
    v=("v29.0", (29, 0)),
    no_number=("library-import", None),
    untagged=("0.0.0-20241223130549-3b49deb58cdf", None),
    major_alone=("26", None),
    empty=("", None),
)
def test_a_version_is_its_first_two_numbers(text: str, version: tuple[int, int] | None) -> None:
    assert version_of(text) == version


STORE = "features/containerd-snapshotter"
CONFIG, CONFIG_20 = "moby daemon/config/config", "moby v20.10 daemon/config/config"


@table(
    "key, row",
    reload=("debug", ("reload", False, "", "moby daemon/reload.go")),
    new=("log-opts", ("restart", True, "", f"{CONFIG}.go")),
    member=(STORE, ("restart", False, "from 24.0", "moby v29 daemon/image_store_choice.go")),
    since=("bip6", ("restart", False, "from 28.0", f"{CONFIG}_linux.go")),
    until=("graph", ("restart", False, "before 24.0", f"{CONFIG_20}.go")),
)
def test_the_table_can_be_printed(key: str, row: tuple[str, bool, str, str]) -> None:
    rows = as_rows()

    assert (key, *row) in rows
    assert rows == sorted(rows)
    assert len(rows) == len(KEYS) + len(FEATURES_AT_START)

"""Every ``gvisor_*`` key: what it takes, and what is said about what it does not take."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pyinfra_gvisor.releases import Release
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import host_timeout_s, load_settings
from tests.unit.loaded_settings import good, problems_of

SHA = "ab" * 64
UNKNOWN = "20250101.0"  # a release whose checksum this package does not know


@pytest.mark.parametrize(
    ("data", "attribute", "value"),
    [
        pytest.param({}, "release", "20260928.0", id="release-default"),
        pytest.param({"gvisor_release": "20260831.00"}, "release", "20260831.0", id="release"),
        pytest.param({}, "source", "official", id="source-default"),
        pytest.param({"gvisor_source": "debian"}, "source", "debian", id="source-debian"),
        pytest.param({"gvisor_source": "https://m/x"}, "source", "https://m/x", id="source-url"),
        pytest.param({"gvisor_source": "/srv/{arch}"}, "source", "/srv/{arch}", id="source-path"),
        pytest.param({"gvisor_sha512": {"x86_64": SHA}}, "sha512", {"x86_64": SHA}, id="sha512"),
        pytest.param({}, "runtimes", {"runsc": Runtime(network="host")}, id="runtimes-default"),
        pytest.param({"gvisor_runtimes": {}}, "runtimes", {}, id="no-runtimes"),
        pytest.param(
            {"gvisor_runtimes": {"net2": {"network": "sandbox", "flags": ["--debug"]}}},
            "runtimes",
            {"net2": Runtime(network="sandbox", flags=("--debug",))},
            id="runtimes",
        ),
        pytest.param({"gvisor_daemon_json": {"dns": []}}, "daemon_json", {"dns": []}, id="keys"),
        pytest.param({"gvisor_docker": "docker-ce"}, "docker", "docker-ce", id="docker"),
        pytest.param({"gvisor_proof": "never"}, "proof", "never", id="proof"),
        pytest.param({"gvisor_accept_risk": None}, "accept_risk", None, id="no-risk"),
        pytest.param({"gvisor_apply_timeout_s": 1}, "apply_timeout_s", 1, id="shortest-timeout"),
        pytest.param({"gvisor_apply_timeout_s": 3600}, "apply_timeout_s", 3600, id="longest"),
        pytest.param({"gvisor_restart_wait_s": 0}, "restart_wait_s", 0, id="no-wait"),
        pytest.param({}, "restart", "auto", id="restart-default"),
        pytest.param({"gvisor_restart": "reload"}, "restart", "reload", id="restart-owed"),
        pytest.param({"gvisor_restart": "never"}, "restart", "never", id="restart-never"),
        pytest.param({}, "generation", None, id="newest-generation"),
        pytest.param({"gvisor_generation": 1}, "generation", 1, id="generation"),
        pytest.param({}, "keep_running", False, id="keep-running-default"),
        pytest.param({"gvisor_keep_running": True}, "keep_running", True, id="keep-running"),
        pytest.param({"ssh_user": "x", "_sudo": True}, "proof", "changed", id="others-data"),
    ],
)
def test_a_good_value_is_taken(data: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(good(**data), attribute) == value


RUNTIMES = "gvisor_runtimes"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        pytest.param(
            "gvisor_release",
            "latest",
            "not a gVisor release, got latest; write its date and number, such as 20260928.0",
            id="release",
        ),
        pytest.param(
            "gvisor_release",
            20260928.0,
            "must be a string, because a number loses digits, got 20260928.0; quote it",
            id="release-without-quotes",
        ),
        pytest.param("gvisor_release", "-1", "not a gVisor release, got -1; ", id="release-option"),
        pytest.param(
            "gvisor_source", "mirror", "not a valid source, got mirror; write ", id="source"
        ),
        pytest.param("gvisor_source", "ftp://m/x", "not a valid source, got ftp", id="source-ftp"),
        pytest.param(
            "gvisor_source", "./x.tar", "not a valid source, got ./x.tar", id="source-relative"
        ),
        pytest.param("gvisor_source", "", "not a valid source, got ; ", id="source-empty"),
        pytest.param(
            "gvisor_sha512",
            {"x86_64": "AB" * 64},
            "['x86_64'] not a sha512, got ABAB",
            id="sha-case",
        ),
        pytest.param(
            "gvisor_sha512", {"x86_64": SHA[:-1]}, "['x86_64'] not a sha512, got ", id="sha-short"
        ),
        pytest.param(
            "gvisor_sha512",
            {"x86_64": SHA + "\n"},
            "['x86_64'] not a sha512, got ",
            id="sha-newline",
        ),
        pytest.param("gvisor_sha512", {"amd64": SHA}, "['amd64'] input should be", id="sha-arch"),
        pytest.param("gvisor_sha512", SHA, "input should be a valid dict", id="sha-text"),
        pytest.param(
            RUNTIMES, {"runc": {}}, "not a valid runtime name, got runc; use", id="name-runc"
        ),
        pytest.param(
            RUNTIMES, {"runsc-net": {}}, "not a valid runtime name, got runsc-net", id="hyphen"
        ),
        pytest.param(
            RUNTIMES, {"Runsc": {}}, "not a valid runtime name, got Runsc", id="upper-case"
        ),
        pytest.param(
            RUNTIMES, {"runsc\n": {}}, "not a valid runtime name, got runsc?", id="newline"
        ),
        pytest.param(RUNTIMES, {"a b": {}}, "not a valid runtime name, got a b", id="name-space"),
        pytest.param(RUNTIMES, {"": {}}, "not a valid runtime name, got ; use", id="name-empty"),
        pytest.param(
            RUNTIMES,
            {"runsc": {"network": "hostinet"}},
            "['runsc']['network'] input should be 'host', 'sandbox' or 'none', got hostinet",
            id="network",
        ),
        pytest.param(
            RUNTIMES,
            {"runsc": {"netwrk": "host"}},
            "['runsc']['netwrk'] unknown key, got host; use network",
            id="mistyped-inside",
        ),
        pytest.param(
            RUNTIMES, {"runsc": {"platform": "xen"}}, "['runsc']['platform'] input", id="platform"
        ),
        pytest.param(
            RUNTIMES,
            {"runsc": {"flags": ["--network=none"]}},
            "['runsc']['flags'] --network has a key of its own, got --network=none; use the "
            "key network",
            id="network-as-a-flag",
        ),
        pytest.param(
            RUNTIMES, {"runsc": {"flags": ["debug"]}}, "['runsc']['flags']['0'] str", id="no-flag"
        ),
        pytest.param(
            RUNTIMES,
            {"runsc": {"flags": ["--x=$(id)"]}},
            "['runsc']['flags']['0'] string should match",
            id="flag-with-shell",
        ),
        pytest.param(
            RUNTIMES,
            {"runsc": {"flags": ["--x=a b"]}},
            "['runsc']['flags']['0'] string should match",
            id="flag-with-space",
        ),
        pytest.param(
            RUNTIMES,
            {"netraw": {"flags": ["--net-raw"]}},
            "['netraw'] a reason is required for: raw sockets of the host kernel "
            '(--net-raw); remove these options, or add "reason"',
            id="danger",
        ),
        pytest.param(
            RUNTIMES,
            {"acanary": {}},
            "names that end in canary are reserved to try",
            id="name-canary",
        ),
        pytest.param(
            RUNTIMES, {"runsc": {"overlay": "all"}}, "['runsc']['overlay'] input", id="overlay"
        ),
        pytest.param(
            RUNTIMES, {"runsc": {"host_uds": True}}, "['runsc']['host_uds'] in", id="host-uds"
        ),
        pytest.param(
            RUNTIMES,
            {"runsc": {"panic_log": "/tmp/x"}},
            "['runsc']['panic_log'] not a path below /var/log, got /tmp/x; write such a path",
            id="panic-log",
        ),
        pytest.param(
            RUNTIMES,
            {"runsc": {"host-uds": "all"}},
            "['runsc']['host-uds'] unknown key, got all; use host_uds",
            id="hyphen-inside",
        ),
        pytest.param(RUNTIMES, {"runsc": {"flags": "--x"}}, "['runsc']['flags'] in", id="one-flag"),
        pytest.param(RUNTIMES, ["runsc"], "input should be a valid dictionary", id="a-list"),
        pytest.param(
            "gvisor_daemon_json",
            {"runtimes": {"x": {}}},
            "the key runtimes cannot be set here; use gvisor_runtimes",
            id="daemon-json-runtimes",
        ),
        pytest.param("gvisor_daemon_json", "{}", "input should be a valid dict", id="daemon-json"),
        pytest.param(
            "gvisor_daemon_json_if_absent",
            {"runtimes": {"x": {}}},
            "the key runtimes cannot be set here; use gvisor_runtimes",
            id="defaults-runtimes",
        ),
        pytest.param(
            "gvisor_docker",
            "snap",
            "input should be 'present', 'debian' or 'docker-ce', got snap",
            id="docker",
        ),
        pytest.param("gvisor_proof", True, "input should be 'changed', 'always' or", id="proof"),
        pytest.param("gvisor_accept_risk", "yes", "string should have at least 10", id="no-reason"),
        pytest.param("gvisor_accept_risk", True, "input should be a valid string", id="risk-true"),
        pytest.param(
            "gvisor_apply_timeout_s",
            0,
            "input should be greater than or equal to 1",
            id="timeout-0",
        ),
        pytest.param("gvisor_apply_timeout_s", 3601, "input should be less than", id="timeout-big"),
        pytest.param("gvisor_apply_timeout_s", "60", "input should be a valid int", id="text"),
        pytest.param("gvisor_apply_timeout_s", True, "input should be a valid int", id="true"),
        pytest.param("gvisor_restart_wait_s", -1, "input should be greater", id="wait-negative"),
        pytest.param("gvisor_restart_wait_s", 1.5, "input should be a valid int", id="wait-half"),
    ],
)
def test_a_bad_value_is_told_by_its_key_with_what_was_got(
    key: str, value: object, message: str
) -> None:
    problems = problems_of(**{key: value})

    assert list(problems) == [key]
    assert problems[key].startswith(message)
    assert "\n" not in problems[key]


@pytest.mark.parametrize(
    ("data", "limit_s"),
    [
        pytest.param({}, 1800, id="default"),
        pytest.param({"gvisor_restart_wait_s": 3000}, 3720, id="long-wait"),
        pytest.param(
            {"gvisor_restart_wait_s": 1799, "gvisor_apply_timeout_s": 3600}, 9599, id="long-apply"
        ),
        pytest.param({"gvisor_host_timeout_s": 500}, 500, id="explicit"),
        pytest.param({"gvisor_host_timeout_s": None}, 1800, id="none"),
    ],
)
def test_a_host_has_time_for_every_wait_of_a_change(data: dict[str, Any], limit_s: int) -> None:
    good(**data)

    assert host_timeout_s(data.get) == limit_s


@pytest.mark.parametrize("value", ["60", True, 0, -1], ids=repr)
def test_of_an_invalid_time_limit_the_default_holds_until_it_is_refused(value: object) -> None:
    assert host_timeout_s({"gvisor_host_timeout_s": value}.get) == 1800
    assert list(problems_of(gvisor_host_timeout_s=value)) == ["gvisor_host_timeout_s"]


def test_a_time_limit_shorter_than_the_waits_of_a_change_is_refused() -> None:
    waits = {"gvisor_restart_wait_s": 300, "gvisor_apply_timeout_s": 100}

    good(**waits, gvisor_host_timeout_s=501)
    assert problems_of(**waits, gvisor_host_timeout_s=500) == {
        "gvisor_host_timeout_s": "must be more than gvisor_restart_wait_s and twice "
        "gvisor_apply_timeout_s, which are 500 s, got 500; set it to 1100, or remove it"
    }


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        pytest.param("gvisor_relase", "gvisor_release", id="release"),
        pytest.param("gvisor_runtime", "gvisor_runtimes", id="runtimes"),
        pytest.param("gvisor_daemon_jsn", "gvisor_daemon_json", id="daemon-json"),
        pytest.param("gvisor_", "gvisor_", id="nothing-behind-the-prefix"),
        pytest.param("gvisor_platform", "gvisor_", id="unlike-any"),
    ],
)
def test_an_unknown_key_is_told_with_the_keys_that_look_like_it(key: str, nearest: str) -> None:
    problems = problems_of(**{key: "x"})

    assert list(problems) == [key]
    assert re.match(f"unknown key, got x; use .*{nearest}", problems[key])


def test_a_key_like_no_other_is_told_with_where_all_are_listed() -> None:
    problems = problems_of(gvisor_zzzzzzzzzzzzzzzzzzzz=1)

    assert problems["gvisor_zzzzzzzzzzzzzzzzzzzz"].endswith(
        "; list the keys with pyinfra-gvisor schema settings"
    )


def test_of_keys_that_look_like_it_the_one_that_is_meant_is_told_alone() -> None:
    assert problems_of(gvisor_relase="x") == {
        "gvisor_relase": "unknown key, got x; use gvisor_release"
    }


@pytest.mark.parametrize("key", ["gvsor_release", "gviser_runtimes", "gVisor_release"])
def test_a_misspelt_prefix_is_told_like_a_misspelt_key(key: str) -> None:
    (problem,) = problems_of(**{key: "x"}).values()

    assert problem.startswith("unknown key, got x; use gvisor_r")


@pytest.mark.parametrize("key", ["visor_password", "gvisory_board", "release", "server_release"])
def test_a_key_of_somebody_else_is_none_of_ours(key: str) -> None:
    assert load_settings({key: "x"})[1] == {}


def test_every_bad_key_is_told_at_once() -> None:
    problems = problems_of(gvisor_release="x", gvisor_docker="y", gvisor_nothing="z")

    assert set(problems) == {"gvisor_release", "gvisor_docker", "gvisor_nothing"}


def test_two_faults_in_one_key_are_both_told() -> None:
    problems = problems_of(gvisor_runtimes={"a": {"network": "x"}, "b": {"platform": "y"}})

    assert "['a']['network']" in problems["gvisor_runtimes"]
    assert "['b']['platform']" in problems["gvisor_runtimes"]


def test_what_was_got_is_cut() -> None:
    problems = problems_of(gvisor_docker="x" * 500)

    assert "x" * 61 not in problems["gvisor_docker"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"gvisor_sha512": {"x86_64": SHA}}, id="checksum-named"),
        pytest.param({"gvisor_source": "debian"}, id="debians-package"),
        pytest.param({"gvisor_runtimes": {}}, id="no-gvisor"),
    ],
)
def test_a_release_that_this_package_does_not_know_needs_a_checksum_or_none_at_all(
    data: dict[str, Any],
) -> None:
    settings = good(gvisor_release=UNKNOWN, **data)

    assert settings.parsed_release == Release(20250101, 0)


def test_an_unknown_release_without_a_checksum_is_told_at_the_checksum() -> None:
    problems = problems_of(gvisor_release=UNKNOWN)

    assert problems == {
        "gvisor_sha512": f"is not set, and this package has no sha512 of release {UNKNOWN}; "
        'write {"x86_64": "<sha512 of the archive>"}'
    }

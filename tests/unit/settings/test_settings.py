"""Every ``gvisor_*`` key: what it takes, and what is said about what it does not take."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.releases import Release
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import host_timeout_s, load_settings
from tests.unit.settings.loaded_settings import good, problems_of

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


# What is said of a value, by the key without its prefix.
BAD: dict[str, list[tuple[object, str]]] = {
    "release": [
        (
            "latest",
            "not a gVisor release, got latest; write its date and number, such as 20260928.0",
        ),
        (20260928.0, "must be a string, because a number loses digits, got 20260928.0; quote it"),
        ("-1", "not a gVisor release, got -1; "),
    ],
    "source": [
        ("mirror", "not a valid source, got mirror; write "),
        ("ftp://m/x", "not a valid source, got ftp"),
        ("./x.tar", "not a valid source, got ./x.tar"),
        ("", "not a valid source, got ; "),
    ],
    "sha512": [
        ({"x86_64": "AB" * 64}, "['x86_64'] not a sha512, got ABAB"),
        ({"x86_64": SHA[:-1]}, "['x86_64'] not a sha512, got "),
        ({"x86_64": SHA + "\n"}, "['x86_64'] not a sha512, got "),
        ({"amd64": SHA}, "['amd64'] input should be"),
        (SHA, "input should be a valid dict"),
    ],
    "runtimes": [
        ({"runc": {}}, "not a valid runtime name, got runc; use"),
        ({"runsc-net": {}}, "not a valid runtime name, got runsc-net"),
        ({"Runsc": {}}, "not a valid runtime name, got Runsc"),
        ({"runsc\n": {}}, "not a valid runtime name, got runsc?"),
        ({"a b": {}}, "not a valid runtime name, got a b"),
        ({"": {}}, "not a valid runtime name, got ; use"),
        (
            {"runsc": {"network": "hostinet"}},
            "['runsc']['network'] input should be 'host', 'sandbox' or 'none', got hostinet",
        ),
        ({"runsc": {"netwrk": "host"}}, "['runsc']['netwrk'] unknown key, got host; use network"),
        ({"runsc": {"platform": "xen"}}, "['runsc']['platform'] input"),
        (
            {"runsc": {"flags": ["--network=none"]}},
            (
                "['runsc']['flags'] --network has a key of its own, got --network=none; use the "
                "key network"
            ),
        ),
        ({"runsc": {"flags": ["debug"]}}, "['runsc']['flags']['0'] str"),
        ({"runsc": {"flags": ["--x=$(id)"]}}, "['runsc']['flags']['0'] string should match"),
        ({"runsc": {"flags": ["--x=a b"]}}, "['runsc']['flags']['0'] string should match"),
        (
            {"netraw": {"flags": ["--net-raw"]}},
            (
                "['netraw'] a reason is required for: raw sockets of the host kernel "
                '(--net-raw); remove these options, or add "reason"'
            ),
        ),
        ({"acanary": {}}, "names that end in canary are reserved to try"),
        ({"runsc": {"overlay": "all"}}, "['runsc']['overlay'] input"),
        ({"runsc": {"host_uds": True}}, "['runsc']['host_uds'] in"),
        (
            {"runsc": {"panic_log": "/tmp/x"}},
            "['runsc']['panic_log'] not a path below /var/log, got /tmp/x; write such a path",
        ),
        (
            {"runsc": {"host-uds": "all"}},
            "['runsc']['host-uds'] unknown key, got all; use host_uds",
        ),
        ({"runsc": {"flags": "--x"}}, "['runsc']['flags'] in"),
        (["runsc"], "input should be a valid dictionary"),
    ],
    "daemon_json": [
        ({"runtimes": {"x": {}}}, "the key runtimes cannot be set here; use gvisor_runtimes"),
        ("{}", "input should be a valid dict"),
    ],
    "daemon_json_if_absent": [
        ({"runtimes": {"x": {}}}, "the key runtimes cannot be set here; use gvisor_runtimes"),
    ],
    "docker": [
        ("snap", "input should be 'present', 'debian' or 'docker-ce', got snap"),
    ],
    "proof": [
        (True, "input should be 'changed', 'always' or"),
    ],
    "accept_risk": [
        ("yes", "string should have at least 10"),
        (True, "input should be a valid string"),
    ],
    "apply_timeout_s": [
        (0, "input should be greater than or equal to 1"),
        (3601, "input should be less than"),
        ("60", "input should be a valid int"),
        (True, "input should be a valid int"),
    ],
    "restart_wait_s": [
        (-1, "input should be greater"),
        (1.5, "input should be a valid int"),
    ],
    "restart": [
        ("later", "input should be 'auto', 'reload' or 'never', got later"),
        (False, "input should be 'auto', 'reload'"),
        (None, "input should be 'auto', 'reload'"),
    ],
    "generation": [
        (0, "input should be greater than or equal"),
        (-1, "input should be greater than"),
        ("3", "input should be a valid integer"),
        (3.0, "input should be a valid integer"),
        (True, "input should be a valid integer"),
    ],
    "keep_running": [
        ("yes", "input should be a valid bool"),
        (1, "input should be a valid bool"),
        (None, "input should be a valid bool"),
    ],
}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [(f"gvisor_{key}", *row) for key, rows in BAD.items() for row in rows],
    ids=ascii,
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
    ("key", "said"),
    [
        pytest.param("gvisor_relase", "use gvisor_release$", id="the-one-that-is-meant-alone"),
        pytest.param("gvisor_runtime", "use .*gvisor_runtimes", id="runtimes"),
        pytest.param("gvisor_daemon_jsn", "use .*gvisor_daemon_json", id="daemon-json"),
        pytest.param("gvisor_", "use .*gvisor_", id="nothing-behind-the-prefix"),
        pytest.param("gvsor_release", "use gvisor_r", id="misspelt-prefix"),
        pytest.param("gviser_runtimes", "use gvisor_r", id="misspelt-prefix-of-runtimes"),
        pytest.param("gVisor_release", "use gvisor_r", id="capital"),
        pytest.param(
            "gvisor_zzzzzzzzzzzzzzzzzzzz",
            "list the keys with pyinfra-gvisor schema settings$",
            id="like-no-other",
        ),
    ],
)
def test_an_unknown_key_is_told_with_the_keys_that_look_like_it(key: str, said: str) -> None:
    problems = problems_of(**{key: "x"})

    assert list(problems) == [key]
    assert re.match(f"unknown key, got x; {said}", problems[key])


@pytest.mark.parametrize("key", ["visor_password", "gvisory_board", "release", "server_release"])
def test_a_key_of_somebody_else_is_none_of_ours(key: str) -> None:
    assert load_settings({key: "x"})[1] == {}


def test_every_bad_key_and_every_fault_of_one_is_told_at_once() -> None:
    wrong = {"a": {"network": "x"}, "b": {"platform": "y"}}

    problems = problems_of(gvisor_release="x", gvisor_runtimes=wrong, gvisor_nothing="z")

    assert set(problems) == {"gvisor_release", "gvisor_runtimes", "gvisor_nothing"}
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


LOOSE = {"runsc": SHA, "containerd-shim-runsc-v1": SHA}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"gvisor_source": "github"}, id="github"),
        pytest.param(
            {"gvisor_release": "20260817.0", "gvisor_sha512": {"x86_64": LOOSE}}, id="loose"
        ),
        pytest.param(
            {"gvisor_source": "apt", "gvisor_sha512": {"aarch64": {"runsc.deb": SHA}}}, id="apt"
        ),
        pytest.param(
            {"gvisor_source": "apt+https://m/x", "gvisor_sha512": {"x86_64": {"runsc.deb": SHA}}},
            id="a-mirror-of-apt",
        ),
        pytest.param(
            {"gvisor_release": "20260817.0", "gvisor_source": "/srv", "gvisor_sha512": {}}
            | {"gvisor_sha512": {"x86_64": LOOSE}},
            id="loose-files-in-a-directory-on-the-controller",
        ),
    ],
)
def test_a_source_and_its_sums_are_taken_together(data: dict[str, Any]) -> None:
    settings = good(**data)

    assert settings.archive.sha512 == data.get("gvisor_sha512", {})


def test_the_timeout_goes_with_the_source() -> None:
    assert good(gvisor_download_timeout_s=7).archive.download_timeout_s == 7


@pytest.mark.parametrize(
    ("data", "key", "message"),
    [
        pytest.param(
            {"gvisor_sha512": {"x86_64": {"README": SHA}}},
            "gvisor_sha512",
            "['x86_64'] not a file of a release, got README; write gvisor.tar.bz2 or runsc or ",
            id="no-such-file",
        ),
        pytest.param(
            {"gvisor_sha512": {"x86_64": {"runsc": SHA[:-1]}}},
            "gvisor_sha512",
            "['x86_64'] not a sha512 of runsc, got abab",
            id="short-sum-of-a-file",
        ),
        pytest.param(
            {"gvisor_source": "apt"},
            "gvisor_sha512",
            "the sha512 of runsc.deb is unknown, got gvisor.tar.bz2; set gvisor_sha512 = ",
            id="apt-without-a-sum",
        ),
        pytest.param(
            {"gvisor_release": "20260817.0", "gvisor_source": "github"}
            | {"gvisor_sha512": {"x86_64": LOOSE}},
            "gvisor_sha512",
            "GitHub has only archives, but releases up to 20260817.0 are loose files; use ",
            id="loose-files-from-github",
        ),
        pytest.param(
            {"gvisor_source": "ftp://me:secret@m/x"},
            "gvisor_source",
            "not a valid source, got ftp://m/x; write official, github, apt, debian, a URL or",
            id="password-of-a-bad-source",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_before_any_node_is_asked(
    data: dict[str, Any], key: str, message: str
) -> None:
    problems = problems_of(**data)

    assert list(problems) == [key]
    assert problems[key].startswith(message)

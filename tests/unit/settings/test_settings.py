"""Every ``gvisor_*`` key: what it takes, and what is said about what it does not take."""

import ast
import re
from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import (
    EXAMPLES,
    PREFIX,
    Settings,
    host_timeout_s,
    load_moved_settings,
    load_settings,
)
from tests.arguments import Data
from tests.table import table
from tests.unit.settings.loaded_settings import good, problems_of

SHA = "ab" * 64
KNOWN = "20260928.0"
UNKNOWN = "20250101.0"  # a release whose checksum this package does not know


@table(
    "data, attribute, value",
    release=({"gvisor_release": "20260831.00"}, "release", "20260831.0"),
    runtimes_default=({}, "runtimes", {"runsc": Runtime(network="host")}),
    runtimes=(
        {"gvisor_runtimes": {"net2": {"network": "sandbox", "flags": ["--debug"]}}},
        "runtimes",
        {"net2": Runtime(network="sandbox", flags=("--debug",))},
    ),
    others_data=({"ssh_user": "x", "_sudo": True}, "proof", "changed"),
    any_release=({"gvisor_release": UNKNOWN, "gvisor_runtimes": {}}, "runtimes", {}),
)
def test_a_good_value_is_taken(data: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(good(**data), attribute) == value


LISTS_AND_TABLES = ("dict", "tuple", "Egress", "Kernel", "Seal", "Infrastructure")


def test_a_setting_that_is_a_list_or_a_table_has_an_example_which_is_taken() -> None:
    keys = {
        f"{PREFIX}{name}"
        for name, field in Settings.model_fields.items()
        if any(word in str(field.annotation) for word in LISTS_AND_TABLES)
    }
    given = {key: ast.literal_eval(text) for key, text in EXAMPLES.items()}
    del given["gvisor_infrastructure"]  # names a file

    settings, problems = load_settings(given)

    assert (problems, settings is not None) == ({}, True)
    assert keys == {*EXAMPLES}


@table(
    "key, value, says",
    text_for_a_list=("must_sandbox", "x", "must be a list, got x; write for example gvisor_must_"),
    true_for_a_table=("egress", True, "must be a table, a dict of Python, got True; write for ex"),
    text_for_a_table=("runtimes", "runsc", "must be a table, a dict of Python, got runsc; write"),
    text_for_a_number=("keep_releases", "2", "must be a whole number without quotes, got 2"),
    text_for_a_boolean=("watch", "yes", "must be True or False, got yes"),
    list_for_a_text=("report_dir", ["x"], "must be a text in quotes, got ['x']"),
    true_for_a_word=("default", True, "must be 'off', 'sandbox' or 'sandbox-all', got True"),
)
def test_a_value_of_the_wrong_kind_is_told_with_the_line_to_write(
    key: str, value: object, says: str
) -> None:
    assert problems_of(**{f"{PREFIX}{key}": value})[f"{PREFIX}{key}"].startswith(says)


# What is said of a value, by the key without its prefix.
BAD: dict[str, list[tuple[object, str]]] = {
    "release": [
        ("latest", "not a gVisor release, got latest; write its date and number, such as 20260928"),
        (20260928.0, "must be a string, because a number loses digits, got 20260928.0; quote it"),
    ],
    "source": [
        ("mirror", "not a valid source, got mirror; write "),
        (
            "ftp://me:secret@m/x",
            "not a valid source, got ftp://m/x; write official, github, apt, debian, a URL or",
        ),
    ],
    "sha512": [
        ({"x86_64": "AB" * 64}, "['x86_64'] not a sha512, got ABAB"),
        ({"x86_64": SHA[:-1]}, "['x86_64'] not a sha512, got "),
        ({"x86_64": SHA + "\n"}, "['x86_64'] not a sha512, got "),
        (SHA, "must be a table"),
        (
            {"x86_64": {"README": SHA}},
            "['x86_64'] not a file of a release, got README; write gvisor.tar.bz2 or runsc or ",
        ),
        ({"x86_64": {"runsc": SHA[:-1]}}, "['x86_64'] not a sha512 of runsc, got abab"),
    ],
    "runtimes": [
        ({"runc": {}}, "not a valid runtime name, got runc; use"),
        ({"runsc-net": {}}, "not a valid runtime name, got runsc-net"),
        ({"Runsc": {}}, "not a valid runtime name, got Runsc"),
        ({"runsc\n": {}}, "not a valid runtime name, got runsc?"),
        ({"": {}}, "not a valid runtime name, got ; use"),
        (
            {"a": {"network": "x"}},
            "['a']['network'] must be 'host', 'sandbox' or 'none', g",
        ),
        ({"runsc": {"netwrk": "host"}}, "['runsc']['netwrk'] unknown key, got host; use network"),
        (
            {"runsc": {"host-uds": "all"}},
            "['runsc']['host-uds'] unknown key, got all; use host_uds",
        ),
        ({"runsc": {"flags": ["debug"]}}, "['runsc']['flags']['0'] string should match"),
        ({"netraw": {"flags": ["--net-raw"]}}, "['netraw'] a reason is required for: raw sockets"),
        ({"runsc": {"host_uds": True}}, "['runsc']['host_uds'] must be"),
        (
            {"runsc": {"panic_log": "/x"}},
            "['runsc']['panic_log'] not a path below /var/log, got /x",
        ),
        ({"runsc": {"flags": "--x"}}, "['runsc']['flags'] must be"),
    ],
    "daemon_json": [({"runtimes": {}}, "the key runtimes cannot be set here; use gvisor_runtimes")],
    "daemon_json_if_absent": [
        ({"runtimes": {}}, "the key runtimes cannot be set here; use gvisor")
    ],
    "docker": [("snap", "must be 'present', 'debian' or 'docker-ce', got snap")],
    "accept_risk": [(True, "must be a text")],
    "apply_timeout_s": [
        ("60", "must be a whole number"),
        (True, "must be a whole number"),
    ],
    "restart_wait_s": [(1.5, "must be a whole number"), (True, "must be a whole number")],
    "generation": [("3", "must be a whole number"), (True, "must be a whole number")],
    "keep_running": [("yes", "must be True or False"), (1, "must be True or False")],
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


@table(
    "data, limit_s",
    default=({}, 1800),
    long_wait=({"gvisor_restart_wait_s": 3000}, 3720),
    long_apply=({"gvisor_restart_wait_s": 1799, "gvisor_apply_timeout_s": 3600}, 9599),
    explicit=({"gvisor_host_timeout_s": 500}, 500),
    none=({"gvisor_host_timeout_s": None}, 1800),
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


@table(
    "key, said",
    the_one_that_is_meant_alone=("gvisor_relase", "use gvisor_release$"),
    runtimes=("gvisor_runtime", "use .*gvisor_runtimes"),
    daemon_json=("gvisor_daemon_jsn", "use .*gvisor_daemon_json"),
    nothing_behind_the_prefix=("gvisor_", "use .*gvisor_"),
    misspelt_prefix=("gvsor_release", "use gvisor_r"),
    misspelt_prefix_of_runtimes=("gviser_runtimes", "use gvisor_r"),
    capital=("gVisor_release", "use gvisor_r"),
    like_no_other=(
        "gvisor_zzzzzzzzzzzzzzzzzzzz",
        "list the keys with pyinfra-gvisor schema settings$",
    ),
)
def test_an_unknown_key_is_told_with_the_keys_that_look_like_it(key: str, said: str) -> None:
    problems = problems_of(**{key: "x"})

    assert list(problems) == [key]
    assert re.match(f"unknown key, got x; {said}", problems[key])


@pytest.mark.parametrize("key", ["visor_password", "gvisory_board", "release", "server_release"])
def test_a_key_of_somebody_else_is_none_of_ours(key: str) -> None:
    assert load_settings({key: "x"})[1] == {}


def test_every_bad_key_and_every_fault_of_one_is_told_at_once_and_what_was_got_is_cut() -> None:
    wrong = {"a": {"network": "x"}, "b": {"platform": "y"}}

    problems = problems_of(gvisor_release="x", gvisor_runtimes=wrong, gvisor_nothing="z")

    assert set(problems) == {"gvisor_release", "gvisor_runtimes", "gvisor_nothing"}
    assert "['a']['network']" in problems["gvisor_runtimes"]
    assert "['b']['platform']" in problems["gvisor_runtimes"]
    assert "x" * 61 not in problems_of(gvisor_docker="x" * 500)["gvisor_docker"]


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


@table(
    "keys, expected",
    none_leaves_it_alone=({"live-restore": None}, None),
    false_is_a_value=({"live-restore": False}, False),
    zero_is_a_value=({"live-restore": 0}, 0),
    empty_text_is_a_value=({"live-restore": ""}, ""),
    empty_list_is_a_value=({"live-restore": []}, []),
    empty_object_is_a_value=({"live-restore": {}}, {}),
)
def test_an_operators_key_counts_for_more_than_the_hardened_one(keys: Data, expected: Json) -> None:
    wanted = good(gvisor_daemon_json=keys).wanted_daemon_json()

    assert wanted.get("live-restore") == expected
    assert wanted["userland-proxy"] is False


@table(
    "owned, if_absent, key, expected",
    none_sets_no_default=({}, {"metrics-addr": None}, "metrics-addr", None),
    own_default=({}, {"log-driver": "local"}, "log-driver", "local"),
    owned_is_no_default=({"metrics-addr": ":9"}, {}, "metrics-addr", None),
    left_alone=({"log-driver": None}, {}, "log-driver", None),
    another_key=({}, {"mtu": 1400}, "mtu", 1400),
)
def test_a_default_can_be_changed_switched_off_or_owned(
    owned: dict[str, Any], if_absent: dict[str, Any], key: str, expected: Json
) -> None:
    settings = good(gvisor_daemon_json=owned, gvisor_daemon_json_if_absent=if_absent)

    assert settings.daemon_json_defaults().get(key) == expected


def test_what_is_wanted_can_be_changed_by_its_reader_without_changing_the_settings() -> None:
    settings = good()

    settings.wanted_daemon_json()["live-restore"] = "changed"

    assert settings.wanted_daemon_json()["live-restore"] is True


OLD = "20260817.0"
LOOSE = {"x86_64": {"runsc": SHA, "containerd-shim-runsc-v1": SHA}}
DEB = {"x86_64": {"runsc.deb": SHA}}


@table(
    "release, source, sha512",
    github=(KNOWN, "github", {}),
    loose=(OLD, "official", LOOSE),
    apt=(KNOWN, "apt", DEB),
    a_mirror_of_apt=(KNOWN, "apt+https://m/x", DEB),
    loose_files_in_a_directory_on_the_controller=(OLD, "/srv", LOOSE),
    unknown_with_a_checksum=(UNKNOWN, "official", {"x86_64": SHA}),
    unknown_of_debian=(UNKNOWN, "debian", {}),
)
def test_a_release_its_source_and_its_sums_are_taken_together(
    release: str, source: str, sha512: dict[str, Any]
) -> None:
    settings = good(gvisor_release=release, gvisor_source=source, gvisor_sha512=sha512)

    assert (str(settings.parsed_release), settings.source) == (release, source)
    assert settings.archive.sha512 == sha512


def test_the_timeout_goes_with_the_source() -> None:
    assert good(gvisor_download_timeout_s=7).archive.download_timeout_s == 7


def test_apt_needs_the_sum_of_its_package() -> None:
    said = "the sha512 of runsc.deb is unknown, got gvisor.tar.bz2; set gvisor_sha512 = "

    ((key, problem),) = problems_of(gvisor_source="apt").items()

    assert (key, problem.startswith(said)) == ("gvisor_sha512", True)


@table(
    "data, default",
    off=({}, "sandbox"),
    declared=({"gvisor_default": "sandbox-all"}, "sandbox-all"),
    nothing_accepted_yet=({"gvisor_infrastructure": "no/infrastructure.json"}, "sandbox"),
    no_runtime=({"gvisor_runtimes": {}}, "off"),
    contradiction=({"gvisor_exempt": [{"name": "x", "reason": "our own proxy"}]}, "off"),
)
def test_settings_after_the_move_have_a_default_if_that_is_possible(
    data: Data, default: str
) -> None:
    found, problems = load_moved_settings(data)

    assert not problems
    assert found
    assert found.default == default

"""What dockerd would not read, or would read otherwise than it is meant, is refused."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import KEYS
from pyinfra_gvisor.daemon_json.merge import flatten
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.refusals import refuse
from pyinfra_gvisor.node import Node
from tests.unit.answers import info, node
from tests.unit.key_samples import WRONG, right

OURS = [pytest.param(True, id="ours"), pytest.param(False, id="theirs")]


def check(value: dict[str, Json], *, found: Node | None = None, ours: bool = True) -> None:
    """The rules on a file that holds ``value``, which is ours or somebody else's."""
    refuse(found or node(), value, flatten(value) if ours else {})


def with_docker(version: str) -> Node:
    """A node whose dockerd says that it is this version."""
    return node(docker=info(ServerVersion=version))


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in KEYS])
def test_a_key_of_the_table_with_a_value_of_its_kind_is_not_refused(key: str) -> None:
    check({key: right(key)}, found=node(without=("info",), flags=()))


@pytest.mark.parametrize(
    "key", [pytest.param(key, id=key) for key in KEYS if KEYS[key].kind != "ignored"]
)
@pytest.mark.parametrize("ours", OURS)
def test_a_value_of_another_kind_is_refused_by_its_path(key: str, ours: bool) -> None:
    with pytest.raises(Problem, match=f"^/{key}.* (must be|is not registered)"):
        check({key: WRONG[KEYS[key].kind]}, found=node(without=("info",), flags=()), ours=ours)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(
            {"log-opts": {"max-file": 3}},
            '^/log-opts/max-file must be a string, got 3; write "3"$',
            id="number-for-text",
        ),
        pytest.param(
            {"log-opts": {"compress": True}}, 'got true; write "true"$', id="true-for-text"
        ),
        pytest.param({"debug": "true"}, 'got "true"; write true$', id="text-for-true"),
        pytest.param({"debug": 1}, "^/debug must be true or false, got 1; ", id="number-for-true"),
        pytest.param({"mtu": True}, "^/mtu must be a whole number, got true; ", id="true-for-int"),
        pytest.param({"mtu": "1400"}, 'got "1400"; write 1400$', id="text-for-int"),
        pytest.param({"mtu": 1400.0}, r"got 1400\.0; write 1400$", id="point-for-int"),
        pytest.param({"mtu": 2**63}, "^/mtu must be a whole number", id="too-great-an-int"),
        pytest.param({"labels": {"a": "b"}}, "^/labels must be a list of strings, got", id="map"),
        pytest.param({"dns": "1.1.1.1"}, r'write \["1.1.1.1"\]$', id="text-for-list"),
        pytest.param({"dns": ["1.1.1.1", "x"]}, "^/dns/1 must be an IP address", id="no-address"),
        pytest.param({"dns": ["fe80::1%eth0"]}, "^/dns/0 must be an IP address", id="zone"),
        pytest.param({"default-shm-size": None}, "must be a size.*got null", id="null-for-size"),
        pytest.param({"default-shm-size": "64 megs"}, 'such as "64M", got "64 megs"', id="no-size"),
        pytest.param({"default-shm-size": "64ki"}, "must be a size", id="half-a-suffix"),
        pytest.param({"features": {"x": "true"}}, "^/features/x must be true or f", id="feature"),
        pytest.param(
            {"runtimes": {"a": {"path": "/x", "runtimeArgs": "--x"}}},
            r'^/runtimes/a/runtimeArgs must be a list of strings, got "--x"; write \["--x"\]$',
            id="runtime-arguments",
        ),
        pytest.param(
            {"runtimes": {"a": {"path": "/x", "runtimeArgs": ["--x", 1]}}},
            "^/runtimes/a/runtimeArgs/1 must be a string, got 1",
            id="runtime-argument",
        ),
        pytest.param(
            {"default-address-pools": [{"base": "10.0.0.0/8", "size": "24"}]},
            "^/default-address-pools/0/size must be a whole number",
            id="pool-size",
        ),
        pytest.param(
            {"default-ulimits": {"nofile": "1024:2048"}},
            "^/default-ulimits/nofile must be an object such as .*Soft",
            id="ulimit-as-on-the-command-line",
        ),
        pytest.param(
            {"default-ulimits": {"nofile": {"hard": "1"}}},
            "^/default-ulimits/nofile/hard must be a whole number",
            id="field-in-another-case",
        ),
        pytest.param(
            {"builder": {"gc": {"policy": [{"keepStorage": 10}]}}},
            '^/builder/gc/policy/0/keepStorage must be a string, got 10; write "10"$',
            id="builder-policy",
        ),
        pytest.param(
            {"builder": {"history": {"maxAge": "2 days"}}},
            "^/builder/history/maxAge must be a duration",
            id="builder-history",
        ),
        pytest.param(
            {"default-network-opts": {"bridge": {"mtu": 1}}},
            "^/default-network-opts/bridge/mtu must be a string",
            id="network-option",
        ),
    ],
)
def test_a_wrong_value_is_named_by_its_whole_path_with_the_way_out(
    value: dict[str, Json], message: str
) -> None:
    with pytest.raises(Problem, match=message):
        check(value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"debug": None}, id="null-is-not-given"),
        pytest.param({"log-opts": {"max-file": "3", "env": None}}, id="null-inside"),
        pytest.param({"default-ulimits": {"nofile": None}}, id="null-entry"),
        pytest.param({"default-shm-size": "1.5g"}, id="a-fraction"),
        pytest.param({"default-shm-size": "64 MiB"}, id="a-space"),
        pytest.param({"ip": ""}, id="empty-address"),
        pytest.param(
            {"builder": {"GC": {"policy": [{"filter": {"unused-for": {"1h": True}}}]}}},
            id="filter-in-its-old-form",
        ),
        pytest.param({"builder": {"history": {"maxAge": "1h30m", "maxEntries": 5}}}, id="history"),
    ],
)
@pytest.mark.parametrize("ours", OURS)
def test_what_dockerd_reads_is_not_refused(value: dict[str, Json], ours: bool) -> None:
    check(value, ours=ours)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        pytest.param("live_restore", r"^/live_restore .*; did you mean live-restore\?$", id="_"),
        pytest.param(
            "Debug", r"^/Debug is not a key that dockerd knows; .*mean debug\?$", id="case"
        ),
        pytest.param(
            "zzz", "^/zzz is not a key that dockerd knows; remove this name$", id="like-nothing"
        ),
        pytest.param("", "^/ is not a key that dockerd knows; remove this name$", id="empty"),
        pytest.param(
            "label", '^dockerd ignores /label silently; write "labels"$', id="name-of-a-flag"
        ),
        pytest.param("http-proxy", '; write "proxies"$', id="proxy-outside-proxies"),
        pytest.param(
            "version", "^dockerd ignores /version silently; remove this key$", id="version"
        ),
    ],
)
def test_a_key_of_ours_that_dockerd_does_not_know_is_refused(key: str, message: str) -> None:
    with pytest.raises(Problem, match=message):
        check({key: True})


@pytest.mark.parametrize(
    ("value", "path"),
    [
        pytest.param({"live_restore": True}, "/live_restore", id="top"),
        pytest.param({"proxies": {"ftp-proxy": "x"}}, "/proxies/ftp-proxy", id="proxy"),
        pytest.param({"no-such": {"inner": 1}}, "/no-such/inner", id="inside-an-object"),
    ],
)
def test_a_key_of_somebody_else_for_which_dockerd_refuses_the_file_is_refused(
    value: dict[str, Json], path: str
) -> None:
    with pytest.raises(Problem, match=f"^{path} is not a key that dockerd knows; "):
        check(value, ours=False)


@pytest.mark.parametrize(
    ("value", "version"),
    [
        pytest.param({"live_restore": True}, "30.1.0", id="a-later-dockerd-may-know-it"),
        pytest.param({"live_restore": True}, "29.9.0", id="a-later-29-may-know-it"),
        pytest.param({"live_restore": True}, "dev", id="no-version"),
        pytest.param({"label": ["a"]}, "26.1.5", id="name-of-a-flag"),
        pytest.param({"no-such": {}}, "26.1.5", id="empty-object"),
        pytest.param({"no-such": {"debug": True}}, "26.1.5", id="object-with-a-key-inside"),
    ],
)
def test_a_key_of_somebody_else_that_dockerd_might_take_is_theirs(
    value: dict[str, Json], version: str
) -> None:
    check(value, found=with_docker(version), ours=False)


@pytest.mark.parametrize("ours", OURS)
@pytest.mark.parametrize(
    "version", [pytest.param("29.7.1", id="29.7"), pytest.param("29.8.3", id="29.8")]
)
def test_the_keys_of_docker_29_are_known(version: str, ours: bool) -> None:
    with pytest.raises(Problem, match=r"^/wholly-new is not a key that dockerd knows; "):
        check({"wholly-new": 1}, found=with_docker(version), ours=ours)


def test_on_a_later_dockerd_a_key_of_ours_is_only_refused_if_it_looks_misspelt() -> None:
    check({"wholly-new": 1}, found=with_docker("30.0.0"))

    with pytest.raises(Problem, match=r"did you mean live-restore\?"):
        check({"live-restor": True}, found=with_docker("30.0.0"))


@pytest.mark.parametrize(
    ("value", "version", "message"),
    [
        pytest.param(
            {"bip6": "x"}, "26.1.5+dfsg1", "^/bip6 .* 28.0 or later, got 26.1; ", id="new"
        ),
        pytest.param(
            {"proxies": {}}, "20.10.24", "^/proxies .* 23.0 or later, got 20.10", id="old"
        ),
        pytest.param({"graph": "/x"}, "24.0.0", "^/graph .* before 24.0, got 24.0", id="gone"),
        pytest.param(
            {"oom-score-adjust": 1}, "26.1.5", "needs dockerd before 26.0, ", id="just-gone"
        ),
        pytest.param(
            {"apparmor-profile": ""}, "29.7.2", "needs dockerd 29.8 or later", id="new-within-29"
        ),
    ],
)
@pytest.mark.parametrize("ours", OURS)
def test_a_key_of_another_dockerd_is_refused_with_its_versions(
    value: dict[str, Json], version: str, message: str, ours: bool
) -> None:
    with pytest.raises(Problem, match=message):
        check(value, found=with_docker(version), ours=ours)


@pytest.mark.parametrize(
    ("value", "version"),
    [
        pytest.param({"bip6": "x"}, "28.0.0", id="since"),
        pytest.param({"bip6": "x"}, "28.5.2+dfsg4", id="later"),
        pytest.param({"graph": "/x"}, "23.0.9", id="until"),
        pytest.param({"bip6": "x", "graph": "/x"}, "dev", id="unknown"),
    ],
)
def test_a_key_of_this_dockerd_is_not_refused(value: dict[str, Json], version: str) -> None:
    check(value, found=with_docker(version))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(
            {"default-ulimits": {"nofile": {"Name": "nofile", "Hrad": 1}}},
            r"^/default-ulimits/nofile/Hrad is not a known key of this object; did you mean "
            r"Hard\?$",
            id="ulimit",
        ),
        pytest.param(
            {"default-address-pools": [{"base": "10.0.0.0/8", "size": 24, "x": 1}]},
            "^/default-address-pools/0/x is not a known key of this object; use one of base, size$",
            id="pool",
        ),
        pytest.param(
            {"builder": {"gc": {"defaultKeepStorge": "1GB"}}},
            r"^/builder/gc/defaultKeepStorge is not a known key of this object; did you mean "
            r"defaultKeepStorage",
            id="builder",
        ),
    ],
)
def test_a_member_that_dockerd_would_pass_over_is_refused_if_it_is_ours(
    value: dict[str, Json], message: str
) -> None:
    check(value, ours=False)

    with pytest.raises(Problem, match=message):
        check(value)


def test_a_misspelt_member_of_somebody_else_beside_ours_is_theirs() -> None:
    theirs: dict[str, Json] = {"default-ulimits": {"core": {"Name": "core", "Hrad": 1}}}
    ours: dict[str, Json] = {"default-ulimits": {"nproc": {"Name": "nproc", "Hard": 1, "Soft": 1}}}
    both = {"default-ulimits": {**theirs["default-ulimits"], **ours["default-ulimits"]}}  # type: ignore[dict-item]

    refuse(node(), both, flatten(ours))


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["--config-file", "/etc/dockerd.json"], id="two-words"),
        pytest.param(["-H", "fd://", "--config-file=/etc/dockerd.json"], id="one-word"),
    ],
)
def test_a_dockerd_that_reads_another_file_is_refused(flags: list[str]) -> None:
    with pytest.raises(Problem, match=r"^dockerd reads another file, got /etc/dockerd\.json; "):
        plan_daemon_json(node(flags=flags), {"debug": True})


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["--config-file", "/etc/docker/daemon.json"], id="the-usual-one"),
        pytest.param(["--config-file=/etc/docker//daemon.json"], id="written-otherwise"),
        pytest.param([], id="not-said"),
    ],
)
def test_a_dockerd_that_reads_our_file_is_not_refused(flags: list[str]) -> None:
    assert plan_daemon_json(node(flags=flags), {"debug": True}).changes


def test_where_nothing_is_ours_another_file_is_no_problem() -> None:
    assert not plan_daemon_json(node(flags=["--config-file=/etc/dockerd.json"]), {}).changes

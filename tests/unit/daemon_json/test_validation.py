"""What dockerd would not read, would read otherwise, or would not start with is refused."""

from contextlib import nullcontext

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import KEYS
from pyinfra_gvisor.daemon_json.merge import flatten
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.refusals import refuse
from pyinfra_gvisor.node import Node
from tests.table import table
from tests.unit.answers import info, node
from tests.unit.daemon_json.key_samples import WRONG, right

OURS = {"ours": True, "theirs": False}


def with_docker(version: str) -> Node:
    """A node whose dockerd says that it is this version."""
    return node(docker=info(ServerVersion=version))


def check(value: dict[str, Json], *, version: str = "29.8.2", ours: bool = True) -> None:
    """The rules on a file that holds ``value``, which is ours or somebody else's."""
    refuse(with_docker(version), value, flatten(value) if ours else {})


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_the_table_takes_a_value_of_its_kind_and_refuses_another_by_its_path(
    key: str,
) -> None:
    found = node(without=("info",), flags=())

    refuse(found, {key: right(key)}, {(key,): right(key)})
    if KEYS[key].kind != "ignored":
        with pytest.raises(Problem, match=f"^/{key}.* (must be|is not registered)"):
            refuse(found, {key: WRONG[KEYS[key].kind]}, {})


def runtime(**entry: Json) -> dict[str, Json]:
    """A file with one runtime."""
    return {"runtimes": {"x": dict(entry)}}


def pool(**entry: Json) -> dict[str, Json]:
    """A file with one address pool."""
    return {"default-address-pools": [dict(entry)]}


def collection(**entry: Json) -> dict[str, Json]:
    """A file with settings for BuildKit's garbage collection."""
    return {"builder": {"gc": dict(entry)}}


@table(
    "value, message",
    number_for_text=(
        {"log-opts": {"max-file": 3}},
        '^/log-opts/max-file must be a string, got 3; write "3"$',
    ),
    text_for_true=({"debug": "true"}, 'got "true"; write true$'),
    number_for_true=({"debug": 1}, "^/debug must be true or false, got 1; "),
    true_for_int=({"mtu": True}, "^/mtu must be a whole number, got true; "),
    text_for_int=({"mtu": "1400"}, 'got "1400"; write 1400$'),
    point_for_int=({"mtu": 1400.0}, r"got 1400\.0; write 1400$"),
    no_address=({"dns": ["1.1.1.1", "x"]}, "^/dns/1 must be an IP address"),
    zone=({"dns": ["fe80::1%eth0"]}, "^/dns/0 must be an IP address"),
    null_for_size=({"default-shm-size": None}, "must be a size.*got null"),
    half_a_suffix=({"default-shm-size": "64ki"}, "must be a size"),
    runtime_arguments=(
        {"runtimes": {"a": {"path": "/x", "runtimeArgs": "--x"}}},
        r'^/runtimes/a/runtimeArgs must be a list of strings, got "--x"; write \["--x"\]$',
    ),
    ulimit_as_on_the_command_line=(
        {"default-ulimits": {"nofile": "1024:2048"}},
        "^/default-ulimits/nofile must be an object such as .*Soft",
    ),
    field_in_another_case=(
        {"default-ulimits": {"nofile": {"hard": "1"}}},
        "^/default-ulimits/nofile/hard must be a whole number",
    ),
    builder_policy=(
        {"builder": {"gc": {"policy": [{"keepStorage": 10}]}}},
        '^/builder/gc/policy/0/keepStorage must be a string, got 10; write "10"$',
    ),
    builder_history=(
        {"builder": {"history": {"maxAge": "2 days"}}},
        "^/builder/history/maxAge must be a duration",
    ),
    network_option=(
        {"default-network-opts": {"bridge": {"mtu": 1}}},
        "^/default-network-opts/bridge/mtu must be a string",
    ),
)
def test_a_wrong_value_is_named_by_its_whole_path_with_the_way_out(
    value: dict[str, Json], message: str
) -> None:
    with pytest.raises(Problem, match=message):
        check(value)


@table(
    "value",
    null_is_not_given={"debug": None},
    null_inside={"log-opts": {"max-file": "3", "env": None}},
    null_entry={"default-ulimits": {"nofile": None}},
    a_fraction={"default-shm-size": "1.5g"},
    a_space={"default-shm-size": "64 MiB"},
    empty_address={"ip": ""},
    filter_in_its_old_form={"builder": {"GC": {"policy": [{"filter": {"a": True}}]}}},
    history={"builder": {"history": {"maxAge": "1h30m", "maxEntries": 5}}},
    address={"metrics-addr": "127.0.0.1:9323"},
    name={"metrics-addr": "localhost:9323"},
    ipv6={"metrics-addr": "[::1]:9323"},
    no_metrics={"metrics-addr": ""},
    cgroup_driver={"exec-opts": ["native.cgroupdriver=cgroupfs"]},
    one_pool=pool(base="10.0.0.0/8", size=8),
    host_bits=pool(base="10.1.2.3/8", size=32),
    pool_of_ipv6=pool(base="fd00::/48", size=64),
    icc={"icc": False},
    mirrors={"registry-mirrors": ["HTTPS://x", "http://y/z"]},
    shim=runtime(runtimeType="io.x.v1", options={"a": 1}),
    program=runtime(path="/x", runtimeArgs=["--y"]),
    empty_is_absent=runtime(path="", runtimeType="x", runtimeArgs=[]),
    builder=collection(enabled=True, defaultKeepStorage="10 GB"),
    no_collection=collection(enabled=False, defaultKeepStorage="x"),
)
def test_what_dockerd_reads_and_starts_with_is_not_refused(value: dict[str, Json]) -> None:
    check(value, ours=False)


@table(
    "key, message",
    {
        "_": ("live_restore", r"^/live_restore .*; did you mean live-restore\?$"),
        "like-nothing": ("zzz", "^/zzz is not a key that dockerd knows; remove this name$"),
        "name-of-a-flag": ("label", '^dockerd ignores /label silently; write "labels"$'),
        "version": ("version", "^dockerd ignores /version silently; remove this key$"),
    },
)
def test_a_key_of_ours_that_dockerd_does_not_know_is_refused(key: str, message: str) -> None:
    with pytest.raises(Problem, match=message):
        check({key: True})


@table(
    "value, path",
    proxy=({"proxies": {"ftp-proxy": "x"}}, "/proxies/ftp-proxy"),
    inside_an_object=({"no-such": {"inner": 1}}, "/no-such/inner"),
    on_the_last_dockerd_that_is_known=({"wholly-new": 1}, "/wholly-new"),
)
def test_a_key_of_somebody_else_for_which_dockerd_refuses_the_file_is_refused(
    value: dict[str, Json], path: str
) -> None:
    with pytest.raises(Problem, match=f"^{path} is not a key that dockerd knows; "):
        check(value, ours=False)


@table(
    "value, version",
    a_later_29_may_know_it=({"live_restore": True}, "29.9.0"),
    no_version=({"live_restore": True}, "dev"),
    name_of_a_flag=({"label": ["a"]}, "26.1.5"),
    empty_object=({"no-such": {}}, "26.1.5"),
    object_with_a_key_inside=({"no-such": {"debug": True}}, "26.1.5"),
    any_runtime_before_24=(runtime(path="/x", runtimeType="y"), "20.10.24"),
)
def test_a_key_of_somebody_else_that_dockerd_might_take_is_theirs(
    value: dict[str, Json], version: str
) -> None:
    check(value, version=version, ours=False)


def test_on_a_later_dockerd_a_key_of_ours_is_only_refused_if_it_looks_misspelt() -> None:
    check({"wholly-new": 1}, version="30.0.0")

    with pytest.raises(Problem, match=r"did you mean live-restore\?"):
        check({"live-restor": True}, version="30.0.0")


@table(
    "value, version, message",
    new=({"bip6": "x"}, "26.1.5+dfsg1", "^/bip6 .* 28.0 or later, got 26.1; "),
    gone=({"graph": "/x"}, "24.0.0", "^/graph .* before 24.0, got 24.0"),
    new_within_29=({"apparmor-profile": ""}, "29.7.2", "needs dockerd 29.8 or later"),
)
def test_a_key_of_another_dockerd_is_refused_with_its_versions(
    value: dict[str, Json], version: str, message: str
) -> None:
    with pytest.raises(Problem, match=message):
        check(value, version=version, ours=False)


@table(
    "value, version",
    since=({"bip6": "x"}, "28.0.0"),
    until=({"graph": "/x"}, "23.0.9"),
    unknown=({"bip6": "x", "graph": "/x"}, "dev"),
)
def test_a_key_of_this_dockerd_is_not_refused(value: dict[str, Json], version: str) -> None:
    check(value, version=version)


@table(
    "value, message",
    ulimit=(
        {"default-ulimits": {"nofile": {"Name": "nofile", "Hrad": 1}}},
        r"^/default-ulimits/nofile/Hrad is not a known key of this .*; did you mean Hard\?$",
    ),
    pool=(
        {"default-address-pools": [{"base": "10.0.0.0/8", "size": 24, "x": 1}]},
        "^/default-address-pools/0/x is not a known key of this object; use one of base, size$",
    ),
)
def test_a_member_that_dockerd_would_pass_over_is_refused_if_it_is_ours(
    value: dict[str, Json], message: str
) -> None:
    check(value, ours=False)

    with pytest.raises(Problem, match=message):
        check(value)


def test_a_misspelt_member_of_somebody_else_beside_ours_is_theirs() -> None:
    theirs: dict[str, Json] = {"core": {"Name": "core", "Hrad": 1}}
    ours: dict[str, Json] = {"nproc": {"Name": "nproc", "Hard": 1, "Soft": 1}}

    refuse(node(), {"default-ulimits": theirs | ours}, flatten({"default-ulimits": ours}))


@table(
    "flags, file",
    two_words=(["--config-file", "/etc/dockerd.json"], "/etc/dockerd.json"),
    one_word=(["-H", "fd://", "--config-file=/etc/dockerd.json"], "/etc/dockerd.json"),
    written_otherwise=(["--config-file=/etc/docker//daemon.json"], None),
    not_said=([], None),
)
def test_a_dockerd_that_reads_another_file_is_refused_if_any_is_ours(
    flags: list[str], file: str | None
) -> None:
    message = f"^dockerd reads another file, got {file}; "

    with pytest.raises(Problem, match=message) if file else nullcontext():
        refuse(node(flags=flags), {}, {("debug",): True})
    assert not plan_daemon_json(node(flags=flags), {}).changes


@table(
    "value, message",
    port=({"metrics-addr": "9323"}, "^/metrics-addr must be a host and a port"),
    host=({"metrics-addr": "127.0.0.1"}, "^/metrics-addr must be"),
    great_port=({"metrics-addr": "127.0.0.1:99999"}, "^/metrics-addr"),
    space=({"metrics-addr": "127.0.0.1: 9323"}, "^/metrics-addr"),
    cgroup_driver=(
        {"exec-opts": ["native.cgroupdriver=Systemd"]},
        "^/exec-opts/0 names an unknown cgroup driver, got Systemd; use cgroupfs or systemd$",
    ),
    base=(pool(base="10.0.0.0", size=24), "^/default-address-pools/0/base"),
    size=(
        pool(base="10.0.0.0/8", size=4),
        "^/default-address-pools/0/size must be from 8 to 32, got 4",
    ),
    no_size=(pool(base="10.0.0.0/8"), "^/default-address-pools/0/size"),
    null=({"default-address-pools": [None]}, "^/default-address-pools/0/base must be a s"),
    icc=({"icc": False, "iptables": False}, "^/icc and /iptables cannot"),
    mirror_without_scheme=(
        {"registry-mirrors": ["https://a", "b.example"]},
        "^/registry-mirrors/1 must begin with https:// or http://, got b.example$",
    ),
    user=({"registry-mirrors": ["https://u:p@x"]}, "cannot have a user"),
    query=({"registry-mirrors": ["https://x?y=1"]}, "cannot have a user"),
    neither=(runtime(), "^/runtimes/x has neither path nor runtimeType"),
    both=(runtime(path="/x", runtimeType="y"), "^/runtimes/x has both"),
    args=(runtime(runtimeType="y", runtimeArgs=["--z"]), "^/runtimes/x has runtimeArgs"),
    options=(runtime(path="/x", options={"a": 1}), "^/runtimes/x has options"),
    builder_size=(
        collection(enabled=True, defaultKeepStorage="10 gigs"),
        "^/builder/gc/defaultKeepStorage must be a size, got 10 gigs; ",
    ),
    percentage=(
        collection(policy=[{"all": True}, {"keepStorage": "20%"}]),
        "^/builder/gc/policy/1/keepStorage must be a size, got 20%; ",
    ),
)
def test_what_keeps_dockerd_from_starting_is_refused(value: dict[str, Json], message: str) -> None:
    with pytest.raises(Problem, match=message):
        check(value, ours=False)

"""
Values of the right type with which dockerd does not start, although ``--validate`` takes them.

Each was seen to end the start of Docker 20.10.24, 26.1.5 and 28.5.2, unless said otherwise. What
depends on the node's files, users or addresses is not decided here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from pyinfra_gvisor.daemon_json.kinds import is_size
from pyinfra_gvisor.daemon_json.text import Json, Path, place
from pyinfra_gvisor.daemon_json.validation import dockerd_version
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.redaction import shown

MAX_PORT = 65535
RUNTIMES_CHECKED = (24, 0)  # 20.10 takes any entry; setupRuntimes in moby's daemon/runtime_unix.go
CGROUP_DRIVERS = ("cgroupfs", "systemd")  # moby's daemon/daemon_unix.go
_CGROUP_DRIVER = "native.cgroupdriver="


def metrics_addr(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse an address for metrics that is not a host and a port."""
    address = value.get("metrics-addr")
    if not isinstance(address, str) or not address:
        return
    found = re.fullmatch(r"(?:\[[^]]+\]|[^:/\s\[\]]+):(\d{1,5})", address, re.ASCII)
    if not found or int(found[1]) > MAX_PORT:
        todo = 'write a host and a port, such as "127.0.0.1:9323"'
        got = shown(address, ("metrics-addr",))
        raise Problem("/metrics-addr must be an address to listen on", got=got, todo=todo)


def cgroup_driver(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse a cgroup driver that there is not."""
    for at, option in enumerate(_list(value.get("exec-opts"))):
        name = str(option).removeprefix(_CGROUP_DRIVER)
        if str(option).startswith(_CGROUP_DRIVER) and name not in ("", *CGROUP_DRIVERS):
            todo = f"use {' or '.join(CGROUP_DRIVERS)}"
            raise Problem(f"/exec-opts/{at} names no cgroup driver", got=shown(name), todo=todo)


def address_pools(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse pools that cannot be split: ``base`` is a subnet, ``size`` is not wider than it."""
    for at, pool in enumerate(_list(value.get("default-address-pools"))):
        members = _members(pool)
        base, size = members.get("base"), members.get("size")
        where = f"/default-address-pools/{at}"
        try:
            network = ipaddress.ip_network(str(base) if "/" in str(base) else "", strict=False)
        except ValueError:
            todo = 'write a subnet, such as "10.0.0.0/8"'
            raise Problem(f"{where}/base must be a subnet", got=shown(base), todo=todo) from None
        if not isinstance(size, int) or not network.prefixlen <= size <= network.max_prefixlen:
            bounds = f"from {network.prefixlen} to {network.max_prefixlen}"
            raise Problem(f"{where}/size must be {bounds}", got=shown(size), todo="mend it")


def isolation(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse to keep containers apart without the iptables that it takes."""
    if value.get("icc") is False and value.get("iptables") is False:
        raise Problem("/icc and /iptables cannot both be false", todo="let one of them be true")


def registry_mirrors(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse mirrors that are no plain URL: ValidateMirror in moby's registry/config.go."""
    for at, mirror in enumerate(_list(value.get("registry-mirrors"))):
        where = f"/registry-mirrors/{at}"
        try:
            url = urlsplit(str(mirror))
        except ValueError:
            raise Problem(f"{where} is no URL", got=_mirror(mirror), todo="mend it") from None
        if url.scheme not in ("http", "https"):
            raise Problem(f"{where} must begin with https:// or http://", got=_mirror(mirror))
        if url.query or url.fragment or "@" in url.netloc:
            what = f"{where} cannot have a user, a query or a fragment"
            raise Problem(what, todo="leave them out")


def _mirror(value: Json) -> Json:
    safe: Json = shown(value, ("registry-mirrors",))
    return safe


def runtimes(node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse runtimes that are neither a program nor a shim, or half of each."""
    version = dockerd_version(node)
    entries = value.get("runtimes")
    if not isinstance(entries, dict) or (version and version < RUNTIMES_CHECKED):
        return
    for name, entry in entries.items():
        where, members = place(("runtimes", name)), _members(entry)
        path, shim = members.get("path"), members.get("runtimetype")
        if not path and not shim:
            raise Problem(f"{where} has neither path nor runtimeType", todo="set one")
        if path and shim:
            raise Problem(f"{where} has both path and runtimeType", todo="keep one")
        if shim and members.get("runtimeargs"):
            raise Problem(f"{where} has runtimeArgs, which are for a path", todo="use options")
        if path and members.get("options"):
            raise Problem(f"{where} has options, which are for a runtimeType", todo="remove them")


def builder_sizes(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse sizes for BuildKit's garbage collection that are none; percentages are none either."""
    collection = _members(_members(value.get("builder")).get("gc"))
    if collection.get("enabled") is False:
        return
    for path, size in _sizes(collection):
        if size and not is_size(size):
            where = place(("builder", "gc", *path))
            raise Problem(f"{where} must be a size", got=shown(size), todo='write it like "10GB"')


def _sizes(collection: Mapping[str, Json]) -> Iterator[tuple[Path, Json]]:
    """Every size in there, by its path as the table of keys spells it."""
    spelt = ("KeepStorage", "ReservedSpace", "MaxUsedSpace", "MinFreeSpace")
    for name in spelt:
        yield (f"default{name}",), collection.get(f"default{name}".casefold())
    for at, rule in enumerate(_list(collection.get("policy"))):
        for name in spelt:
            yield (
                ("policy", str(at), name[0].lower() + name[1:]),
                _members(rule).get(name.casefold()),
            )


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _members(value: Json) -> dict[str, Json]:
    """An object's members as Go finds them, whatever their case; none of what is no object."""
    return (
        {name.casefold(): inner for name, inner in value.items()} if isinstance(value, dict) else {}
    )

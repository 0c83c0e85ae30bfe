"""
Refuse values of the right type with which dockerd does not start, although ``--validate`` accepts.

Each was seen to stop the start of Docker 20.10.24, 26.1.5 and 28.5.2, unless said otherwise. Values
that depend on the node's files, users or addresses are not checked here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path, place
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.daemon_json.kinds import is_size
from pyinfra_gvisor.daemon_json.validation import dockerd_version
from pyinfra_gvisor.node import Node

MAX_PORT = 65535
RUNTIMES_CHECKED = (24, 0)  # 20.10 accepts any; setupRuntimes in moby's daemon/runtime_unix.go
CGROUP_DRIVERS = ("cgroupfs", "systemd")  # moby's daemon/daemon_unix.go
_CGROUP_DRIVER = "native.cgroupdriver="


def metrics_addr(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse a ``metrics-addr`` that is not a host and a port."""
    address = value.get("metrics-addr")
    if not isinstance(address, str) or not address:
        return
    found = re.fullmatch(r"(?:\[[^]]+\]|[^:/\s\[\]]+):(\d{1,5})", address, re.ASCII)
    if not found or int(found[1]) > MAX_PORT:
        todo = 'write an address such as "127.0.0.1:9323"'
        got = shown(address, ("metrics-addr",))
        raise Problem("/metrics-addr must be a host and a port", got=got, todo=todo)


def cgroup_driver(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse an unknown cgroup driver."""
    for at, option in enumerate(_list(value.get("exec-opts"))):
        name = str(option).removeprefix(_CGROUP_DRIVER)
        if str(option).startswith(_CGROUP_DRIVER) and name not in ("", *CGROUP_DRIVERS):
            todo = f"use {' or '.join(CGROUP_DRIVERS)}"
            what = f"/exec-opts/{at} names an unknown cgroup driver"
            raise Problem(what, got=shown(name), todo=todo)


def address_pools(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse pools that cannot be split: ``size`` must be a prefix length within ``base``."""
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
            todo = "correct this prefix length"
            raise Problem(f"{where}/size must be {bounds}", got=shown(size), todo=todo)


def isolation(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse ``icc`` off with ``iptables`` off: dockerd needs iptables to isolate containers."""
    if value.get("icc") is False and value.get("iptables") is False:
        raise Problem("/icc and /iptables cannot both be false", todo="set one of them to true")


def registry_mirrors(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse mirrors that are not plain URLs: ValidateMirror in moby's registry/config.go."""
    for at, mirror in enumerate(_list(value.get("registry-mirrors"))):
        where = f"/registry-mirrors/{at}"
        try:
            url = urlsplit(str(mirror))
        except ValueError:
            todo = "write a URL that begins with https:// or http://"
            raise Problem(f"{where} is not a URL", got=_mirror(mirror), todo=todo) from None
        if url.scheme not in ("http", "https"):
            raise Problem(f"{where} must begin with https:// or http://", got=_mirror(mirror))
        if url.query or url.fragment or "@" in url.netloc:
            what = f"{where} cannot have a user, a query or a fragment"
            raise Problem(what, todo="remove that part of the URL")


def _mirror(value: Json) -> Json:
    safe: Json = shown(value, ("registry-mirrors",))
    return safe


def runtimes(node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse runtimes with neither a ``path`` nor a ``runtimeType``, or with a mix of both."""
    version = dockerd_version(node)
    entries = value.get("runtimes")
    if not isinstance(entries, dict) or (version and version < RUNTIMES_CHECKED):
        return
    for name, entry in entries.items():
        where, members = place(("runtimes", name)), _members(entry)
        path, shim = members.get("path"), members.get("runtimetype")
        if not path and not shim:
            raise Problem(f"{where} has neither path nor runtimeType", todo="set one of them")
        if path and shim:
            raise Problem(f"{where} has both path and runtimeType", todo="remove one of them")
        if shim and members.get("runtimeargs"):
            what = f"{where} has runtimeArgs, which work only with path"
            raise Problem(what, todo="use options instead")
        if path and members.get("options"):
            what = f"{where} has options, which work only with runtimeType"
            raise Problem(what, todo="remove the options")


def builder_sizes(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse invalid sizes for BuildKit's garbage collection; percentages are invalid too."""
    collection = _members(_members(value.get("builder")).get("gc"))
    if collection.get("enabled") is False:
        return
    for path, size in _sizes(collection):
        if size and not is_size(size):
            where = place(("builder", "gc", *path))
            raise Problem(f"{where} must be a size", got=shown(size), todo='write it like "10GB"')


def _sizes(collection: Mapping[str, Json]) -> Iterator[tuple[Path, Json]]:
    """Yield every size with its path, as the table of keys spells the path."""
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
    """Return an object's members by lower-case name, as Go finds them; empty if not an object."""
    return (
        {name.casefold(): inner for name, inner in value.items()} if isinstance(value, dict) else {}
    )

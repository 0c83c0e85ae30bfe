"""
Every key that dockerd reads from daemon.json on Linux: its type, versions and effect.

Types and versions were tried on Docker 20.10.24, 26.1.5 and 28.5.2. Versions between and after
these are from moby's tags up to docker-v29.7.2; those of 29.8 are from v2.0.0-beta.24. Case matters
in keys: ``Debug`` is not a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

from pyinfra_gvisor.base.json_text import Json

Version: TypeAlias = tuple[int, int]
Kind = Literal[
    "bool",
    "builder",
    "ignored",
    "int",
    "ip",
    "ips",
    "map of bools",
    "map of maps of strings",
    "map of strings",
    "nri",
    "object",
    "pools",
    "proxies",
    "runtimes",
    "size",
    "string",
    "strings",
    "ulimits",
]


class Force(IntEnum):
    """What dockerd needs to apply a change, in ascending order."""

    NOTHING = 0
    RELOAD = 1
    RESTART = 2


# Where moby defines the keys (tag v28.5.2). A key exists where a flag has its name, or names it.
CONFIG = "moby daemon/config/config.go"
LINUX = "moby daemon/config/config_linux.go"
OPTIONS = "moby cmd/dockerd/options.go"
REGISTRY = "moby registry/config.go"
# https://docs.docker.com/reference/cli/dockerd/#configuration-reload-behavior
RELOADED = "moby daemon/reload.go"
PLATFORM = "moby daemon/reload_unix.go"
AUTHZ = "moby cmd/dockerd/daemon.go"
OLD = "moby v20.10 daemon/config/config.go"
NEWER = "moby v29 daemon/config/config.go"
NEWER_LINUX = "moby v29 daemon/config/config_linux.go"
DAEMON = "moby v29 daemon/daemon.go"
COMMAND = "moby v29 daemon/command"


@dataclass(frozen=True)
class Key:
    """
    One key of daemon.json.

    ``recreate``: a container keeps the value that it was created with, also after a restart.
    ``since`` is the first version of dockerd that knows the key (None: 20.10 knows it). ``until``
    is the first version that refuses the key (None: no known version does). ``neutral`` is a value
    with the same effect as no key; it is set for keys whose old value stays live until a restart
    when the key is left out. ``neutral_from`` is (version, value): the neutral value from this
    version of dockerd on. ``flag`` is dockerd's flag, if its name differs from the key's.
    """

    kind: Kind
    source: str = CONFIG
    force: Force = Force.RESTART
    recreate: bool = False
    since: Version | None = None
    until: Version | None = None
    neutral: Json = None
    neutral_from: tuple[Version, Json] | None = None
    flag: str | None = None


_RELOAD = Force.RELOAD

# The registries that dockerd treats as insecure if the key is left out. Since 29.10 a list in the
# file replaces these, so an empty list switches them off: release notes of Docker 29.10.0.
LOOPBACK: Json = ["127.0.0.0/8", "::1/128"]

KEYS: dict[str, Key] = {
    "allow-direct-routing": Key("bool", LINUX, since=(28, 2)),
    "allow-nondistributable-artifacts": Key("strings", REGISTRY, _RELOAD),
    "api-cors-header": Key("string", until=(28, 0)),  # 28.5 says so itself; 29 does not know it
    "apparmor-profile": Key("string", NEWER_LINUX, since=(29, 8)),
    "authorization-plugins": Key("strings", AUTHZ, _RELOAD, flag="authorization-plugin"),
    "bip": Key("string", LINUX),
    "bip6": Key("string", LINUX, since=(28, 0)),
    "bridge": Key("string"),
    "bridge-accept-fwmark": Key("string", NEWER, since=(29, 0)),
    "builder": Key("builder", "moby daemon/config/builder.go"),
    "cdi-spec-dirs": Key("strings", since=(25, 0), flag="cdi-spec-dir"),
    "cgroup-parent": Key("string", LINUX),
    "cluster-advertise": Key("string", OLD, until=(24, 0)),
    "cluster-store": Key("string", OLD, until=(24, 0)),
    "cluster-store-opts": Key("map of strings", OLD, until=(24, 0), flag="cluster-store-opt"),
    "containerd": Key("string"),
    "containerd-namespace": Key("string"),
    "cpu-rt-period": Key("int", LINUX),
    "cpu-rt-runtime": Key("int", LINUX),
    "cri-containerd": Key("bool"),
    "data-root": Key("string"),
    "debug": Key("bool", RELOADED, _RELOAD, neutral=False),
    "default-address-pools": Key("pools", flag="default-address-pool"),
    "default-cgroupns-mode": Key("string", PLATFORM, _RELOAD, recreate=True),
    "default-gateway": Key("ip", LINUX),
    "default-gateway-v6": Key("ip", LINUX),
    "default-ipc-mode": Key("string", PLATFORM, _RELOAD, recreate=True),
    "default-network-opts": Key(
        "map of maps of strings", since=(24, 0), flag="default-network-opt"
    ),
    "default-runtime": Key("string", PLATFORM, _RELOAD, recreate=True, neutral="runc"),
    "default-shm-size": Key("size", PLATFORM, _RELOAD, recreate=True),
    "default-stop-timeout": Key(  # 10 is the default: NEWER_LINUX
        "int", NEWER, _RELOAD, since=(29, 7), neutral_from=((29, 7), 10)
    ),
    "default-ulimits": Key("ulimits", LINUX, flag="default-ulimit"),
    "deprecated-key-path": Key("ignored", OLD),
    "dns": Key("ips"),
    "dns-opts": Key("strings", flag="dns-opt"),
    "dns-search": Key("strings"),
    "exec-opts": Key("strings", flag="exec-opt"),
    "exec-root": Key("string"),
    "experimental": Key("bool"),
    "extension-config": Key("object", NEWER, since=(29, 8)),
    "extension-dirs": Key("strings", NEWER, since=(29, 8), flag="extension-dir"),
    "features": Key("map of bools", RELOADED, _RELOAD, flag="feature"),
    "firewall-backend": Key("string", NEWER, since=(29, 0)),
    "fixed-cidr": Key("string"),
    "fixed-cidr-v6": Key("string", LINUX),
    "graph": Key("string", OLD, until=(24, 0)),
    "group": Key("string"),
    "host-gateway-ip": Key("ip"),
    "host-gateway-ips": Key("ips", since=(28, 0), flag="host-gateway-ip"),
    "hosts": Key("strings", flag="host"),
    "icc": Key("bool", LINUX),
    "init": Key("bool", LINUX),
    "init-path": Key("string", LINUX),
    "insecure-registries": Key(
        "strings",
        RELOADED,
        _RELOAD,
        neutral=[],
        neutral_from=((29, 10), LOOPBACK),
        flag="insecure-registry",
    ),
    "ip": Key("ip", LINUX),
    "ip-forward": Key("bool", LINUX),
    "ip-forward-no-drop": Key("bool", LINUX, since=(28, 0)),
    "ip-masq": Key("bool", LINUX),
    "ip6tables": Key("bool", LINUX),
    "iptables": Key("bool", LINUX),
    "ipv6": Key("bool", LINUX),
    "labels": Key("strings", RELOADED, _RELOAD, neutral=[], flag="label"),
    "live-restore": Key("bool", RELOADED, _RELOAD, neutral=False),
    "log-driver": Key("string", recreate=True),
    "log-format": Key("string", since=(25, 0)),
    "log-level": Key("string"),
    "log-opts": Key("map of strings", recreate=True, flag="log-opt"),
    "max-concurrent-downloads": Key("int", RELOADED, _RELOAD),
    "max-concurrent-uploads": Key("int", RELOADED, _RELOAD),
    "max-download-attempts": Key("int", RELOADED, _RELOAD),
    "metrics-addr": Key("string"),
    "min-api-version": Key("string", NEWER, since=(29, 0)),
    "mtu": Key("int", LINUX),
    "network-control-plane-mtu": Key("int"),
    "network-diagnostic-port": Key("int", RELOADED, _RELOAD),
    "no-new-privileges": Key("bool", LINUX, recreate=True),
    "node-generic-resources": Key("strings", flag="node-generic-resource"),
    "nri-opts": Key("nri", NEWER, _RELOAD, since=(29, 2)),
    "oom-score-adjust": Key("int", OLD, until=(26, 0)),
    "pidfile": Key("string"),
    "proxies": Key("proxies", since=(23, 0)),
    "raw-logs": Key("bool"),
    "registry-mirrors": Key("strings", RELOADED, _RELOAD, neutral=[], flag="registry-mirror"),
    "rootless": Key("bool", LINUX),
    "runtimes": Key("runtimes", PLATFORM, _RELOAD, neutral={}, flag="add-runtime"),
    "seccomp-profile": Key("string", LINUX),
    "selinux-enabled": Key("bool", LINUX),
    "shutdown-timeout": Key("int", RELOADED, _RELOAD),
    "storage-driver": Key("string"),
    "storage-opts": Key("strings", flag="storage-opt"),
    "swarm-default-advertise-addr": Key("string"),
    "tls": Key("bool", OPTIONS),
    "tlscacert": Key("string"),
    "tlscert": Key("string"),
    "tlskey": Key("string"),
    "tlsverify": Key("bool", OPTIONS),
    "userland-proxy": Key("bool", LINUX),
    "userland-proxy-path": Key("string", LINUX),
    "userns-remap": Key("string", LINUX),
}

# Members of ``features`` that dockerd reads only at its start (from moby's source; ``cdi`` and
# ``containerd-snapshotter`` tried on 29.7.1). dockerd reads other members whenever it needs them,
# and ignores members that it does not know.
FEATURES_AT_START: dict[str, Key] = {
    "cdi": Key("bool", f"{COMMAND}/daemon.go", since=(25, 0)),
    "containerd-migration": Key("bool", DAEMON, since=(29, 0)),
    "containerd-snapshotter": Key("bool", "moby v29 daemon/image_store_choice.go", since=(24, 0)),
    "embedded-containerd": Key("bool", f"{COMMAND}/daemon_unix.go", since=(29, 7)),
    "time-namespaces": Key("bool", "moby v29 daemon/daemon_unix.go", since=(29, 5)),
}

# Names of flags that dockerd accepts as keys and then ignores silently (tried on 26.1.5 and
# 28.5.2), with the key that was probably meant.
WITHOUT_EFFECT: dict[str, str | None] = {
    **{
        key.flag: name
        for name, key in KEYS.items()
        if key.flag and key.flag not in KEYS and key.until is None
    },
    "containerd-plugins-namespace": None,  # the name that would be read is refused as unknown
    "help": None,
    "http-proxy": "proxies",
    "https-proxy": "proxies",
    "no-proxy": "proxies",
    "restart": None,
    "version": None,
}

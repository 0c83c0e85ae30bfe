"""
What a container asks for that a sandbox may not have.

gVisor does not close these ways to the node, or ignores them in silence. The settings are those of
``Seal``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra_gvisor.judge import journal
from pyinfra_gvisor.judge.asked import Asked
from pyinfra_gvisor.judge.container import Container
from pyinfra_gvisor.judge.docker_files import read_object
from pyinfra_gvisor.judge.mounts import refused_mounts
from pyinfra_gvisor.judge.places import inode

# Devices that are harmless or that gVisor has itself: pkg/sentry/devices, pkg/sentry/fsimpl/fuse.
_HARMLESS = {
    f"/dev/{name}"
    for name in ("null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun")
}
# Many images ask for these by habit. Docker sets the last one for all, and runsc lets everybody
# listen on every port.
_DISPENSABLE = ("sysctl net.core.somaxconn", "sysctl net.ipv4.ip_unprivileged_port_start")
# runsc and its shim obey such annotations, and containerd's shim the last kind.
_OBEYED = re.compile(r"dev\.gvisor\.|io\.kubernetes\.cri|io\.containerd\.runc\.")
_SECOND = 1_000_000_000  # nanoseconds
# dockerd renames each old file when a log is full, and keeps the buffer in its own memory.
_LOG_LIMITS = {
    "max-buffer-size": (0, 128 << 20),
    "max-file": (0, 1000),
    "max-size": (1 << 10, 1 << 50),
}
_MODES = {
    "ipc": "IpcMode",
    "network": "NetworkMode",
    "pid": "PidMode",
    "user": "UsernsMode",
    "uts": "UTSMode",
}
_KINDS = {"ipc": "ipc", "mount": "mnt", "network": "net", "pid": "pid", "uts": "uts"}


@dataclass(frozen=True)
class Violations:
    """
    What a sandbox may not have of what a container asks for.

    + refused: a phrase each
    + stripped: a phrase each, by the kind of the setting
    + addresses: if there are allowed files of the node, the addresses of all mounts, which must be
      the same ones when the container starts
    """

    refused: tuple[str, ...] = ()
    stripped: tuple[tuple[str, tuple[str, ...]], ...] = ()
    addresses: tuple[str, ...] = ()


def violations(asked: Asked) -> Violations:
    """Return what is refused and what is to be stripped."""
    mounts, addresses = refused_mounts(asked)
    found = {
        "always": [*mounts, *control_group(asked.host.get("CgroupParent")), *_at_others(asked)],
        "annotations": _annotations(asked),
        "devices": _devices(asked),
        "host_namespaces": _namespaces(asked),
        "log_drivers": _log_driver(asked),
        "privileged": ["privileged"] if asked.host.get("Privileged") else [],
        "sysctls": [f"sysctl {name}" for name in sorted(asked.host.get("Sysctls") or ())],
    }
    refused: list[str] = []
    stripped = []
    for kind, items in found.items():
        action = asked.seal.get(kind, "refuse")
        if action == "allow":
            continue
        gone = tuple(item for item in items if action == "strip" or item in _DISPENSABLE)
        refused += [item for item in items if item not in gone]
        if gone:
            stripped.append((kind, gone))
    return Violations(tuple(refused), tuple(stripped), addresses)


def without(
    spec: Mapping[str, Any], kinds: Mapping[str, Any], container: Container
) -> dict[str, Any]:
    """
    Return a specification without what is stripped.

    + kinds: the kinds that have something to strip
    """
    found, linux = dict(spec), dict(spec.get("linux") or {})
    if "annotations" in kinds and "annotations" in found:
        given = found["annotations"].items()
        found["annotations"] = {key: value for key, value in given if not _OBEYED.match(key)}
    if "sysctls" in kinds and "sysctl" in linux:
        asked, given = container.host["Sysctls"], linux["sysctl"].items()
        linux["sysctl"] = {key: value for key, value in given if key not in asked}
    if "devices" in kinds:
        if "devices" in linux:
            linux["devices"] = []
        if "hooks" in found:
            found["hooks"] = _without_devices(found["hooks"])
    return {**found, "linux": linux} if "linux" in found else found


def _without_devices(hooks: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return only dockerd's own hook, for the network: moby, daemon/oci_linux.go.

    Hooks make devices of the node usable: dockerd adds one for --gpus, and CDI specifications have
    others.
    """
    kept = [item for item in hooks.get("prestart") or () if "libnetwork-setkey" in item["args"]]
    return {"prestart": kept} if kept else {}


def _annotations(asked: Asked) -> list[str]:
    given = {*(asked.host.get("Annotations") or ()), *((asked.spec or {}).get("annotations") or ())}
    return [f"annotation {name}" for name in sorted(given) if _OBEYED.match(name)]


def _devices(asked: Asked) -> list[str]:
    host = asked.host
    requests = (item.get("Driver") or "gpu" for item in host.get("DeviceRequests") or ())
    devices = (item for item in host.get("Devices") or () if _is_device(item))
    found = [
        *(f"device {item.get('PathOnHost', '')}" for item in devices),
        *(f"devices of driver {driver}" for driver in requests),
        *(f"device rule {item}" for item in host.get("DeviceCgroupRules") or ()),
    ]
    if found or host.get("Privileged"):  # privileged: all devices
        return found
    given = (item["path"] for item in asked.linux("devices"))
    return [f"device {path}" for path in given if path not in _HARMLESS]


def _is_device(given: Mapping[str, Any]) -> bool:
    path = given.get("PathOnHost")
    return path != given.get("PathInContainer") or path not in _HARMLESS


def control_group(path: str | None) -> list[str]:
    """Return a control group in which runsc would make directories: runsc/cgroup/cgroup.go."""
    return [f"control group {path}"] if ".." in (path or "").split("/") else []


def _at_others(asked: Asked) -> list[str]:
    """Return what is at the expense of other containers, or tells what they have."""
    host, found = asked.host, []
    if host.get("Links") and (host.get("NetworkMode") or "") in ("", "bridge", "default"):
        # up to Docker 28: moby, links
        found.append("--link, which shows variables of other containers")
    if (host.get("OomScoreAdj") or 0) < 0:
        found.append("oom_score_adj below 0")
    check = asked.container.config.get("Healthcheck") or {}
    if any(0 < (check.get(key) or 0) < _SECOND for key in ("Interval", "StartInterval")):
        found.append("a health check interval below 1 s")
    options = (host.get("LogConfig") or {}).get("Config") or {}
    found += [
        f"log option {key}={options[key][:20]}"
        for key, (least, most) in _LOG_LIMITS.items()
        if key in options and not least <= _size(options[key]) <= most
    ]
    return found


def _size(text: str) -> int:
    """Return a number of bytes as Docker reads it, or a number; -1 if it is none: go-units."""
    found = re.fullmatch(r"([0-9]+)(?:\.[0-9]+)? ?([kmgtp]?)(i?b)?", text.lower())
    return int(found[1]) << 10 * " kmgtp".index(found[2] or " ") if found else -1


def _log_driver(asked: Asked) -> list[str]:
    """
    Return what dockerd would do for the container's logs.

    dockerd itself writes logs. With most drivers it connects to an address that the container
    chose, and journald shows names that the container chose. What daemon.json says for all
    containers is the operator's choice.
    """
    given = asked.host.get("LogConfig") or {}
    driver, options = given.get("Type") or "", given.get("Config") or {}
    if driver in ("json-file", "local", "none") or not (driver or options):
        return []
    path = asked.paths.daemon_json
    daemon = read_object(path) if Path(path).exists() else {}
    driver = driver or daemon.get("log-driver") or "json-file"
    if driver in ("json-file", "local", "none"):
        return []
    is_dockerds = driver == (daemon.get("log-driver") or "")
    own = (daemon.get("log-opts") or {}) if is_dockerds else {}
    keys = sorted({*own, *options})
    other = [key for key in keys if (options.get(key) or "") != (own.get(key) or "")]
    if driver == "journald":
        units = asked.paths.units
        texts = ((key, options.get(key) or "") for key in other)
        forged = (key for key, text in texts if journal.forges(asked.container, key, text, units))
        return [f"log option {key}" for key in forged]
    return [] if is_dockerds and not other else [f"log driver {driver}"]


def _namespaces(asked: Asked) -> list[str]:
    host, modes = asked.host, dict(_MODES)
    if not re.search("/[0-9]+[.][0-9]+$", asked.root):
        del modes["user"]  # without userns-remap: setupDaemonRoot in moby's daemon
    shared = (kind for kind, key in modes.items() if host.get(key) == "host")
    found = [f"{kind} namespace of the node" for kind in shared]
    if (host.get("PidMode") or "").startswith("container:"):
        found.append("PID namespace of another container")
    return found or (_will_join(asked) if asked.spec is None else _joined(asked))


def _joined(asked: Asked) -> list[str]:
    """
    Return the namespaces that the container shares with one outside of gVisor.

    It would be beyond its own network: what listens on that one's loopback trusts it.
    """
    given = {item["type"]: item.get("path") or "" for item in asked.linux("namespaces")}
    found = []
    for kind, name in _KINDS.items():
        path = given.get(kind)
        if path is None or (path and _is_the_nodes(path, name)):
            found.append(f"{kind} namespace of the node")
        elif path and not _is_of_a_sandbox(asked, path):
            found.append(f"{kind} namespace of a container outside of gVisor")
    return found


def _is_the_nodes(path: str, kind: str) -> bool:
    found = inode(path)
    return found is not None and found == inode(f"/proc/1/ns/{kind}")


def _is_of_a_sandbox(asked: Asked, path: str) -> bool:
    """
    Return True if the process of a namespace runs a release of ours.

    Docker names the process of the other container: moby, daemon/oci_linux.go, WithNamespaces. The
    path of its program may be cut off at a mount, and an image can have any path.
    """
    found = re.match("/proc/([0-9]+)/ns/", path)
    program = inode(f"{asked.paths.processes}/{found[1]}/exe") if found else None
    patterns = ("*/runsc", "*/gvisor-bin/gvisor_sentry")
    ours = (item for pattern in patterns for item in Path(asked.paths.releases).glob(pattern))
    return program is not None and any(inode(str(item)) == program for item in ours)


def _will_join(asked: Asked) -> list[str]:
    """Return the same before there is a specification: what the policy has outside of gVisor."""
    found = []
    for kind in ("ipc", "network"):
        mode = asked.host.get(_MODES[kind]) or ""
        other = re.fullmatch("container:([0-9a-f]{64})", mode)
        if other and asked.infrastructure(other[1]):
            found.append(f"{kind} namespace of a container outside of gVisor")
    return found

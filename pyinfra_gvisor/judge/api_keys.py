"""
The keys in requests that make something, as dockerd knows them: moby, api/types.

dockerd finds a key whatever its case, takes the last of two, and old versions know some keys in
two places. So what is not spelt as here is refused: it could mean something else to dockerd.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Keys:
    """
    The keys of an object.

    + any: keys with any value; ``objects``: keys with an object, or with a list of objects
    + free: the keys may have any name, and each has an object of the kind ``objects[""]``
    """

    any: frozenset[str]
    objects: Mapping[str, Keys]
    free: bool = False


def _keys(*names: str, **objects: Keys) -> Keys:
    return Keys(frozenset(word for text in names for word in text.split()), objects)


_DRIVER = _keys("Name Options")
_MOUNT = _keys(
    "Type Source Target ReadOnly Consistency",
    BindOptions=_keys(
        "Propagation NonRecursive CreateMountpoint ReadOnlyNonRecursive ReadOnlyForceRecursive"
    ),
    VolumeOptions=_keys("NoCopy Labels Subpath", DriverConfig=_DRIVER),
    TmpfsOptions=_keys("SizeBytes Mode Options"),
    ImageOptions=_keys("Subpath"),
)
_RESOURCES = (
    "CpuShares Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps",
    "BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota",
    "CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus CpusetMems DeviceCgroupRules",
    "KernelMemory KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness",
    "OomKillDisable PidsLimit Ulimits CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth",
)
_DEVICES = {
    "Devices": _keys("PathOnHost PathInContainer CgroupPermissions"),
    "DeviceRequests": _keys("Driver Count DeviceIDs Capabilities Options"),
}
_HOST = _keys(
    *_RESOURCES,
    "Binds ContainerIDFile NetworkMode PortBindings RestartPolicy AutoRemove",
    "VolumeDriver VolumesFrom ConsoleSize Annotations CapAdd CapDrop CgroupnsMode Dns DnsOptions",
    "DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj PidMode Privileged",
    "PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt Tmpfs UTSMode UsernsMode ShmSize",
    "Sysctls Runtime Isolation MaskedPaths ReadonlyPaths Init",
    LogConfig=_keys("Type Config"),
    Mounts=_MOUNT,
    **_DEVICES,
)
_ENDPOINT = _keys(
    "IPAMConfig Links Aliases MacAddress DriverOpts GwPriority NetworkID EndpointID Gateway",
    "IPAddress IPPrefixLen IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen DNSNames",
)
CONTAINER = _keys(
    "Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin",
    "StdinOnce Env Cmd Healthcheck ArgsEscaped Image Volumes WorkingDir Entrypoint",
    "NetworkDisabled MacAddress OnBuild Labels StopSignal StopTimeout Shell",
    HostConfig=_HOST,
    NetworkingConfig=_keys("", EndpointsConfig=Keys(frozenset(), {"": _ENDPOINT}, free=True)),
)
CONNECT = _keys("Container Force", EndpointConfig=_ENDPOINT)
UPDATE = _keys(*_RESOURCES, "RestartPolicy", **_DEVICES)
EXEC = _keys(
    "User Privileged Tty ConsoleSize AttachStdin AttachStderr AttachStdout DetachKeys Env",
    "WorkingDir Cmd Detach",
)
NOTHING = _keys("")
VOLUME = _keys("Name Driver DriverOpts Labels")
NETWORK = _keys(
    "Name CheckDuplicate Driver Scope EnableIPv4 EnableIPv6 Internal Attachable Ingress ConfigOnly",
    "Options Labels",
    IPAM=_keys("Driver Options", Config=_keys("Subnet IPRange Gateway AuxiliaryAddresses")),
    ConfigFrom=_keys("Network"),
)
_TASK_CONTAINER = _keys(
    "Image Labels Command Args Hostname Env Dir User Groups Init StopSignal TTY OpenStdin ReadOnly",
    "StopGracePeriod Healthcheck Hosts DNSConfig Secrets Configs Isolation Sysctls CapabilityAdd",
    "CapabilityDrop Ulimits OomScoreAdj",
    Mounts=_MOUNT,
    Privileges=_keys("SELinuxContext Seccomp AppArmor NoNewPrivileges"),
)
SERVICE = _keys(
    "Name Labels Mode UpdateConfig RollbackConfig EndpointSpec Networks",
    TaskTemplate=_keys(
        "Resources RestartPolicy Placement Networks ForceUpdate Runtime",
        ContainerSpec=_TASK_CONTAINER,
        LogDriver=_DRIVER,
    ),
)


def misread(value: Any, keys: Keys, where: str = "") -> Iterator[str]:
    """Return the keys that dockerd could take for others, or that are not known."""
    if isinstance(value, list):
        for item in value:
            yield from misread(item, keys, where)
        return
    if value is None:
        return
    if not isinstance(value, dict):
        yield f"{where or 'the request'} is not a JSON object"
        return
    known = {*keys.any, *keys.objects}
    alike = {name.casefold() for name in known}
    for key, item in value.items():
        inner = keys.objects.get("" if keys.free else key)
        name = f"{where}.{key}" if where else key
        if inner is not None:
            yield from misread(item, inner, name)
        elif key not in known and (key.casefold() in alike or not _is_empty(item)):
            yield f"unknown key {name}"


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value in ("", 0, [], {})

"""What is looked for in the devices that a container was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyinfra_gvisor.audit.observed import Device, DeviceRequest
from pyinfra_gvisor.audit.rules import Rule, Running, Seen
from pyinfra_gvisor.errors import cut
from pyinfra_gvisor.policy.findings import Severity


@dataclass(frozen=True)
class Driver:
    """Devices by the beginning of their path, whose host driver runsc can call, and the source."""

    path: str
    what: str
    source: str


# What runsc makes of a device: createDeviceFile in gVisor's runsc/boot/vfs.go. In 2026 a device
# alone switches nvproxy on, and one of the TPU rows tpuproxy (TPUFunctionalityRequested).
DRIVERS = (
    Driver(
        "/dev/nvidia",
        "the host's GPU driver, since 2026 without any flag",
        "runsc/specutils/nvidia.go",
    ),
    Driver("/dev/accel", "the host's TPU driver", "runsc/specutils/specutils.go"),
    Driver("/dev/vfio/", "PCI devices of the node", "runsc/specutils/specutils.go"),
    Driver("/dev/infiniband/", "the host's RDMA driver", "runsc/specutils/rdma.go"),
)
# Open to everybody, in and out of a sandbox: null(4), random(4), full(4), tty(4).
HARMLESS = frozenset(
    f"/dev/{name}" for name in ["null", "zero", "full", "random", "urandom", "tty"]
)
# The sentry has these of its own: gVisor, pkg/sentry/devices and pkg/sentry/fsimpl/fuse.
SENTRYS = HARMLESS | {"/dev/fuse", "/dev/net/tun"}


def _device(device: Device, *, sandboxed: bool) -> tuple[Severity, str]:
    """Return how bad a device is, and the device in words."""
    words = f"{cut(device.host)} as {cut(device.inside)} ({cut(device.permissions)})"
    if device.host == device.inside and device.host in (SENTRYS if sandboxed else HARMLESS):
        return Severity.LOW, words
    if not sandboxed:
        return Severity.HIGH, words
    for driver in DRIVERS:
        if device.host.startswith(driver.path) or device.inside.startswith(driver.path):
            return Severity.HIGH, f"{words} opens {driver.what}"
    return Severity.MEDIUM, words


def _devices(running: Running) -> Iterator[Seen]:
    """In a sandbox most devices cannot be opened, and no rule of a device control group is kept."""
    found = [_device(item, sandboxed=running.sandboxed) for item in running.given.devices]
    worst = Severity.LOW if running.sandboxed else Severity.HIGH
    found += [(worst, f"rule {cut(rule)}") for rule in running.given.device_rules]
    if found:
        severity = max((severity for severity, _ in found), key=lambda severity: severity.rank)
        yield running.seen("; ".join(words for _, words in found), severity)


def _request(request: DeviceRequest) -> str:
    kinds = [kind for kinds in request.capabilities or () for kind in kinds]
    number = "all" if request.count < 0 else str(request.count)
    which = ", ".join(map(cut, request.ids or ())) or number
    return f"{cut(request.driver or ' '.join(kinds) or 'any driver')}: {which}"


def _gpus(running: Running) -> Iterator[Seen]:
    if requests := running.given.device_requests:
        yield running.seen("; ".join(map(_request, requests)))


DEVICE_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "container-device",
        Severity.HIGH,
        "it is given devices of the node",
        "create it without --device and --device-cgroup-rule (compose: devices, "
        "device_cgroup_rules)",
        _devices,
        cis="5.18",
    ),
    Rule(
        "container-gpu",
        Severity.HIGH,
        "it asks for GPUs or other devices by their driver, which is the host's and no sandbox's",
        "create it without --gpus (compose: gpus, deploy.resources.reservations.devices)",
        _gpus,
    ),
)

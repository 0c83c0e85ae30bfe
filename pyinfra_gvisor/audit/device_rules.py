"""Rules about the node's devices that a container can use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyinfra_gvisor.apps.seen import Device, DeviceRequest
from pyinfra_gvisor.audit.rules import Observation, Rule, Running
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.policy.findings import Severity


@dataclass(frozen=True)
class Driver:
    """Devices whose host driver runsc can call; ``path`` is the prefix of their paths."""

    path: str
    what: str
    source: str


# How runsc treats a device: createDeviceFile in gVisor's runsc/boot/vfs.go. Since 2026 a GPU device
# alone switches nvproxy on, and a TPU device tpuproxy (TPUFunctionalityRequested).
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
# Harmless in and outside of a sandbox: null(4), random(4), full(4), tty(4).
HARMLESS = frozenset(
    f"/dev/{name}" for name in ["null", "zero", "full", "random", "urandom", "tty"]
)
# The sentry implements these itself: gVisor, pkg/sentry/devices and pkg/sentry/fsimpl/fuse.
SENTRYS = HARMLESS | {"/dev/fuse", "/dev/net/tun"}


def _device(device: Device, *, sandboxed: bool) -> tuple[Severity, str]:
    """Return a device's severity and its description."""
    words = f"{cut(device.host)} as {cut(device.inside)} ({cut(device.permissions)})"
    if device.host == device.inside and device.host in (SENTRYS if sandboxed else HARMLESS):
        return Severity.LOW, words
    if not sandboxed:
        return Severity.HIGH, words
    for driver in DRIVERS:
        if device.host.startswith(driver.path) or device.inside.startswith(driver.path):
            return Severity.HIGH, f"{words} opens {driver.what}"
    return Severity.MEDIUM, words


def _devices(running: Running) -> Iterator[Observation]:
    """Report devices and cgroup rules. A sandbox can open few devices, and ignores such rules."""
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


def _gpus(running: Running) -> Iterator[Observation]:
    if requests := running.given.device_requests:
        yield running.seen("; ".join(map(_request, requests)))


DEVICE_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "container-device",
        Severity.HIGH,
        "Can use devices of the node",
        "Recreate the container without --device and --device-cgroup-rule (compose: devices, "
        "device_cgroup_rules)",
        _devices,
        cis="5.18",
    ),
    Rule(
        "container-gpu",
        Severity.HIGH,
        "Uses GPUs or other devices through the host's driver, which gVisor does not isolate",
        "Recreate the container without --gpus (compose: gpus, "
        "deploy.resources.reservations.devices)",
        _gpus,
    ),
)

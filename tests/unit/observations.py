"""What ``scripts/prove.sh`` prints on a node where all is well."""

from __future__ import annotations

from pyinfra_gvisor.proof import CONTROL, GVISOR_KERNEL

RELEASE = "20260928.0"
DEBIAN_KERNEL = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.9-1 (2026-10-01)"

NODE = {
    "peer_address": "172.19.0.2",
    "subnet": "172.19.0.0/16",
    "kernel_version": DEBIAN_KERNEL,
}
SANDBOX = {
    "start": "ok",
    "asked": "runsc",
    "given_address": "172.19.0.3",
    "executable": f"/opt/gvisor/releases/{RELEASE}/runsc",
    "argv0": "runsc-sandbox",
    "kernel_version": GVISOR_KERNEL,
    "kernel_release": "4.19.0-gvisor",
    "dmesg": "[    0.000000] Starting gVisor...",
    "dns_peer": "172.19.0.2",
    "raw_socket": "refused",
    "packet_socket": "refused",
    "docker_socket": "refused",
    "address": "172.19.0.3",
    "exec": "answer 42",
}
RUNC = {
    **SANDBOX,
    "asked": "runc",
    "given_address": "172.19.0.4",
    "executable": "/usr/bin/sleep",
    "argv0": "sleep",
    "kernel_version": DEBIAN_KERNEL,
    "raw_socket": "allowed",
    "packet_socket": "allowed",
    "docker_socket": "allowed",
    "address": "172.19.0.4",
}


def output(**changes: dict[str, str | None]) -> list[str]:
    """What the script prints; ``changes`` by subject, None takes an observation out."""
    subjects: dict[str, dict[str, str]] = {"node": NODE, "runsc": SANDBOX, CONTROL: RUNC}
    return [
        f"{subject}\t{key}\t{value}"
        for subject, seen in subjects.items()
        for key, value in {**seen, **changes.get(subject, {})}.items()
        if value is not None
    ]

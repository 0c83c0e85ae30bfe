"""What ``proof/prove.sh`` prints on a node where all is well."""

from pyinfra_gvisor.proof.checks import CONTROL
from pyinfra_gvisor.proof.judges import GVISOR_KERNEL, MEMORY_SEEN

RELEASE = "20260928.0"
DEBIAN_KERNEL = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.9-1 (2026-10-01)"

STOPPED = ("egress_metadata", "egress_private", "egress_smtp", "egress_node")
LOADER = "/.pyinfra-gvisor/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"

NODE = {
    "peer_address": "172.19.0.2",
    "beyond": "172.20.0.2",
    "subnet": "172.19.0.0/16",
    "addresses": "192.0.2.7 172.17.0.1 172.19.0.1",
    "kernel_version": DEBIAN_KERNEL,
    "kernel_release": "6.12.9+deb13-amd64",
}
SANDBOX = {
    "start": "ok",
    "asked": "runsc",
    "given_address": "172.19.0.3",
    "kernel_address": "the sandbox's alone",
    "file": f"/opt/gvisor/releases/{RELEASE}/runsc",
    "process": "runsc-sandbox",
    "state": "sandboxed",
    "runs": RELEASE,
    "kernel_version": GVISOR_KERNEL,
    "kernel_release": "4.19.0-gvisor",
    "dmesg": "Starting gVisor",
    "dns_peer": "172.19.0.2",
    "dns_alias": "172.19.0.2",
    "dns_scope": "unknown",
    "dns_restart": "resolves",
    "dns_external": "192.0.2.80",
    "tcp_to_peer": "answered",
    "tcp_from_peer": "answered",
    "published": "answered",
    **dict.fromkeys(STOPPED, "stopped, no route"),
    "egress_allowed": "connected",
    "raw_socket": "refused",
    "packet_socket": "refused",
    "docker_socket": "refused",
    "sealed": "refused",
    "build_kernel": f"Linux version 4.19.0-gvisor {GVISOR_KERNEL}",
    "door": "bind refused,volume refused,archive refused,",
    "no_new_privs": "nothing gained",
    "personality": "refused",
    "file_rights": "none",
    "memory_limit": MEMORY_SEEN,
    "address": "172.19.0.3",
    "exec": "answer 42",
    "logs": "its line",
    "reload": "lives on",
    "stop": "exited 7",
}
RUNC = {
    **SANDBOX,
    "asked": "runc",
    "given_address": "172.19.0.4",
    "kernel_address": "the kernel's",
    "file": f"{LOADER} (an image's)",
    "process": LOADER,
    "state": "bare",
    "runs": "",
    "door": "bind done,volume done,archive done,",
    "build_kernel": f"Linux version 6.12.9+deb13-amd64 {DEBIAN_KERNEL}",
    "kernel_version": DEBIAN_KERNEL,
    "kernel_release": "6.12.9+deb13-amd64",
    "dmesg": "refused",
    **dict.fromkeys(STOPPED, "let through, no answer"),
    "raw_socket": "allowed",
    "packet_socket": "allowed",
    "docker_socket": "allowed",
    "sealed": "allowed",
    "file_rights": "some",
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

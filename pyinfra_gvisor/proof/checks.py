"""The checks of the proof, as data."""

from __future__ import annotations

from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof import judges
from pyinfra_gvisor.proof.check import ALL, CONTROL, ONLINE, OWN_STACK, WITH_DNS, Check
from pyinfra_gvisor.proof.every import proofs_of_parts
from pyinfra_gvisor.proof.judges import MEMORY_SEEN, refused, same, shows
from pyinfra_gvisor.runtimes.profiles import Runtime

__all__ = ["ALL", "CHECKS", "CONTROL", "Check"]

_LEAVE = "run no untrusted code under this runtime; check what its wrapper starts"
_FLAGS = "remove the flag from gvisor_runtimes, or give a reason for it there"
_STRICT = "check `hardening` in gvisor_runtimes, and what the wrapper starts"
_NETWORK = "check the node's firewall and Docker's networks; compare with the control"
_NAMES = (
    "check dockerd's log, and for a runtime with `dns` also the log of pyinfra-gvisor-resolver; "
    "with network sandbox, Docker's names need `dns`"
)

CHECKS: tuple[Check, ...] = (
    Check(
        "kernel-inside",
        "the container's kernel is gVisor",
        "`uname -v` inside is gVisor's; under runc it is the node's",
        "kernel_version",
        Severity.CRITICAL,
        _LEAVE,
        judges.gvisors_version,
        judges.as_on_node("kernel_version"),
    ),
    Check(
        "kernel-release",
        "the kernel has gVisor's release name",
        "`uname -r` inside is 4.4.0 or 4.19.0-gvisor, or `uname -v` is gVisor's; under runc it is "
        "the node's",
        "kernel_release",
        Severity.CRITICAL,
        _LEAVE,
        judges.gvisors_release,
        judges.as_on_node("kernel_release"),
    ),
    Check(
        "dmesg",
        "the kernel log is gVisor's",
        "syslog(2) inside shows `Starting gVisor`; under runc it shows the node's log, or nothing",
        "dmesg",
        Severity.CRITICAL,
        _LEAVE,
        shows("dmesg", "Starting gVisor"),
        shows("dmesg", "another kernel's", "refused"),
        hardening="standard",  # with strict, Docker's seccomp filter refuses syslog(2)
    ),
    Check(
        "process-outside",
        "the container's process on the node is gVisor's sandbox",
        "the runtime uses an unchanged wrapper of ours, `argv[0]` is runsc-sandbox, and "
        "`/proc/<pid>/exe` is a program in a release's manifest. Under runc this is not so",
        "process",
        Severity.CRITICAL,
        _LEAVE,
        judges.is_a("sandboxed"),
        judges.is_a("bare"),
    ),
    Check(
        "release",
        "the sandbox runs from the declared release",
        "the program in `/proc/<pid>/exe` is of that release; under runc it is of no release",
        "file",
        Severity.HIGH,
        "run the deploy again: it writes the wrapper of the declared release",
        judges.from_the_release,
        judges.from_no_release,
    ),
    Check(
        "runtime",
        "Docker runs the container under the requested runtime",
        "`docker inspect` shows it in `HostConfig.Runtime`; under runc it is runc, or the default "
        "runtime if that chose runc",
        "asked",
        Severity.HIGH,
        "check the runtimes in `docker info`, and whether a plugin changes requests",
        *same(judges.as_asked),
    ),
    Check(
        "dns",
        "names of other containers resolve",
        "the name of a container on its network resolves to that container; under runc the same",
        "dns_peer",
        Severity.MEDIUM,
        _NAMES,
        *same(judges.as_peer("dns_peer")),
        networks=WITH_DNS,
    ),
    Check(
        "dns-alias",
        "aliases of other containers resolve",
        "an alias of that container resolves to its address; under runc the same",
        "dns_alias",
        Severity.MEDIUM,
        _NAMES,
        *same(judges.as_peer("dns_alias")),
        networks=WITH_DNS,
    ),
    Check(
        "dns-scope",
        "names of other networks do not resolve",
        "an alias on another network does not resolve to its address there, but does for "
        "containers on that network; under runc the same",
        "dns_scope",
        Severity.HIGH,
        "check the container's resolv.conf, and `dns` in daemon.json",
        *same(judges.not_beyond),
        networks=WITH_DNS,
    ),
    Check(
        "dns-restart",
        "names resolve after a restart of either container",
        "after `docker restart` of each container, the name resolves to the new address; under "
        "runc the same",
        "dns_restart",
        Severity.MEDIUM,
        _NAMES,
        *same(shows("dns_restart", "resolves")),
        networks=WITH_DNS,
    ),
    Check(
        "dns-external",
        "names outside Docker resolve",
        "example.com resolves; under runc the same",
        "dns_external",
        Severity.MEDIUM,
        "check `dns` in daemon.json and the node's resolv.conf",
        *same(judges.external_resolved),
        networks=WITH_DNS,
        unless="the node, or a container under runc, resolves no external name",
    ),
    Check(
        "address",
        "packets leave from the container's own private address",
        "the local address of a socket is the one that Docker assigned, in its network's subnet "
        "and not the node's; under runc the same",
        "address",
        Severity.HIGH,
        "start no container with `--network host`; see `network` in gvisor_runtimes",
        *same(judges.own_address),
        networks=ONLINE,
        cis="5.10",
    ),
    Check(
        "own-stack",
        "gVisor's own network stack makes the packets",
        "no interface in its network namespace has its address, because the sandbox took it; "
        "under runc an interface has it",
        "kernel_address",
        Severity.CRITICAL,
        "check `network` in gvisor_runtimes, and what the wrapper starts",
        shows("kernel_address", "the sandbox's alone"),
        shows("kernel_address", "the kernel's"),
        networks=OWN_STACK,
    ),
    Check(
        "tcp-to-peer",
        "it reaches another container",
        "a TCP connection gets that container's answer; under runc the same",
        "tcp_to_peer",
        Severity.MEDIUM,
        _NETWORK,
        *same(shows("tcp_to_peer", "answered")),
        networks=ONLINE,
    ),
    Check(
        "tcp-from-peer",
        "another container reaches it",
        "a TCP connection gets its answer; under runc the same",
        "tcp_from_peer",
        Severity.MEDIUM,
        _NETWORK,
        *same(shows("tcp_from_peer", "answered")),
        networks=ONLINE,
    ),
    Check(
        "published-port",
        "the node reaches it through a published port, as a proxy does",
        "a TCP connection to the port on 127.0.0.1 gets its answer; under runc the same",
        "published",
        Severity.MEDIUM,
        _NETWORK,
        *same(shows("published", "answered")),
        networks=ONLINE,
    ),
    *(check for part in proofs_of_parts().values() for check in part.checks),
    Check(
        "raw-socket",
        "raw sockets are refused",
        "socket(2) of SOCK_RAW inside is refused; allowed under runc",
        "raw_socket",
        Severity.HIGH,
        _FLAGS,
        *refused("raw_socket"),
        cis="5.4",
    ),
    Check(
        "packet-socket",
        "packet sockets are refused",
        "socket(2) of AF_PACKET inside is refused; allowed under runc",
        "packet_socket",
        Severity.HIGH,
        _FLAGS,
        *refused("packet_socket"),
        cis="5.4",
    ),
    Check(
        "docker-socket",
        "a mounted docker.sock cannot be opened",
        "connect(2) to it inside, or a start with it, is refused; allowed under runc",
        "docker_socket",
        Severity.CRITICAL,
        _FLAGS,
        *refused("docker_socket"),
        cis="5.32",
        unless="dockerd has userns-remap, which refuses it under runc too",
    ),
    Check(
        "seal",
        "a mount of the node's files is refused",
        "Docker does not start the same container without the proof's exception, because it mounts "
        "the node's `/usr`; under runc it starts",
        "sealed",
        Severity.HIGH,
        "run the deploy again: it writes the wrapper that has the declared seal",
        *refused("sealed"),
        sealed=True,
        cis="5.6",
    ),
    Check(
        "no-new-privs",
        "no program gains privileges that its caller lacks",
        "a setuid program of root, started by nobody, does not become root; under runc the same",
        "no_new_privs",
        Severity.MEDIUM,
        'set "no-new-privileges": true in daemon.json, and restart dockerd to apply',
        *same(shows("no_new_privs", "nothing gained")),
        unless="it is switched off, or not active yet, or `gvisor_proof_image` is set",
        cis="5.26",
    ),
    Check(
        "seccomp",
        "Docker's seccomp filter is active inside",
        "personality(2) with a value that the filter does not allow is refused inside; under runc "
        "the same",
        "personality",
        Severity.MEDIUM,
        _STRICT,
        *same(shows("personality", "refused")),
        unless="the node has a filter of its own, which does not refuse it under runc either",
        hardening="strict",
        cis="5.22",
    ),
    Check(
        "file-rights",
        "its process has no capability over files of other users",
        "its process on the node has none of CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER and "
        "FSETID; under runc it has some",
        "file_rights",
        Severity.MEDIUM,
        _STRICT,
        shows("file_rights", "none"),
        shows("file_rights", "some"),
        hardening="strict",
    ),
    Check(
        "memory-limit",
        "the memory limit is active and seen inside",
        "the control group of its process has the requested limit in bytes, and it sees no more "
        "memory inside: /proc/meminfo, /sys/fs/cgroup; under runc the same",
        "memory_limit",
        Severity.MEDIUM,
        "remove --ignore-cgroups from gvisor_runtimes; check the node's control groups",
        *same(shows("memory_limit", MEMORY_SEEN)),
        unless="the node's kernel has no memory limits",
        cis="5.11",
    ),
    Check(
        "exec",
        "docker exec works",
        "a program started with it answers; under runc the same",
        "exec",
        Severity.MEDIUM,
        "check dockerd's log",
        *same(shows("exec", "answer 42")),
    ),
    Check(
        "logs",
        "docker logs works",
        "a line that the container wrote is there; under runc the same",
        "logs",
        Severity.MEDIUM,
        "check dockerd's log",
        *same(shows("logs", "its line")),
    ),
    Check(
        "reload",
        "it keeps running when dockerd reloads",
        "after a reload it is the same process, and `docker exec` works; under runc the same",
        "reload",
        Severity.HIGH,
        "check dockerd's log, and whether dockerd accepts daemon.json",
        *same(shows("reload", "lives on")),
        unless="dockerd has not read the current daemon.json, or loses something at a reload, or "
        "a release is only tried",
    ),
    Check(
        "stop",
        "docker stop works",
        "it gets SIGTERM and exits with its own code (7) within 10 s; under runc the same",
        "stop",
        Severity.MEDIUM,
        "check dockerd's log; Docker kills a container that does not stop",
        *same(shows("stop", "exited 7")),
    ),
)


def asked_of(runtime: Runtime) -> tuple[Check, ...]:
    """Return the checks that apply to such a runtime."""
    return tuple(check for check in CHECKS if check.is_about(runtime))

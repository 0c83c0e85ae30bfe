"""The checks of the proof, as data."""

from __future__ import annotations

from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof import judges
from pyinfra_gvisor.proof.check import ALL, CONTROL, ONLINE, OWN_STACK, WITH_DNS, Check
from pyinfra_gvisor.proof.judges import MEMORY_LIMIT, refused, same, shows
from pyinfra_gvisor.proof.part import proofs_of_parts
from pyinfra_gvisor.runtimes.profiles import Runtime

__all__ = ["ALL", "CHECKS", "CONTROL", "Check"]

_LEAVE = "run nobody's code under this runtime; see what the wrapper starts"
_FLAGS = "take the flag out of gvisor_runtimes, or give a reason for it there"
_STRICT = "look at `hardening` in gvisor_runtimes, and at what the wrapper starts"
_NETWORK = "look at the node's firewall and Docker's networks; compare with the control"
_NAMES = (
    "look at dockerd's log, for a runtime with `dns` at that of pyinfra-gvisor-resolver too; "
    "network sandbox has Docker's names with `dns` alone"
)

CHECKS: tuple[Check, ...] = (
    Check(
        "kernel-inside",
        "the kernel that the container talks to is gVisor's",
        "`uname -v` inside is gVisor's; under runc the node's",
        "kernel_version",
        Severity.CRITICAL,
        _LEAVE,
        judges.gvisors_version,
        judges.as_on_node("kernel_version"),
    ),
    Check(
        "kernel-release",
        "it has a release that gVisor gives itself",
        "`uname -r` inside is 4.4.0, 4.19.0-gvisor, or another with gVisor's `uname -v`; under "
        "runc the node's",
        "kernel_release",
        Severity.CRITICAL,
        _LEAVE,
        judges.gvisors_release,
        judges.as_on_node("kernel_release"),
    ),
    Check(
        "dmesg",
        "its log is gVisor's",
        "syslog(2) inside has `Starting gVisor`; under runc the node's log, or none",
        "dmesg",
        Severity.CRITICAL,
        _LEAVE,
        shows("dmesg", "Starting gVisor"),
        shows("dmesg", "another kernel's", "refused"),
        hardening="standard",  # Docker's seccomp filter refuses syslog(2)
    ),
    Check(
        "process-outside",
        "the container's process is gVisor's sandbox",
        "on the node an unchanged wrapper of ours handles the runtime, `argv[0]` is runsc-sandbox, "
        "and `/proc/<pid>/exe` is, by device and inode or by checksum, a program that a release's "
        "manifest knows; under runc that is not so",
        "process",
        Severity.CRITICAL,
        _LEAVE,
        judges.is_a("sandboxed"),
        judges.is_a("bare"),
    ),
    Check(
        "release",
        "the sandbox runs from the release asked for",
        "that program is of the release declared; under runc it is of none",
        "file",
        Severity.HIGH,
        "run the deploy again, which writes the wrapper of the release that is declared",
        judges.from_the_release,
        judges.from_no_release,
    ),
    Check(
        "runtime",
        "Docker has the container under the runtime asked for",
        "`docker inspect`, `HostConfig.Runtime`; under runc it is runc",
        "asked",
        Severity.HIGH,
        "look at the runtimes in `docker info`, and for a plugin that changes what is asked for",
        *same(judges.as_asked),
    ),
    Check(
        "dns",
        "Docker's names of other containers resolve",
        "the name of a container beside it is that one's address; under runc the same",
        "dns_peer",
        Severity.MEDIUM,
        _NAMES,
        *same(judges.as_peer("dns_peer")),
        networks=WITH_DNS,
    ),
    Check(
        "dns-alias",
        "so do their aliases",
        "what that container is called on their network is its address; under runc the same",
        "dns_alias",
        Severity.MEDIUM,
        _NAMES,
        *same(judges.as_peer("dns_alias")),
        networks=WITH_DNS,
    ),
    Check(
        "dns-scope",
        "names of a network that it is not on do not resolve",
        "what that container is called on another network has no address, which it has for those "
        "that are on it; under runc the same",
        "dns_scope",
        Severity.HIGH,
        "look at who answers the container: its resolv.conf, `dns` in daemon.json",
        *same(judges.not_beyond),
        networks=WITH_DNS,
    ),
    Check(
        "dns-restart",
        "names resolve when either side was restarted",
        "behind `docker restart` of that container, and then of its own, the name is the address "
        "that it has now; under runc the same",
        "dns_restart",
        Severity.MEDIUM,
        _NAMES,
        *same(shows("dns_restart", "resolves")),
        networks=WITH_DNS,
    ),
    Check(
        "dns-external",
        "names outside Docker resolve",
        "example.com has an address; under runc the same",
        "dns_external",
        Severity.MEDIUM,
        "look at `dns` in daemon.json and at the node's resolv.conf",
        *same(judges.external_resolved),
        networks=WITH_DNS,
        unless="the node or a container under runc resolves no external name",
    ),
    Check(
        "address",
        "packets leave from the container's own private address",
        "the address that a socket to the peer has is the one that Docker gave, in its network's "
        "subnet, and none of the node's; under runc the same",
        "address",
        Severity.HIGH,
        "start no container with `--network host`; see `network` in gvisor_runtimes",
        *same(judges.own_address),
        networks=ONLINE,
        cis="5.10",
    ),
    Check(
        "own-stack",
        "packets are made by gVisor's own network stack",
        "in its network namespace no interface of the kernel's has its address, which the sandbox "
        "has taken; under runc one has",
        "kernel_address",
        Severity.CRITICAL,
        "look at `network` in gvisor_runtimes, and at what the wrapper starts",
        shows("kernel_address", "the sandbox's alone"),
        shows("kernel_address", "the kernel's"),
        networks=OWN_STACK,
    ),
    Check(
        "tcp-to-peer",
        "it reaches a container beside it",
        "a TCP connection gets that one's word; under runc the same",
        "tcp_to_peer",
        Severity.MEDIUM,
        _NETWORK,
        *same(shows("tcp_to_peer", "answered")),
        networks=ONLINE,
    ),
    Check(
        "tcp-from-peer",
        "a container beside it reaches it",
        "a TCP connection gets its word; under runc the same",
        "tcp_from_peer",
        Severity.MEDIUM,
        _NETWORK,
        *same(shows("tcp_from_peer", "answered")),
        networks=ONLINE,
    ),
    Check(
        "published-port",
        "the node reaches it through a published port, as a proxy does",
        "a TCP connection to the port on 127.0.0.1 gets its word; under runc the same",
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
        "socket(2) of SOCK_RAW inside; allowed under runc",
        "raw_socket",
        Severity.HIGH,
        _FLAGS,
        *refused("raw_socket"),
        cis="5.4",
    ),
    Check(
        "packet-socket",
        "packet sockets are refused",
        "socket(2) of AF_PACKET inside; allowed under runc",
        "packet_socket",
        Severity.HIGH,
        _FLAGS,
        *refused("packet_socket"),
        cis="5.4",
    ),
    Check(
        "docker-socket",
        "a mounted docker.sock cannot be opened",
        "connect(2) to it inside, or the start with it; allowed under runc",
        "docker_socket",
        Severity.CRITICAL,
        _FLAGS,
        *refused("docker_socket"),
        cis="5.32",
        unless="dockerd has userns-remap, with which runc may not open it either",
    ),
    Check(
        "no-new-privs",
        "no program gains what its caller has not",
        "a setuid program of root's, started by nobody, is not root; under runc the same",
        "no_new_privs",
        Severity.MEDIUM,
        'have "no-new-privileges": true in daemon.json, and restart dockerd if that is owed',
        *same(shows("no_new_privs", "nothing gained")),
        unless="it is given up, or not in force yet, or `gvisor_proof_image` is set",
        cis="5.26",
    ),
    Check(
        "seccomp",
        "Docker's seccomp filter is in force inside",
        "personality(2) with a value that the filter does not know is refused inside; under runc "
        "the same",
        "personality",
        Severity.MEDIUM,
        _STRICT,
        *same(shows("personality", "refused")),
        unless="under runc it is not refused either, by a filter of the node's own",
        hardening="strict",
        cis="5.22",
    ),
    Check(
        "file-rights",
        "its process has no rights over files of others",
        "on the node its process has none of the capabilities CHOWN, DAC_OVERRIDE, "
        "DAC_READ_SEARCH, FOWNER and FSETID; under runc it has some",
        "file_rights",
        Severity.MEDIUM,
        _STRICT,
        shows("file_rights", "none"),
        shows("file_rights", "some"),
        hardening="strict",
    ),
    Check(
        "memory-limit",
        "a limit of memory is in force",
        "the control group of its process on the node has the limit in bytes that was asked for; "
        "under runc the same",
        "memory_limit",
        Severity.MEDIUM,
        "leave --ignore-cgroups out of gvisor_runtimes; look at the node's control groups",
        *same(shows("memory_limit", MEMORY_LIMIT)),
        unless="the node's kernel knows no such limit",
        cis="5.11",
    ),
    Check(
        "exec",
        "docker exec works",
        "a program that is started in it answers; under runc the same",
        "exec",
        Severity.MEDIUM,
        "look at dockerd's log",
        *same(shows("exec", "answer 42")),
    ),
    Check(
        "logs",
        "docker logs works",
        "a line that it wrote is there; under runc the same",
        "logs",
        Severity.MEDIUM,
        "look at dockerd's log",
        *same(shows("logs", "its line")),
    ),
    Check(
        "reload",
        "it lives on when dockerd reloads",
        "after a reload it is the same process and answers `docker exec`; under runc the same",
        "reload",
        Severity.HIGH,
        "look at dockerd's log, and whether it takes daemon.json as it lies there",
        *same(shows("reload", "lives on")),
        unless="dockerd has not read daemon.json as it lies there, or a release is only tried",
    ),
    Check(
        "stop",
        "docker stop works",
        "it is told to end, and ends with its own code (7) within 10 s; under runc the same",
        "stop",
        Severity.MEDIUM,
        "look at dockerd's log; what does not stop is killed",
        *same(shows("stop", "exited 7")),
    ),
)


def asked_of(runtime: Runtime) -> tuple[Check, ...]:
    """The checks that are about such a runtime."""
    return tuple(check for check in CHECKS if check.is_about(runtime))

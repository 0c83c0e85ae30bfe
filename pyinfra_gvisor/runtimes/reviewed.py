"""
Reviewed flags of runsc, one a row: which values are safe, and what any other value opens.

A flag without a row is dangerous. To review a flag, read what runsc's source does with it, and add
a row. Safe values are only those with which the sandbox is at least as strict as without the flag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# runsc's own description of the flag: this file in the tags 20221219.0, 20240729.0 and 20260817.0,
# and the output of `runsc flags` in 20240729.0 and in a build of 20260905.0.
FLAGS_GO = "google/gvisor, runsc/config/flags.go"
CONFIG_GO = "google/gvisor, runsc/config/config.go"
GRAVEYARD = "google/gvisor, runsc/config/flags_graveyard.go"
CLI = "google/gvisor, runsc/cli/cli.go"

# The values that Go's strconv.ParseBool accepts.
OFF = "0|f|F|false|FALSE|False"
ON = "1|t|T|true|TRUE|True"
EITHER = f"{OFF}|{ON}"
NUMBER = r"-1|[0-9]{1,18}"
NEVER = r"(?!)"


@dataclass(frozen=True)
class Flag:
    """
    A flag, by its whole name or by a prefix that ends in ``-``.

    ``what`` is what the flag opens with a value that does not match the pattern ``safe``; ``why``
    is why matching values are safe. ``switch``: Go never takes the next word as the value; None if
    that is not known. ``log``: the value is a file that runsc writes. ``harmless_in``: networks in
    which the flag opens nothing. ``gives_up``: checks of the proof that it makes impossible.
    """

    name: str
    what: str
    safe: str = NEVER
    why: str = ""
    source: str = FLAGS_GO
    switch: bool | None = False
    log: bool = False
    harmless_in: tuple[str, ...] = ()
    gives_up: tuple[str, ...] = ()

    def is_named(self, name: str) -> bool:
        """Return True if the row is about the flag called ``name``."""
        return name == self.name or (self.name.endswith("-") and name.startswith(self.name))

    def is_safe(self, value: str) -> bool:
        """Return True if this value of the flag is safe."""
        return re.fullmatch(self.safe, value) is not None


def _switch(
    name: str,
    what: str,
    *,
    source: str = FLAGS_GO,
    harmless_in: tuple[str, ...] = (),
    gives_up: tuple[str, ...] = (),
) -> Flag:
    """Return the row of a switch that is dangerous when it is on."""
    why = "off is runsc's own default"
    return Flag(
        name, what, OFF, why, source, switch=True, harmless_in=harmless_in, gives_up=gives_up
    )


def _either(name: str, why: str, source: str = FLAGS_GO) -> Flag:
    """Return the row of a switch that is safe on and off."""
    return Flag(name, ODD, EITHER, why, source, switch=True)


UNREVIEWED = "a flag that was not reviewed"
ODD = "a value that was not reviewed"
_DEVELOPERS = "a tool of gVisor's developers, not for production"
_DOCKERS = "a flag that Docker sets itself"
_INSIDE = "changes only gVisor's own network stack, inside the sandbox"
_SAVING = "only for sandboxes that are saved or restored, which this package never does"
_LEVELS = "text|json|json-k8s"
_CGROUPS = "cgroups inside the sandbox, which gVisor calls incomplete and not for production"
_KEY = "the values of the key with this name"

ISOLATING = (
    _switch(
        "net-raw",
        "raw sockets of the host kernel",
        source=f"{FLAGS_GO}; seen: with --network=host the socket is one of the host kernel",
        harmless_in=("sandbox", "none"),
        gives_up=("raw-socket", "packet-socket"),
    ),
    _switch(
        "allow-packet-socket-write",
        "forged packets in the node's network",
        harmless_in=("none",),
    ),
    Flag(
        "host-uds",
        "sockets of the host that are mounted, such as docker.sock",
        "none",
        "none is runsc's own default",
        "https://gvisor.dev/docs/user_guide/filesystem/, and runsc flags",
        gives_up=("docker-socket",),
    ),
    _switch(
        "fsgofer-host-uds",
        "sockets of the host that are mounted, such as docker.sock",
        source=f"{GRAVEYARD}: the same as host-uds=all",
        gives_up=("docker-socket",),
    ),
    Flag(
        "host-fifo",
        "named pipes of the host that are mounted",
        "none",
        "none is runsc's own default",
    ),
    Flag(
        "character-device-policy",
        "device nodes of an image, opened on the host",
        "emulated-only",
        "the strictest value",
        f"{FLAGS_GO}; CVE-2026-96812 used this",
    ),
    _switch("allow-flag-override", "everybody who can set annotations can change the sandbox"),
    _switch(
        "allow-rootfs-tar-annotation",
        "everybody who can set annotations can unpack a file of the node as the root file system",
    ),
    _switch("allow-suid", "programs with the SUID bit gain privileges in the container"),
    _switch(
        "ignore-cgroups",
        "no limit on memory, processors and processes",
        gives_up=("memory-limit",),
    ),
    _switch("systemd-cgroup", "experimental limits by systemd, where Docker may not see them"),
    _switch("mount-cgroup-v2", _CGROUPS),
    Flag(
        "in-sandbox-cgroup",
        _CGROUPS,
        "v1",
        "v1 is runsc's own default",
        "runsc flags of 20260905.0: the new name of mount-cgroup-v2",
    ),
    _switch("cgroupfs", "cgroups inside the sandbox"),
    _switch("rootless", "a sandbox with the privileges of the user who starts it"),
    _switch("iouring", "io_uring, which gVisor has only for tests"),
    Flag(
        "TESTONLY-",
        "a flag for gVisor's own tests, which may switch isolation off",
        OFF,
        "off is runsc's own default",
        switch=None,
    ),
    Flag(
        "EXPERIMENTAL-xdp",
        "network devices of the node",
        f"off|{OFF}",
        "off is runsc's own default",
        harmless_in=("none",),
    ),
    Flag("EXPERIMENTAL-", "an experiment of gVisor", OFF, "off is the default", switch=None),
    Flag(
        "gofer-network-namespace",
        "the gofer, which opens a container's files, is in the node's network",
        "null|new",
        "an empty network namespace",
        f"{FLAGS_GO}; runsc/config/config.go",
    ),
    Flag(
        "host-settings",
        "kernel settings of the node, which runsc changes",
        "check|check_mandatory|ignore",
        "these values change nothing on the node",
        CONFIG_GO,
    ),
    Flag(
        "restore-spec-validation",
        "a restored container that differs from its specification",
        "enforce",
        "the strictest value",
        CONFIG_GO,
    ),
    Flag(
        "sidecar-release-enforcement-policy",
        "helper programs of another release than runsc's",
        "ALWAYS|IF_RELEASE_BUILD",
        "stricter than runsc's own default",
        CONFIG_GO,
    ),
    Flag(
        "sidecar-usage-policy",
        "helper programs inside runsc instead of those in its directory",
        "DEFAULT|default|STRICT|strict",
        "as strict as runsc's own default, or stricter",
        GRAVEYARD,
    ),
    Flag("shared-root", "the state of sandboxes, in a directory that nothing else checks"),
    Flag("platform_device_path", "a device of the node, which runsc opens as its platform"),
    Flag("pod-init-config", "containers' system calls are sent to a program that the file names"),
    _either("oci-seccomp", "on is stricter: Docker's seccomp filter also inside the sandbox"),
    _either("directfs", "on is runsc's own default, off is stricter: the gofer opens all files"),
    _either("enable-core-tags", "on is stricter: no other sandbox on the same core"),
    _switch(
        "nvproxy",
        "containers reach the host's GPU driver",
        source="https://gvisor.dev/docs/user_guide/gpu/",
    ),
    _switch("nvproxy-docker", "NVIDIA's hook runs as root on the node for containers"),
    _switch(
        "nvproxy-allow-unsupported-driver",
        "containers reach a GPU driver that gVisor does not support",
    ),
    Flag("nvproxy-", "containers reach the host's GPU driver", switch=None),
    _switch("tpuproxy", "containers reach the host's TPU driver"),
    _switch("rdmaproxy", "containers reach the host's RDMA driver"),
)

# In our settings most of these are keys; other software writes them as flags.
KEYED = (
    Flag("network", "another network stack than gVisor's", "sandbox|host|none", _KEY),
    Flag("platform", "a platform that is not gVisor's own", "systrap|kvm|ptrace", _KEY),
    _either("overlay", "the same as overlay2=all:memory"),
    Flag(
        "overlay2",
        "containers write to a directory of the node",
        r"none|(root|all):(memory|self)(,size=[0-9]+[kmgKMG]?)?",
        "writes stay in the sandbox, or in Docker's storage",
        CONFIG_GO,
    ),
    Flag("panic-log", "a file outside of /var/log", ".*", "only below /var/log", log=True),
)

DEBUGGING = (
    _either("debug", "annotations may set this flag anyway; the output goes to debug-log"),
    Flag(
        "debug-command",
        ODD,
        "[a-z,-]*",
        "selects only which commands of runsc write a debug-log",
    ),
    Flag("debug-log", "a file outside of /var/log", ".*", "only below /var/log", log=True),
    Flag("debug-log-format", ODD, _LEVELS, "changes only the format of a log"),
    Flag("log-format", ODD, _LEVELS, "Docker sets this flag after it, and the last value counts"),
    _switch("debug-to-user-log", "containers see the sandbox's own log"),
    _switch("alsologtostderr", "containers see the sandbox's own log"),
    Flag("final-metrics-log", "a file outside of /var/log", ".*", "only numbers", log=True),
    Flag("traceback", "memory of containers in a core file", "none|single|all|system", "no core"),
    _switch("strace", "containers' data goes to a log that containers can grow without limit"),
    _switch("strace-event", "containers' system calls are sent to any listener"),
    Flag("strace-syscalls", ODD, "[a-z0-9_,]*", "no effect unless strace is on"),
    Flag("strace-log-size", ODD, NUMBER, "no effect unless strace is on"),
    _switch("log-packets", "containers' packets go to a log"),
    Flag("pcap-log", "containers' packets go to a file", log=True),
    Flag("metric-server", "everybody who reaches that address reads metrics of all sandboxes"),
    _switch("profile", "a less strict seccomp filter around the sandbox"),
    Flag("profile-gc-interval", _DEVELOPERS),
    Flag("profile-", "the sandbox's memory and code go to a file", log=True),
    Flag("profiling-metrics-log", _DEVELOPERS, log=True),
    Flag("profiling-metrics", _DEVELOPERS),
    Flag("profiling-metrics-rate-us", _DEVELOPERS),
    Flag("trace", _DEVELOPERS, log=True),
    Flag("coverage-report", _DEVELOPERS, log=True),
    Flag("ref-leak-mode", _DEVELOPERS, "disabled", "runsc's own default"),
    Flag("panic-signal", _DEVELOPERS, "-1", "runsc's own default"),
    Flag("watchdog-action", ODD, "log|panic", "these values can only end the sandbox"),
    Flag("control-rpc-stop-timeout", "containers that stop only after this time"),
)

TUNING = (
    _either("cpu-num-from-quota", "changes only how many processors containers see"),
    _either("systrap-disable-syscall-patching", "slower, with the same seccomp filter"),
    _either("systrap-disable-fast-path", "slower, with the same seccomp filter"),
    _either("kvm-use-cpu-nums", "changes only the numbers of processors inside"),
    _either("app-huge-pages", "changes only the page size of a container's memory"),
    _either("gvisor-marker-file", "adds or removes only a file that names gVisor"),
    Flag(
        "override-procs",
        ODD,
        "[a-z0-9_,-]*",
        "empties only files in /proc inside the sandbox",
        "google/gvisor, pkg/sentry/fsimpl/proc/tasks.go",
    ),
    Flag("file-access", ODD, "exclusive|shared", "changes only the cache of the root file system"),
    Flag(
        "file-access-mounts",
        "stale files in volumes that others also write to",
        "shared",
        "runsc's own default",
    ),
    Flag("fdlimit", ODD, NUMBER, "limits only how many files the sandbox opens on the host"),
    Flag("dcache", ODD, NUMBER, "limits only how many files the sandbox opens on the host"),
    _either("gso", _INSIDE),
    _either("software-gso", _INSIDE),
    _either("gvisor-gro", _INSIDE),
    _either("tx-checksum-offload", _INSIDE),
    _either("rx-checksum-offload", _INSIDE),
    Flag("qdisc", ODD, "none|fifo|tbf", _INSIDE, CONFIG_GO),
    Flag("qdisc-tbf-rate", ODD, NUMBER, "limits only what a container sends"),
    Flag("qdisc-tbf-burst", ODD, NUMBER, "limits only what a container sends"),
    Flag("num-network-channels", ODD, "[0-9]{1,2}", _INSIDE),
    Flag("network-processors-per-channel", ODD, "[0-9]{1,2}", _INSIDE),
    _switch("reproduce-nat", "the node's NAT rules, which runsc copies into the sandbox"),
    _switch("reproduce-nftables", "the node's firewall rules, which runsc copies into the sandbox"),
    _either("pause-external-networking", "on is stricter: no network until it is resumed"),
    _either("allow-live-tcp-migration", _SAVING),
    _either("net-disconnect-ok", _SAVING),
    _either("allow-connected-on-save", _SAVING),
    *(
        _either(name, "no effect in current releases", GRAVEYARD)
        for name in ("buffer-pooling", "vfs2", "fuse", "lisafs", "save-restore-netstack")
    ),
)

# Refused in ``gvisor_runtimes``: with these a runtime would not do what Docker asks for.
DOCKERS = (
    Flag("root", _DOCKERS),
    Flag("log", _DOCKERS, log=True),
    *(
        Flag(name, _DOCKERS, source=CLI)
        for name in ("log-fd", "debug-log-fd", "panic-log-fd", "coverage-fd")
    ),
    *(Flag(name, _DOCKERS, source=CLI, switch=True) for name in ("version", "help", "h")),
)

REVIEWED = (*ISOLATING, *KEYED, *DEBUGGING, *TUNING, *DOCKERS)


@lru_cache(maxsize=1024)  # the same few flags of every runtime of every host
def review(name: str) -> Flag:
    """Return the row of the flag called ``name``; a row without safe values if there is none."""
    rows = [row for row in REVIEWED if row.is_named(name)]
    return max(rows, key=lambda row: len(row.name), default=Flag(name, UNREVIEWED, switch=None))

"""
Flags of runsc that were reviewed: what each may be, and what it opens otherwise. One a row.

A flag that has no row is dangerous. A new flag gets its row with the review: read what runsc's
source does with the flag, and name as ``safe`` only values that keep the sandbox as it is without
the flag, or make it stricter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What runsc says of the flag itself: this file in the tags 20221219.0, 20240729.0 and 20260817.0,
# and the answer of `runsc flags` in 20240729.0 and in a build of 20260905.0.
FLAGS_GO = "google/gvisor, runsc/config/flags.go"
CONFIG_GO = "google/gvisor, runsc/config/config.go"
GRAVEYARD = "google/gvisor, runsc/config/flags_graveyard.go"
CLI = "google/gvisor, runsc/cli/cli.go"

# What Go's strconv.ParseBool takes.
OFF = "0|f|F|false|FALSE|False"
ON = "1|t|T|true|TRUE|True"
EITHER = f"{OFF}|{ON}"
NUMBER = r"-1|[0-9]{1,18}"
NEVER = r"(?!)"


@dataclass(frozen=True)
class Flag:
    """
    A flag, by its whole name or by a beginning that ends in ``-``.

    ``what`` is what it opens with a value that does not match ``safe``; ``why`` is why the others
    are safe. ``switch``: Go takes no word after it for its value; None where that is not known.
    ``log``: it names a file that runsc writes. ``harmless_in``: networks in which it opens nothing.
    ``gives_up``: checks of the proof that it makes impossible.
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
        """Return True if the flag opens nothing with this value."""
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
    """Return the row of a switch that opens nothing, on or off."""
    return Flag(name, ODD, EITHER, why, source, switch=True)


UNREVIEWED = "a flag that was not reviewed"
ODD = "a value that was not reviewed"
_DEVELOPERS = "a tool of gVisor's developers, not for production"
_DOCKERS = "what Docker sets itself"
_INSIDE = "only how gVisor's own network stack works, inside the sandbox"
_SAVING = "only for sandboxes that are saved or restored, which Docker's are not here"
_LEVELS = "text|json|json-k8s"

ISOLATING = (
    _switch(
        "net-raw",
        "real raw sockets on the host's kernel",
        source=f"{FLAGS_GO}; seen: with --network=host the socket is the host kernel's own",
        harmless_in=("sandbox", "none"),
        gives_up=("raw-socket", "packet-socket"),
    ),
    _switch(
        "allow-packet-socket-write",
        "crafted packets in the node's network",
        harmless_in=("none",),
    ),
    Flag(
        "host-uds",
        "sockets of the host, docker.sock among them, where they are mounted",
        "none",
        "none is runsc's own default",
        "https://gvisor.dev/docs/user_guide/filesystem/, and runsc flags",
        gives_up=("docker-socket",),
    ),
    _switch(
        "fsgofer-host-uds",
        "sockets of the host, docker.sock among them, where they are mounted",
        source=f"{GRAVEYARD}: it means host-uds=all",
        gives_up=("docker-socket",),
    ),
    Flag(
        "host-fifo",
        "named pipes of the host, where they are mounted",
        "none",
        "none is runsc's own default",
    ),
    Flag(
        "character-device-policy",
        "an image's device nodes opened on the host",
        "emulated-only",
        "the strictest of them",
        f"{FLAGS_GO}; CVE-2026-96812 came in this way",
    ),
    _switch("allow-flag-override", "whoever sets annotations changes the sandbox"),
    _switch(
        "allow-rootfs-tar-annotation",
        "whoever sets annotations has a file of the node unpacked as the root file system",
    ),
    _switch(
        "allow-suid", "programs with the SUID bit that raise their privileges in the container"
    ),
    _switch(
        "ignore-cgroups",
        "no limit on memory, processors and processes",
        gives_up=("memory-limit",),
    ),
    _switch("systemd-cgroup", "limits that are set where Docker may not look, by an experiment"),
    _switch("mount-cgroup-v2", "cgroups inside that gVisor calls incomplete, not for production"),
    Flag(
        "in-sandbox-cgroup",
        "cgroups inside that gVisor calls incomplete, not for production",
        "v1",
        "v1 is runsc's own default",
        "runsc flags of 20260905.0: what mount-cgroup-v2 is called since",
    ),
    _switch("cgroupfs", "cgroups inside the sandbox"),
    _switch("rootless", "a sandbox with the privileges of who starts it"),
    _switch("iouring", "io_uring, which gVisor keeps for tests"),
    Flag(
        "TESTONLY-",
        "a flag for gVisor's own tests, which may leave out what isolates the host",
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
    Flag("EXPERIMENTAL-", "an experiment of gVisor's", OFF, "off is the default", switch=None),
    Flag(
        "gofer-network-namespace",
        "a gofer in the node's network, where a container's files are opened",
        "null|new",
        "an empty network namespace",
        f"{FLAGS_GO}; runsc/config/config.go",
    ),
    Flag(
        "host-settings",
        "kernel settings of the node that runsc changes",
        "check|check_mandatory|ignore",
        "they change nothing on the node",
        CONFIG_GO,
    ),
    Flag(
        "restore-spec-validation",
        "a restored container that is not what was asked for",
        "enforce",
        "the strictest of them",
        CONFIG_GO,
    ),
    Flag(
        "sidecar-release-enforcement-policy",
        "programs of another release beside runsc",
        "ALWAYS|IF_RELEASE_BUILD",
        "stricter than runsc's own default",
        CONFIG_GO,
    ),
    Flag(
        "sidecar-usage-policy",
        "programs that runsc carries itself in place of those beside it",
        "DEFAULT|default|STRICT|strict",
        "as strict as runsc's own default, or stricter",
        GRAVEYARD,
    ),
    Flag("shared-root", "a directory of sandboxes' state where nobody looks for it"),
    Flag("platform_device_path", "a device of the node that runsc opens as its platform"),
    Flag("pod-init-config", "a file that has every system call of containers told to somebody"),
    _either("oci-seccomp", "on is stricter: Docker's seccomp filter inside the sandbox, too"),
    _either(
        "directfs", "on is runsc's own default, off is stricter: files are opened by the gofer"
    ),
    _either("enable-core-tags", "on is stricter: no other sandbox on the same core"),
    _switch(
        "nvproxy",
        "calls from inside to the host's GPU driver",
        source="https://gvisor.dev/docs/user_guide/gpu/",
    ),
    _switch("nvproxy-docker", "NVIDIA's hook run as root on the node, for whoever asks for a GPU"),
    _switch(
        "nvproxy-allow-unsupported-driver",
        "calls from inside to a GPU driver that gVisor was not written for",
    ),
    Flag("nvproxy-", "calls from inside to the host's GPU driver", switch=None),
    _switch("tpuproxy", "calls from inside to the host's TPU driver"),
    _switch("rdmaproxy", "calls from inside to the host's RDMA driver"),
)

# Of these ``network`` and so on have keys of their own; other set-ups have them as flags.
KEYED = (
    Flag("network", "another network stack than gVisor's", "sandbox|host|none", "as the key"),
    Flag("platform", "a platform that is not gVisor's own", "systrap|kvm|ptrace", "as the key"),
    _either("overlay", "the same as overlay2=all:memory"),
    Flag(
        "overlay2",
        "files that a container writes, in a directory of the node",
        r"none|(root|all):(memory|self)(,size=[0-9]+[kmgKMG]?)?",
        "writes stay in the sandbox, or go where Docker has them",
        CONFIG_GO,
    ),
    Flag("panic-log", "a file outside of /var/log", ".*", "confined to /var/log", log=True),
)

DEBUGGING = (
    _either("debug", "gVisor leaves it to whoever sets annotations; its log is the debug-log"),
    Flag(
        "debug-command",
        ODD,
        "[a-z,-]*",
        "only which commands of runsc write a debug-log",
    ),
    Flag("debug-log", "a file outside of /var/log", ".*", "confined to /var/log", log=True),
    Flag("debug-log-format", ODD, _LEVELS, "only how a log is written"),
    Flag("log-format", ODD, _LEVELS, "Docker's own comes after it, and the last one counts"),
    _switch("debug-to-user-log", "the sandbox's own log, shown to who runs in it"),
    _switch("alsologtostderr", "the sandbox's own log, shown to who runs in it"),
    Flag("final-metrics-log", "a file outside of /var/log", ".*", "numbers only", log=True),
    Flag("traceback", "memory of containers in a core file", "none|single|all|system", "no core"),
    _switch("strace", "what containers read and write, in a log that grows as fast as they like"),
    _switch("strace-event", "what containers do, told to whoever listens"),
    Flag("strace-syscalls", ODD, "[a-z0-9_,]*", "without effect unless strace is on"),
    Flag("strace-log-size", ODD, NUMBER, "without effect unless strace is on"),
    _switch("log-packets", "what containers send and receive, in a log"),
    Flag("pcap-log", "what containers send and receive, in a file", log=True),
    Flag("metric-server", "numbers on all sandboxes, for whoever asks that address"),
    _switch("profile", "a looser seccomp filter around the sandbox"),
    Flag("profile-gc-interval", _DEVELOPERS),
    Flag("profile-", "memory and code of the sandbox, in a file", log=True),
    Flag("profiling-metrics-log", _DEVELOPERS, log=True),
    Flag("profiling-metrics", _DEVELOPERS),
    Flag("profiling-metrics-rate-us", _DEVELOPERS),
    Flag("trace", _DEVELOPERS, log=True),
    Flag("coverage-report", _DEVELOPERS, log=True),
    Flag("ref-leak-mode", _DEVELOPERS, "disabled", "runsc's own default"),
    Flag("panic-signal", _DEVELOPERS, "-1", "runsc's own default"),
    Flag("watchdog-action", ODD, "log|panic", "at most it ends the sandbox"),
    Flag("control-rpc-stop-timeout", "a container that is stopped only after so long"),
)

TUNING = (
    _either("cpu-num-from-quota", "only how many processors are seen inside"),
    _either("systrap-disable-syscall-patching", "slower, and the same filter"),
    _either("systrap-disable-fast-path", "slower, and the same filter"),
    _either("kvm-use-cpu-nums", "only how processors are numbered inside"),
    _either("app-huge-pages", "only how a container's memory is backed"),
    _either("gvisor-marker-file", "only whether it can be read inside that this is gVisor"),
    Flag(
        "override-procs",
        ODD,
        "[a-z0-9_,-]*",
        "files in /proc inside that are empty then",
        "google/gvisor, pkg/sentry/fsimpl/proc/tasks.go",
    ),
    Flag("file-access", ODD, "exclusive|shared", "only what is cached of the root file system"),
    Flag(
        "file-access-mounts",
        "stale files in volumes that others write to as well",
        "shared",
        "runsc's own default",
    ),
    Flag("fdlimit", ODD, NUMBER, "a limit on files that the sandbox has open on the host"),
    Flag("dcache", ODD, NUMBER, "a limit on files that the sandbox has open on the host"),
    _either("gso", _INSIDE),
    _either("software-gso", _INSIDE),
    _either("gvisor-gro", _INSIDE),
    _either("tx-checksum-offload", _INSIDE),
    _either("rx-checksum-offload", _INSIDE),
    Flag("qdisc", ODD, "none|fifo|tbf", _INSIDE, CONFIG_GO),
    Flag("qdisc-tbf-rate", ODD, NUMBER, "a limit on what a container sends"),
    Flag("qdisc-tbf-burst", ODD, NUMBER, "a limit on what a container sends"),
    Flag("num-network-channels", ODD, "[0-9]{1,2}", _INSIDE),
    Flag("network-processors-per-channel", ODD, "[0-9]{1,2}", _INSIDE),
    _switch("reproduce-nat", "the node's rules of NAT, read by runsc and run inside"),
    _switch("reproduce-nftables", "the node's firewall rules, read by runsc and run inside"),
    _either("pause-external-networking", "on is stricter: no network until somebody lets it in"),
    _either("allow-live-tcp-migration", _SAVING),
    _either("net-disconnect-ok", _SAVING),
    _either("allow-connected-on-save", _SAVING),
    *(
        _either(name, "without effect in any release of today", GRAVEYARD)
        for name in ("buffer-pooling", "vfs2", "fuse", "lisafs", "save-restore-netstack")
    ),
)

# Refused in ``gvisor_runtimes``: with these a runtime answers something else than Docker asks.
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


def review(name: str) -> Flag:
    """Return the row of the flag called ``name``; one that allows nothing if there is none."""
    rows = [row for row in REVIEWED if row.is_named(name)]
    return max(rows, key=lambda row: len(row.name), default=Flag(name, UNREVIEWED, switch=None))

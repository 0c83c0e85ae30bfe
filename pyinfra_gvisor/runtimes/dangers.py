"""Which flags of runsc give away what a sandbox is for. One rule a row, each with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

FLAGS_GO = "google/gvisor, runsc/config/flags.go"  # what runsc says of the flag itself
# What Go's strconv.ParseBool takes for false.
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def _always(_value: str) -> bool:
    return True


@dataclass(frozen=True)
class Danger:
    """A flag, by its whole name or its beginning, what it opens, and where that stands."""

    flag: str
    what: str
    source: str
    networks: tuple[str, ...] = ("host", "sandbox", "none")
    is_dangerous: Callable[[str], bool] = _always
    gives_up: tuple[str, ...] = ()  # checks of the proof that it makes impossible

    def is_named(self, name: str) -> bool:
        """If the rule is about the flag called ``name``."""
        return name == self.flag or (self.flag.endswith("-") and name.startswith(self.flag))


DANGERS = (
    Danger(
        "net-raw",
        "real raw sockets on the host's kernel",
        f"{FLAGS_GO}; seen: with --network=host the socket is the host kernel's own",
        networks=("host",),
        gives_up=("raw-socket", "packet-socket"),
    ),
    Danger(
        "allow-packet-socket-write",
        "crafted packets in the node's network",
        FLAGS_GO,
        networks=("host", "sandbox"),
    ),
    Danger(
        "host-uds",
        "sockets of the host, docker.sock among them, where they are mounted",
        "https://gvisor.dev/docs/user_guide/filesystem/, and runsc flags",
        is_dangerous=lambda value: value != "none",
        gives_up=("docker-socket",),
    ),
    Danger(
        "host-fifo",
        "named pipes of the host, where they are mounted",
        FLAGS_GO,
        is_dangerous=lambda value: value != "none",
    ),
    Danger(
        "character-device-policy",
        "an image's device nodes opened on the host",
        f"{FLAGS_GO}; CVE-2026-96812 came in this way",
        is_dangerous=lambda value: value != "emulated-only",
    ),
    Danger(
        "allow-flag-override",
        "whoever sets annotations changes the sandbox",
        FLAGS_GO,
    ),
    Danger(
        "ignore-cgroups",
        "no limit on memory, processors and processes",
        FLAGS_GO,
        gives_up=("memory-limit",),
    ),
    Danger("rootless", "a sandbox with the privileges of who starts it", FLAGS_GO),
    Danger("profile", "a looser seccomp filter around the sandbox", FLAGS_GO),
    Danger("iouring", "io_uring, which gVisor keeps for tests", FLAGS_GO),
    Danger(
        "TESTONLY-",
        "a flag for gVisor's own tests, which may leave out what isolates the host",
        FLAGS_GO,
    ),
    Danger(
        "EXPERIMENTAL-xdp",
        "network devices of the node",
        FLAGS_GO,
        is_dangerous=lambda value: value != "off",
    ),
    Danger(
        "nvproxy",
        "calls from inside to the host's GPU driver",
        "https://gvisor.dev/docs/user_guide/gpu/",
    ),
    Danger("tpuproxy", "calls from inside to the host's TPU driver", FLAGS_GO),
    Danger("rdmaproxy", "calls from inside to the host's RDMA driver", FLAGS_GO),
)


def dangers(network: str, host_uds: str, flags: Iterable[str]) -> tuple[tuple[str, Danger], ...]:
    """
    What a runtime opens to whoever runs in it, with the flag that does.

    + network: the value of ``--network``
    + host_uds: the value of ``--host-uds``
    + flags: other flags, with one dash or two; of one that is there twice runsc takes the last
    """
    given = {"host-uds": host_uds}
    for flag in flags:
        name, equals, value = flag.lstrip("-").partition("=")
        given[name] = value if equals else "true"
    return tuple(
        (name, rule)
        for name, value in given.items()
        for rule in DANGERS
        if rule.is_named(name) and network in rule.networks
        if value not in FALSE and rule.is_dangerous(value)
    )

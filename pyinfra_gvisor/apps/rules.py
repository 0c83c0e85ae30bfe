"""
What is different for an app under gVisor, as data: a rule for each difference.

All but ``modules``, ``privileged`` and ``seccomp`` were tried with programs under runc and under
runsc, a lab build of 20260905.0 on Docker 26.1, 2026-12-02, with network ``host``, but
``host-network`` with ``sandbox``. What no rule sees is in ``docs/reference/app-differences.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pyinfra_gvisor.apps.programs import PROGRAMS
from pyinfra_gvisor.apps.seen import App, Apps
from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.report.outlooks import REFUSED
from pyinfra_gvisor.runtimes.profiles import Runtime

_MIB = 1 << 20
PIDS_OF_SANDBOX = 48  # with 40, an app of 8 processes could not start the next one
LEAST_MEMORY = 16 * _MIB  # with 12 MiB a container does not start
_OWN_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
# What a program may have open without a name, and how programs take its absence.
_MAY_DO_WITHOUT = frozenset({"io_uring"})


@dataclass(frozen=True)
class Ground:
    """
    What an app is compared with.

    + runtime: the runtime that it would have
    + around: all apps of the node
    + refused: why Docker would refuse the app, a phrase each
    """

    runtime: Runtime
    around: Apps
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """
    A rule. ``look`` yields evidence that an app has the difference.

    + what: what happens under gVisor
    + todo: what to do, as an imperative
    + refused: how a refusal of the seal begins that says the same: ``Place.reasons``
    """

    id: str
    outlook: Literal["fails", "differs"]
    what: str
    todo: str
    look: Callable[[App, Ground], Iterable[str]]
    refused: str | None = None


def _node_socket(app: App, ground: Ground) -> Iterator[str]:
    if ground.runtime.host_uds in ("open", "all"):
        return
    for mount in app.mounts:
        if mount.socket:
            yield f"{mount.source} on {mount.target}"
    for path in ground.around.sockets:
        if app.reaches(path):
            yield path


def _shared_socket(app: App, ground: Ground) -> Iterator[str]:
    """Yield sockets that an app shares with another one, on either side."""
    if ground.runtime.host_uds != "all":
        yield from ground.around.shared_sockets.get(app.id, ())


def _below_tcp(app: App, ground: Ground) -> Iterator[str]:
    flags = {flag.lstrip("-").partition("=")[0] for flag in ground.runtime.flags}
    if app.seen and app.seen.raw and "net-raw" not in flags:
        yield f"open: {', '.join(app.seen.raw)}"


def _netlink(app: App, _: Ground) -> Iterator[str]:
    if app.seen and app.seen.netlink:
        yield f"netlink protocol {', '.join(app.seen.netlink)}"


def _device(app: App, _: Ground) -> Iterator[str]:
    for device in app.options.devices:
        if device.host not in _OWN_DEVICES:
            yield device.host
    for request in app.options.device_requests:
        yield f"devices of driver {request.driver or 'nvidia'}"
    given = {device.inside for device in app.options.devices}
    opened = app.seen.opened if app.seen else ()
    yield from (path for path in opened if path.startswith("/dev/") and path not in given)


def _without_name(*, optional: bool) -> Callable[[App, Ground], Iterator[str]]:
    def look(app: App, _: Ground) -> Iterator[str]:
        for name in app.seen.opened if app.seen else ():
            if "/" not in name and (name in _MAY_DO_WITHOUT) == optional:
                yield name

    return look


def _proc_file(app: App, _: Ground) -> Iterator[str]:
    opened = app.seen.opened if app.seen else ()
    yield from (path for path in opened if path.startswith("/proc/"))


def _named(member: str) -> Callable[[App, Ground], Iterator[str]]:
    """Return a look at things that have names, such as programs: the first of them."""

    def look(app: App, _: Ground) -> Iterator[str]:
        names: tuple[str, ...] = getattr(app.seen, member) if app.seen else ()
        if names:
            yield some(names, 3)

    return look


def _program(app: App, ground: Ground) -> Iterator[str]:
    for name in app.seen.programs if app.seen else ():
        known = PROGRAMS.get(name)
        if known and known.network in (None, ground.runtime.network):
            yield f"{name}: {known.does}; {known.todo}"


def _setuid(app: App, ground: Ground) -> Iterable[str]:
    return () if ground.runtime.has_on("allow-suid") else _named("setuid")(app, ground)


def _few_pids(app: App, _: Ground) -> Iterator[str]:
    if 0 < app.options.pids_limit < PIDS_OF_SANDBOX:
        yield f"limit {app.options.pids_limit}"


def _little_memory(app: App, _: Ground) -> Iterator[str]:
    if 0 < app.options.memory_bytes < LEAST_MEMORY:
        yield f"limit {app.options.memory_bytes / _MIB:.0f} MiB"


def _tmp(*, fits: bool) -> Callable[[App, Ground], Iterator[str]]:
    def look(app: App, _: Ground) -> Iterator[str]:
        held, limit = app.seen.tmp_bytes if app.seen else 0, app.options.memory_bytes
        if held and (not limit or held < limit - LEAST_MEMORY) == fits:
            of = f" of {limit / _MIB:.0f} MiB of memory" if limit else ""
            yield f"{max(held / _MIB, 0.1):.1f} MiB{of}"

    return look


def _sysctl(app: App, _: Ground) -> Iterator[str]:
    if app.options.sysctls:
        yield ", ".join(sorted(app.options.sysctls))


def _host_network(app: App, ground: Ground) -> Iterator[str]:
    if app.options.network == "host" and ground.runtime.network != "host":
        yield "network: host"


def _host_ipc(app: App, _: Ground) -> Iterator[str]:
    if app.options.ipc == "host":
        yield "ipc: host"


def _other_processes(app: App, _: Ground) -> Iterator[str]:
    if app.options.pid:
        yield f"pid: {app.options.pid}"


def _hostname(app: App, _: Ground) -> Iterator[str]:
    if app.options.uts == "host":
        yield "uts: host"


def _capability(*names: str) -> Callable[[App, Ground], Iterator[str]]:
    def look(app: App, _: Ground) -> Iterator[str]:
        given = {name.removeprefix("CAP_") for name in app.options.capabilities}
        if found := sorted({*names} & given):
            yield f"capability {', '.join(found)}"

    return look


def _privileged(app: App, _: Ground) -> Iterator[str]:
    if app.options.privileged:
        yield "privileged"


def _seccomp(app: App, ground: Ground) -> Iterator[str]:
    own = [text for text in app.options.security if text.startswith("seccomp=")]
    if own and "seccomp=unconfined" not in own and not ground.runtime.filters_inside:
        yield "its own seccomp profile"


REFUSAL = Difference(
    REFUSED,
    "fails",
    "Docker refuses to start it in gVisor with this",
    "Change it, allow it in gvisor_seal, or accept it if it is infrastructure",
    lambda _, ground: ground.refused,
)
"""What the node itself decides, by the declared seal; further rules are about what is left."""

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "shared-socket",
        "fails",
        "A Unix socket in a volume is not there for other containers and the node",
        'Let both sides use TCP, or run both under a runtime with "preset": "shared-sockets"',
        _shared_socket,
    ),
    Difference(
        "node-socket",
        "fails",
        "A sandbox cannot connect to a socket of the node",
        "Let both sides use TCP; accept it if it is infrastructure",
        _node_socket,
        refused="mount of",
    ),
    Difference(
        "device",
        "fails",
        "A device of the node cannot be used",
        "Do without the device, or accept the container if it is infrastructure",
        _device,
        refused="device",
    ),
    Difference(
        "raw-socket",
        "fails",
        "Raw and packet sockets are refused, also those of ping",
        'Run it under a runtime with "preset": "ping", or do without',
        _below_tcp,
    ),
    Difference(
        "program",
        "fails",
        "The program was seen to fail",
        "Do what is told of it, or accept it if it is infrastructure",
        _program,
    ),
    Difference(
        "kernel-object",
        "fails",
        "The sandbox's kernel has no such thing",
        "Switch it off in the app",
        _without_name(optional=False),
    ),
    Difference(
        "program-32-bit",
        "fails",
        "Programs of 32 bits do not start",
        "Use an image for this machine's architecture",
        _named("elf32"),
    ),
    Difference(
        "setuid",
        "fails",
        "A setuid program gets no rights by it, and hardened defaults forbid it under runc, too",
        'Start it as the user that it needs, or under a runtime with "preset": "setuid"',
        _setuid,
    ),
    Difference(
        "container-engine",
        "fails",
        "An engine inside finds no control groups and no firewall",
        "Run builds and containers on a node for them",
        _named("engine"),
    ),
    Difference(
        "host-network",
        "fails",
        "It has no network at all",
        'Publish ports, or declare a runtime with "network": "host"',
        _host_network,
        refused="network namespace",
    ),
    Difference(
        "host-ipc",
        "fails",
        "The node's /dev/shm cannot be mounted",
        "Remove the option",
        _host_ipc,
        refused="ipc namespace",
    ),
    Difference(
        "mounts-inside",
        "fails",
        "The sandbox's kernel does not have this file system",
        "Let Docker mount it, as a volume",
        _named("mounted"),
    ),
    Difference(
        "pids-limit",
        "fails",
        "The sandbox itself needs 40 of the processes",
        "Raise pids_limit by 50",
        _few_pids,
    ),
    Difference(
        "memory-limit",
        "fails",
        "The sandbox itself needs 16 MiB of the memory",
        "Raise mem_limit by 32m",
        _little_memory,
    ),
    Difference(
        "tmp-too-large",
        "fails",
        "Files in /tmp are memory, and there is not enough",
        "Mount a volume on /tmp, or set TMPDIR to /var/tmp",
        _tmp(fits=False),
    ),
    Difference(
        "clock",
        "fails",
        "The clock cannot be set",
        "Set the clock on the node",
        _capability("SYS_TIME"),
    ),
    Difference(
        "modules",
        "fails",
        "No kernel module can be loaded",
        "Load it on the node",
        _capability("SYS_MODULE"),
    ),
    Difference(
        "tmp",
        "differs",
        "Files in /tmp are memory, and gone after a restart",
        "Mount a volume on /tmp, or set TMPDIR to /var/tmp, if they must stay",
        _tmp(fits=True),
    ),
    Difference(
        "watched-files",
        "differs",
        "Changes by the node or another container are not told by inotify",
        "Restart or reload the app after such a change",
        lambda app, _: app.seen.watched if app.seen else (),
    ),
    Difference(
        "netlink",
        "differs",
        "Only addresses, routes and interfaces are told over netlink: programs end or do without",
        "Look whether the app starts",
        _netlink,
    ),
    Difference(
        "linked-socket",
        "differs",
        "A Unix socket cannot get its name by a hard link, as supervisord does it",
        "Mount a tmpfs where the socket is",
        lambda app, _: app.seen.moved if app.seen else (),
    ),
    Difference(
        "io-uring",
        "differs",
        "There is no io_uring: programs end or do without",
        "Look whether the app starts",
        _without_name(optional=True),
    ),
    Difference(
        "proc-file",
        "differs",
        "The file does not exist",
        "Look at the node from outside of its containers",
        _proc_file,
    ),
    Difference(
        "sysctl",
        "differs",
        "The sysctl has no effect",
        "Leave it if the app needs no such value. Where plan says REFUSED, remove it",
        _sysctl,
        refused="sysctl",
    ),
    Difference(
        "network-changes",
        "differs",
        "No network device, routing rule or firewall rule can be added",
        "Let the node or an accepted container route",
        _capability("NET_ADMIN"),
    ),
    Difference(
        "other-processes",
        "differs",
        "It sees its own processes only",
        "Remove the option",
        _other_processes,
        refused="pid namespace",
    ),
    Difference(
        "hostname",
        "differs",
        "Its host name is empty",
        "Set hostname",
        _hostname,
        refused="uts namespace",
    ),
    Difference(
        "privileged",
        "differs",
        "It has all rights in the sandbox, and none on the node",
        "Remove privileged, or accept it if it is infrastructure",
        _privileged,
        refused="privileged",
    ),
    Difference(
        "seccomp",
        "differs",
        "The profile has no effect inside",
        'Use a runtime with "hardening": "strict" for it',
        _seccomp,
    ),
)

"""Why a node cannot be isolated, found before it is touched: one table of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.runtime_users import Ask
from pyinfra_gvisor.errors import Problem, cut
from pyinfra_gvisor.node import DAEMON_JSON, Node
from pyinfra_gvisor.parts import every
from pyinfra_gvisor.preflight.unsupported import runc_problem
from pyinfra_gvisor.releases import ARCHES, Release
from pyinfra_gvisor.releases.known import escapes_in, floor
from pyinfra_gvisor.releases.pins import is_there
from pyinfra_gvisor.runtimes.profiles import risks
from pyinfra_gvisor.runtimes.wrappers import too_old
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.wanted import planned

MIN_KERNEL = (5, 6)
PAGE_SIZE_BYTES = 4096
NETSTACK_ON_6_11 = Release(20240807, 0)
# An archive of 2026 is 165 MB and lies beside what comes out of it, which is an estimate; Debian's
# package is 30 MB unpacked.
NEEDED_BYTES = {"debian": 128 << 20}
NEEDED_BYTES_ELSE = 768 << 20


@dataclass(frozen=True)
class Rule:
    """
    One reason why a node cannot be what is asked for, and where that is known from.

    ``gvisor``: it is about runtimes, and does not matter on a node that is to have none.
    """

    id: str
    what: str
    source: str
    check: Callable[[Node, Settings], Problem | None]
    gvisor: bool = True


def preflight(node: Node, settings: Settings) -> list[Problem]:
    """Every reason why this node cannot be what ``settings`` ask for; none if it can."""
    return [
        problem
        for rule in RULES
        if settings.runtimes or not rule.gvisor
        if (problem := rule.check(node, settings))
    ]


def refusals(node: Node, settings: Settings, ask: Ask) -> list[tuple[str, Problem]]:
    """
    Every reason why a run cannot do all that ``settings`` ask for, with what it is about.

    + ask: lists the containers; called only where a runtime would leave daemon.json

    That is the node, or daemon.json by its path. While a change waits to be ended nobody knows what
    becomes of daemon.json, and it is judged when that is known.
    """
    found = [("node", problem) for problem in preflight(node, settings)]
    plan: Plan | None = None
    try:
        if not node.pending:  # what was interrupted is ended before anything can be planned
            plan = planned(node, settings, ask)
    except Problem as problem:
        found.append((DAEMON_JSON, problem))
    return [*found, *(("node", problem) for problem in every.refusals(node, settings, plan))]


def accepted_risks(settings: Settings) -> tuple[str, ...]:
    """What every output has to repeat: what of escapes and runtimes is accepted, and why."""
    escapes = (
        escapes_in(settings.parsed_release) if settings.runtimes and settings.accept_risk else ()
    )
    names = ", ".join(escape.id for escape in escapes)
    known = f"runsc {settings.release} is open to {names}. Reason given: {settings.accept_risk}"
    return (*([f"RISK ACCEPTED: {known}"] if escapes else []), *risks(settings.runtimes))


def notes(node: Node) -> tuple[str, ...]:
    """What does not keep a run from anything, and may undo a part of it later."""
    return tuple(
        f"the package {cut(package)} may write {DAEMON_JSON} by itself when it is installed or "
        f"upgraded; remove it, or apt-mark hold it"
        for package in node.writers
    )


def engine_problem(node: Node, flavour: str) -> Problem | None:
    """
    Why this node's Docker cannot be used, nor installed; None if it can.

    + flavour: ``gvisor_docker``
    """
    if node.info is not None or node.pending:  # what was interrupted may have left dockerd down
        return None
    if node.docker_client is not None or node.dockerd is not None:
        why = node.docker_error or "no /var/run/docker.sock"
        return Problem("dockerd does not answer", got=why, todo="look at systemctl status docker")
    if flavour == "present":
        return Problem(
            "Docker is not installed",
            todo='install it, or set gvisor_docker = "debian" or "docker-ce"',
        )
    return None


def _docker(node: Node, settings: Settings) -> Problem | None:
    return engine_problem(node, settings.docker)


def _architecture(node: Node, _settings: Settings) -> Problem | None:
    if node.arch in ARCHES:
        return None
    return Problem(
        "gVisor does not run on this architecture", got=node.arch, todo="use x86_64 or aarch64"
    )


def _kernel(node: Node, _settings: Settings) -> Problem | None:
    if node.kernel_version >= MIN_KERNEL:
        return None
    return Problem(
        "gVisor needs Linux 5.6 or later", got=node.kernel, todo="upgrade the node's kernel"
    )


def _page_size(node: Node, _settings: Settings) -> Problem | None:
    if node.page_size_bytes == PAGE_SIZE_BYTES:
        return None
    return Problem(
        "gVisor needs pages of 4096 bytes",
        got=node.page_size_bytes,
        todo="boot a kernel with 4K pages",
    )


def _user_namespaces(node: Node, _settings: Settings) -> Problem | None:
    if node.max_user_namespaces != 0:
        return None
    return Problem(
        "user.max_user_namespaces is 0, runsc needs some",
        todo="sysctl user.max_user_namespaces=10000",
    )


def _known_escape(_node: Node, settings: Settings) -> Problem | None:
    escapes = escapes_in(settings.parsed_release)
    if not escapes or settings.accept_risk:
        return None
    names = ", ".join(escape.id for escape in escapes)
    return Problem(
        f"release {settings.release} has a known escape ({names})",
        todo=f'use {floor()} or later, or say why not in gvisor_accept_risk = "<reason>"',
    )


def _netstack(node: Node, settings: Settings) -> Problem | None:
    # runsc says "cannot run with network enabled in root network namespace"
    names = [name for name, runtime in settings.runtimes.items() if runtime.network == "sandbox"]
    if not names or node.kernel_version < (6, 11) or settings.parsed_release >= NETSTACK_ON_6_11:
        return None
    return Problem(
        f"network sandbox of runtime {names[0]} needs {NETSTACK_ON_6_11} or later on this kernel",
        got=f"{settings.release} on {node.kernel}",
        todo="use a later release",
    )


def _core_tags(node: Node, settings: Settings) -> Problem | None:
    # runsc says "waiting for sandbox to start: EOF"
    names = [name for name, item in settings.runtimes.items() if item.has_on("enable-core-tags")]
    if not names or node.no_core_scheduling is None:
        return None
    return Problem(
        f"--enable-core-tags of runtime {names[0]} needs core scheduling, which this kernel or "
        f"processor does not have",
        got=node.no_core_scheduling,
        todo="leave the flag out",
    )


def _checksum(node: Node, settings: Settings) -> Problem | None:
    archive = settings.archive
    if (
        archive.source == "debian"
        or node.arch not in ARCHES
        or archive.checksum(settings.release, node.arch)
    ):
        return None
    return Problem(
        f"no sha512 is known for release {settings.release} on {node.arch}",
        todo=f'add gvisor_sha512 = {{"{node.arch}": "<sha512 of the archive>"}}',
    )


def _old_for_runtimes(_node: Node, settings: Settings) -> Problem | None:
    return too_old(settings.release, settings.runtimes)


def _textfiles(node: Node, settings: Settings) -> Problem | None:
    if settings.textfile_dir is None or node.textfile_dir is not False:
        return None
    return Problem(
        f"{settings.textfile_dir} is no directory",
        todo="make it, or leave gvisor_textfile_dir out",
    )


def _stray_sidecars(node: Node, _settings: Settings) -> Problem | None:
    if not node.store.stray_sidecars or node.runsc_file:
        return None
    return Problem(
        "/usr/local/bin/gvisor-bin is there, and the link beside it would take its sidecars",
        todo="remove it: the sidecars of a release lie in the release's own directory",
    )


def _noexec(node: Node, _settings: Settings) -> Problem | None:
    if "noexec" not in node.store.options:
        return None
    return Problem(
        f"{RELEASES_DIR} is on a file system that is mounted noexec",
        got=",".join(node.store.options[:6]),
        todo="mount it without noexec, or mount another file system there",
    )


def _free_space(node: Node, settings: Settings) -> Problem | None:
    needed = NEEDED_BYTES.get(settings.archive.source, NEEDED_BYTES_ELSE)
    free = node.store.free_bytes
    if free is None or free >= needed or is_there(node, settings.release, settings.archive):
        return None
    return Problem(
        f"{RELEASES_DIR} needs {needed >> 20} MiB free for another release",
        got=f"{free >> 20} MiB",
        todo="free some; gvisor_keep_releases says how many old releases stay",
    )


_INSTALL = "https://gvisor.dev/docs/user_guide/install/, August 2026"
_GVISOR = "https://github.com/google/gvisor"
RULES: tuple[Rule, ...] = (
    Rule("docker", "Docker is there and answers", "seen on the node", _docker, gvisor=False),
    Rule(
        "runc",
        "runc 1.2 or later for Docker 29.5 and later, unless its `time-namespaces` feature is off",
        "moby v29 daemon/daemon_unix.go; seen with Docker 29.7.1",
        runc_problem,
    ),
    Rule(
        "textfiles",
        "`gvisor_textfile_dir` is a directory, if it is set",
        "seen on the node",
        _textfiles,
        gvisor=False,
    ),
    Rule("architecture", "x86_64 or aarch64", _INSTALL, _architecture),
    Rule("kernel", "Linux 5.6 or later", _INSTALL, _kernel),
    Rule("page size", "pages of 4096 bytes", f"{_GVISOR}/issues/8196", _page_size),
    Rule("user namespaces", "some are allowed", f"{_GVISOR}/issues/5964", _user_namespaces),
    Rule(
        "known escape",
        "a release without one, or `gvisor_accept_risk`",
        "pyinfra_gvisor/releases/known.json",
        _known_escape,
    ),
    Rule(
        "netstack",
        "network `sandbox` needs 20240807.0 on Linux 6.11 and later",
        f"{_GVISOR}/issues/10704",
        _netstack,
    ),
    Rule(
        "core tags",
        "`--enable-core-tags` needs a kernel with core scheduling and processors with SMT",
        "prctl(2), PR_SCHED_CORE; seen with runsc 20260905.0",
        _core_tags,
    ),
    Rule(
        "old release",
        "the release has the overlay and the hardening asked for",
        f"{_GVISOR}/issues/10476, and runsc/config/flags.go there",
        _old_for_runtimes,
    ),
    Rule("checksum", "a sha512 is known for the node's architecture", "contract 6", _checksum),
    Rule(
        "stray sidecars",
        "no `gvisor-bin` beside the link for people",
        f"{_GVISOR}/issues/13718",
        _stray_sidecars,
    ),
    Rule("noexec", "releases can be executed where they lie", "mount(8)", _noexec),
    Rule("free space", "enough for one more release", "an estimate", _free_space),
)

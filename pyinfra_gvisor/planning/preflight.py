"""Check, before any change, whether a node can be isolated: one table of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.scripts import SOCKET
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.reload import NO_PATH_REMEDY, unloadable
from pyinfra_gvisor.daemon_json.render_plan import unheard_line
from pyinfra_gvisor.daemon_json.runtime_users import Ask
from pyinfra_gvisor.node import DAEMON_JSON, Node
from pyinfra_gvisor.parts import every
from pyinfra_gvisor.planning.absence import absence_problems
from pyinfra_gvisor.planning.controller import controller_refusals, report_problem, source_problem
from pyinfra_gvisor.planning.image import image_problem
from pyinfra_gvisor.planning.unsupported import runc_problem
from pyinfra_gvisor.planning.wanted import plan_for_settings
from pyinfra_gvisor.releases import ARCHES, Release
from pyinfra_gvisor.releases.known import escapes_in, floor
from pyinfra_gvisor.releases.pins import is_there
from pyinfra_gvisor.runtimes.profiles import risks
from pyinfra_gvisor.runtimes.unjudged import REMOVE, RULE, unjudged
from pyinfra_gvisor.runtimes.wrappers import asks_judge, too_old
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR
from pyinfra_gvisor.settings import Settings

MIN_KERNEL = (5, 6)
PAGE_SIZE_BYTES = 4096
NETSTACK_ON_6_11 = Release(20240807, 0)
# An archive of 2026 is 165 MB; the size of its unpacked content beside it is an estimate. Debian's
# package is 30 MB unpacked.
NEEDED_BYTES = {"debian": 128 << 20}
NEEDED_BYTES_ELSE = 768 << 20
# docker-compose.prod.yml in coollabsio/coolify v4.3.10: only Coolify itself has this file mounted.
_OF_COOLIFY = "/data/coolify/source/.env"
_OF_JUDGE = ("dataclasses", "json")  # what it imports that python3-minimal of Debian 12 lacks
# As need_decompressor in releases/unpack.sh.
UNPACKING = {".bz2": "bzip2", ".zst": "zstd", ".zstd": "zstd", ".xz": "xz"}


@dataclass(frozen=True)
class Rule:
    """
    One requirement on a node, with its source, and the check of it.

    ``check`` returns the problem, None if the node meets the requirement. ``gvisor``: the rule is
    about runtimes, and does not apply to a node without declared runtimes.
    """

    id: str
    what: str
    source: str
    check: Callable[[Node, Settings], Problem | None]
    gvisor: bool = True


def preflight(node: Node, settings: Settings) -> list[Problem]:
    """Return the reasons why ``settings`` cannot be applied to this node; empty if they can."""
    if problem := rights_problem(node):
        return [problem]
    return [
        problem
        for rule in RULES
        if settings.runtimes or not rule.gvisor
        if (problem := rule.check(node, settings))
    ]


def refusals(node: Node, settings: Settings, ask: Ask) -> list[tuple[str, Problem]]:
    """
    Return the reasons why a run cannot apply ``settings``, each with its subject.

    + ask: lists the containers; called only if a runtime would be removed from daemon.json

    The subject is ``node``, the path of daemon.json, or the setting that names a file on the
    controller. After an interrupted change daemon.json is not checked here, because that change is
    finished or undone first.
    """
    if problem := rights_problem(node) or node.engine_problem:  # other reasons would follow
        return [("node", problem)]
    found = [("node", problem) for problem in preflight(node, settings)]
    found += [("node", problem) for problem in absence_problems(node, settings)]
    found += controller_refusals(node, settings)
    plan: Plan | None = None
    try:
        if (
            not node.pending
        ):  # an interrupted change is ended before anything can be plan_for_settings
            plan = plan_for_settings(node, settings, ask)
    except Problem as problem:
        found.append((DAEMON_JSON, problem))
    changes = plan is not None and plan.before != plan.after
    if image := image_problem(node, settings, changes=changes):
        found.append(("gvisor_proof_image", image))
    return [*found, *(("node", problem) for problem in every.refusals(node, settings, plan))]


def accepted_risks(settings: Settings) -> tuple[str, ...]:
    """Return the accepted risks with their reasons, which every output must repeat."""
    escapes = (
        escapes_in(settings.parsed_release) if settings.runtimes and settings.accept_risk else ()
    )
    names = ", ".join(escape.id for escape in escapes)
    known = f"runsc {settings.release} is open to {names}. Reason given: {settings.accept_risk}"
    return (*([f"RISK ACCEPTED: {known}"] if escapes else []), *risks(settings.runtimes))


def notes(node: Node) -> tuple[str, ...]:
    """Return warnings that do not stop a run: what an earlier one left, what may undo this one."""
    unheard = unheard_line(node)
    return (*((unheard,) if unheard else ()), *_unloadable(node), *_writers(node))


def _writers(node: Node) -> tuple[str, ...]:
    return tuple(
        f"the package {cut(package)} may write {DAEMON_JSON} when it is installed or upgraded; "
        f"remove the package, or run apt-mark hold {cut(package)}"
        for package in node.writers
    )


def _unloadable(node: Node) -> tuple[str, ...]:
    refused = unloadable(node)
    return (f"{DAEMON_JSON}: {refused}; {NO_PATH_REMEDY}",) if refused else ()


def rights_problem(node: Node) -> Problem | None:
    """Return why this user can neither read nor change the node; None for root."""
    if node.user in ("", "root"):
        return None
    refused = "Docker's socket refuses" if node.docker_error else "/etc/docker is not writable for"
    todo = "set `_sudo = True` in group_data/all.py"
    return Problem(f"{refused} user {cut(node.user)}", todo=todo)


def engine_problem(node: Node, flavour: str) -> Problem | None:
    """
    Return why this node's Docker can be neither used nor installed; None if it can.

    + flavour: ``gvisor_docker``
    """
    if problem := rights_problem(node) or node.engine_problem:
        return problem
    if node.info is not None or node.pending:  # after an interrupted change dockerd may be down
        return None
    if node.docker_client is not None or node.dockerd is not None:
        why = node.docker_error or f"no {SOCKET}"
        return Problem("dockerd does not answer", got=why, todo="run systemctl status docker there")
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
        "user.max_user_namespaces is 0, but runsc needs user namespaces",
        todo="run sysctl user.max_user_namespaces=10000",
    )


def settings_refusals(settings: Settings) -> list[tuple[str, Problem]]:
    """Return the reasons why no node at all can have ``settings``, each with its setting."""
    found = [
        ("gvisor_release", _known_escape(settings) if settings.runtimes else None),
        ("gvisor_runtimes", too_old(settings.release, settings.runtimes)),
        ("gvisor_source", source_problem(settings)),
        ("gvisor_report_dir", report_problem(settings.report_dir)),
    ]
    return [(key, problem) for key, problem in found if problem]


def _known_escape(settings: Settings) -> Problem | None:
    escapes = escapes_in(settings.parsed_release)
    if not escapes or settings.accept_risk:
        return None
    names = ", ".join(escape.id for escape in escapes)
    return Problem(
        f"release {settings.release} has a known escape ({names})",
        todo=f'use {floor()} or later, or accept the risk: gvisor_accept_risk = "<reason>"',
    )


def _netstack(node: Node, settings: Settings) -> Problem | None:
    # runsc says "cannot run with network enabled in root network namespace"
    names = [name for name, runtime in settings.runtimes.items() if runtime.network == "sandbox"]
    if not names or node.kernel_version < (6, 11) or settings.parsed_release >= NETSTACK_ON_6_11:
        return None
    return Problem(
        f"network sandbox of runtime {names[0]} needs release {NETSTACK_ON_6_11} or later on this "
        "kernel",
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
        todo="remove this flag",
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
        f"the sha512 of release {settings.release} for {node.arch} is unknown",
        todo=f'set gvisor_sha512 = {{"{node.arch}": "<sha512 of the archive>"}}',
    )


def _bypassed(node: Node, settings: Settings) -> Problem | None:
    found = [f"{subject} ({why})" for subject, why in unjudged(node, settings.runtimes)]
    if settings.dispatch is None or not found or settings.waivers.get(RULE):
        return None
    what = f"containers can bypass gvisor_default: {'; '.join(found)}"
    return Problem(
        what, todo=f"{REMOVE[0].lower()}{REMOVE[1:]}. Or set gvisor_waivers[{RULE!r}] with a reason"
    )


def _own_host(node: Node, settings: Settings) -> Problem | None:
    itself = [item.name for item in node.containers if _OF_COOLIFY in item.mounted]
    if settings.dispatch is None or not itself:
        return None
    return Problem(
        "gvisor_default cannot be used on Coolify's own host: an upgrade of Coolify brings images "
        "that nobody has accepted, so Coolify would not start again",
        got=f"container {itself[0]} with {_OF_COOLIFY}",
        todo="remove gvisor_default for this host, and move its apps to another server",
    )


def _judges_python(node: Node, settings: Settings) -> Problem | None:
    if not asks_judge(settings.runtimes, settings.dispatch):
        return None
    return node.python.lacks("gvisor_default and seals of runtimes need", *_OF_JUDGE)


def textfile_problem(node: Node, settings: Settings) -> Problem | None:
    """Return why metrics cannot be written on the node; None if they can, or if none are."""
    if settings.textfile_dir is None or node.textfile_dir is not False:
        return None
    return Problem(
        f"{settings.textfile_dir} is not a directory",
        todo="create this directory, or remove gvisor_textfile_dir",
    )


def _tools(node: Node, settings: Settings) -> Problem | None:
    archive = settings.archive
    if node.tools is None or is_there(node, settings.release, archive):
        return None
    try:
        fetch = archive.fetch(settings.release, node.arch)
    except Problem:
        return None  # found by another rule
    either = {"url": ("curl", "wget"), "apt": ("apt-get",)}.get(fetch.kind, ())
    if either and not {*either} & {*node.tools}:
        what = f"none of {', '.join(either)} is installed" if either[1:] else "apt-get is missing"
        return Problem(f"{what} to fetch {fetch.origin}", todo=f"apt-get install {either[0]}")
    unpacks = next((tool for end, tool in UNPACKING.items() if fetch.origin.endswith(end)), None)
    if unpacks is None or unpacks in node.tools:
        return None
    what = f"{unpacks} is not installed, but is needed to unpack {fetch.origin}"
    return Problem(what, todo=f"apt-get install {unpacks}")


def _stray_sidecars(node: Node, _settings: Settings) -> Problem | None:
    if not node.store.stray_sidecars or node.runsc_file:
        return None
    return Problem(
        "/usr/local/bin/gvisor-bin exists, and /usr/local/bin/runsc would use its sidecars",
        todo="remove /usr/local/bin/gvisor-bin; each release has its sidecars in its own directory",
    )


def _noexec(node: Node, _settings: Settings) -> Problem | None:
    if "noexec" not in node.store.options:
        return None
    return Problem(
        f"{RELEASES_DIR} is on a file system that is mounted noexec",
        got=",".join(node.store.options[:6]),
        todo="mount this file system without noexec, or mount another one at that path",
    )


def _free_space(node: Node, settings: Settings) -> Problem | None:
    needed = NEEDED_BYTES.get(settings.archive.source, NEEDED_BYTES_ELSE)
    free = node.store.free_bytes
    if free is None or free >= needed or is_there(node, settings.release, settings.archive):
        return None
    return Problem(
        f"{RELEASES_DIR} needs {needed >> 20} MiB of free space for another release",
        got=f"{free >> 20} MiB",
        todo="free some space; gvisor_keep_releases limits how many releases stay",
    )


_INSTALL = "https://gvisor.dev/docs/user_guide/install/, August 2026"
_GVISOR = "https://github.com/google/gvisor"
RULES: tuple[Rule, ...] = (
    Rule("docker", "Docker is installed and answers", "seen on the node", _docker, gvisor=False),
    Rule(
        "runc",
        "runc 1.2 or later with Docker 29.5 and later, unless the feature `time-namespaces` is off",
        "moby v29 daemon/daemon_unix.go; seen with Docker 29.7.1",
        runc_problem,
    ),
    Rule(
        "textfiles",
        "`gvisor_textfile_dir`, if set, is a directory",
        "seen on the node",
        textfile_problem,
        gvisor=False,
    ),
    Rule("architecture", "x86_64 or aarch64", _INSTALL, _architecture),
    Rule("kernel", "Linux 5.6 or later", _INSTALL, _kernel),
    Rule("page size", "pages of 4096 bytes", f"{_GVISOR}/issues/8196", _page_size),
    Rule(
        "user namespaces",
        "`user.max_user_namespaces` is not 0",
        f"{_GVISOR}/issues/5964",
        _user_namespaces,
    ),
    Rule(
        "known escape",
        "the release has no known escape, or `gvisor_accept_risk` is set",
        "pyinfra_gvisor/releases/known.json",
        lambda _node, settings: _known_escape(settings),
    ),
    Rule(
        "netstack",
        "release 20240807.0 or later for network `sandbox` on Linux 6.11 and later",
        f"{_GVISOR}/issues/10704",
        _netstack,
    ),
    Rule(
        "core tags",
        "a kernel with core scheduling and processors with SMT for `--enable-core-tags`",
        "prctl(2), PR_SCHED_CORE; seen with runsc 20260905.0",
        _core_tags,
    ),
    Rule(
        "old release",
        "the release supports the declared overlay and hardening",
        f"{_GVISOR}/issues/10476, and runsc/config/flags.go there",
        lambda _node, settings: too_old(settings.release, settings.runtimes),
    ),
    Rule(
        "bypass",
        "with `gvisor_default`: no other runtime leads to runsc, and no shim other than runc's is "
        "on containerd's `PATH`; or `judge-bypassed` is waived",
        "containerd, core/runtime/v2/shim_manager.go; seen with Docker 26.1.5",
        _bypassed,
    ),
    Rule(
        "own host",
        "with `gvisor_default`: the node is not Coolify's own host, where a container mounts "
        f"`{_OF_COOLIFY}`",
        "scripts/upgrade.sh in coollabsio/coolify v4.3.10",
        _own_host,
    ),
    Rule(
        "python",
        "Python 3.10 or later with dataclasses and json, which python3-minimal of Debian 12 lacks, "
        "if `gvisor_default` is set or a runtime has a seal",
        "the judge on the node, which wrappers run",
        _judges_python,
    ),
    Rule("checksum", "the sha512 for the node's architecture is known", "contract 6", _checksum),
    Rule(
        "tools",
        "curl or wget (or apt-get) and the decompressor of the archive are installed",
        "releases/fetch.sh and releases/unpack.sh",
        _tools,
    ),
    Rule(
        "stray sidecars",
        "`/usr/local/bin/gvisor-bin` does not exist, unless `/usr/local/bin/runsc` is a file",
        f"{_GVISOR}/issues/13718",
        _stray_sidecars,
    ),
    Rule("noexec", "the file system of the releases is not `noexec`", "mount(8)", _noexec),
    Rule("free space", "enough space for one more release", "an estimate", _free_space),
)

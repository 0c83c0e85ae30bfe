"""Why a node cannot be isolated, found before it is touched. One rule a function."""

from __future__ import annotations

from collections.abc import Callable

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.releases import Release, escapes_in, floor
from pyinfra_gvisor.settings import Settings

MIN_KERNEL = (5, 6)  # https://gvisor.dev/docs/user_guide/install/, August 2026
ARCHITECTURES = ("x86_64", "aarch64")  # the same page
PAGE_SIZE_BYTES = 4096  # google/gvisor#8196
NETSTACK_ON_6_11 = Release(20240807, 0)  # google/gvisor#10704


def preflight(node: Node, settings: Settings) -> list[Problem]:
    """Every reason why this node cannot be what ``settings`` ask for; none if it can."""
    rules = (_docker, *(GVISOR_RULES if settings.runtimes else ()))
    return [problem for rule in rules if (problem := rule(node, settings))]


def accepted_risk(settings: Settings) -> str | None:
    """What every output has to repeat: the known escapes that are accepted, and why."""
    escapes = (
        escapes_in(settings.parsed_release) if settings.runtimes and settings.accept_risk else ()
    )
    if not escapes:
        return None
    names = ", ".join(escape.id for escape in escapes)
    return (
        f"RISK ACCEPTED: runsc {settings.release} is open to {names}. "
        f"Reason given: {settings.accept_risk}"
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
    if node.arch in ARCHITECTURES:
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
    # google/gvisor#5964
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


def _checksum(node: Node, settings: Settings) -> Problem | None:
    archive = settings.archive
    if (
        archive.source == "debian"
        or node.arch not in ARCHITECTURES
        or archive.checksum(settings.release, node.arch)
    ):
        return None
    return Problem(
        f"no sha512 is known for release {settings.release} on {node.arch}",
        todo=f'add gvisor_sha512 = {{"{node.arch}": "<sha512 of the archive>"}}',
    )


GVISOR_RULES: tuple[Callable[[Node, Settings], Problem | None], ...] = (
    _architecture,
    _kernel,
    _page_size,
    _user_namespaces,
    _known_escape,
    _netstack,
    _checksum,
)

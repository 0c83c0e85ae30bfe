"""What nodes a lab has, read from the environment. Nothing here touches the machine."""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.releases import ARCHES

NAME_DEFAULT = "gvisor-lab"
NODES_DEFAULT = 2
NODES_MAX = 30
LIVED_IN_DEFAULT = frozenset({2})

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NAME_LENGTH_MAX = 40
"""With ``-30`` behind it still a host name (63 characters) and short enough to read."""


_BECAUSE_LIMIT = 300


class LabError(Problem):
    """
    Something that stands between us and the nodes, in one line.

    ``because`` is what another program said, or an exception of another library.
    """

    def __init__(
        self, what: str, *, got: object = None, because: object = None, todo: str = ""
    ) -> None:
        if because is not None:
            # Docker's exceptions put a line of HTTP around what the daemon explains.
            said = getattr(because, "explanation", None) or str(because)
            what = f"{what}: {' '.join(said.split())[:_BECAUSE_LIMIT]}"
        super().__init__(what, got=got, todo=todo)


Kind = Literal["container", "vm"]
KINDS: tuple[Kind, ...] = get_args(Kind)

OWN_ARCH = platform.machine()
"""This machine's, as uname(2) has it."""

OTHER_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What Debian and Go call architectures."""


@dataclass(frozen=True)
class Flavour:
    """
    A distribution release, and the Docker on it.

    ``packages`` are those that not all flavours have: Docker's, and either curl or wget.
    ``docker_suite`` is a later suite that docker.io and docker-cli come from, if not ``suite``.
    ``init`` is what starts sshd and dockerd: systemd, or a shell that calls their init scripts.
    ``image`` is the flavour whose image this one boots, if it has none of its own.
    ``built_docker`` is the image store of the Docker that the lab has built; None: Debian's Docker.
    ``firewall`` is what dockerd makes its rules with, which only a later Docker can choose.
    """

    name: str
    suite: str
    systemd_version: int
    packages: tuple[str, ...]
    docker_suite: str | None = None
    init: Literal["systemd", "sysvinit"] = "systemd"
    image: str | None = None
    built_docker: Literal["overlay2", "containerd"] | None = None
    firewall: Literal["iptables", "nftables"] = "iptables"


FLAVOUR_DEFAULT = Flavour("debian-13", "trixie", 257, ("docker.io", "docker-cli", "curl"))


def _variant(name: str, **others: Any) -> Flavour:
    """Return a flavour that boots the default one's image."""
    return replace(FLAVOUR_DEFAULT, name=name, image=FLAVOUR_DEFAULT.name, **others)


FLAVOURS: dict[str, Flavour] = {
    flavour.name: flavour
    for flavour in (
        FLAVOUR_DEFAULT,
        Flavour("debian-12", "bookworm", 252, ("docker.io", "wget")),
        Flavour("debian-13-docker-28", "trixie", 257, ("docker.io", "docker-cli", "curl"), "forky"),
        _variant("debian-13-docker-29", built_docker="overlay2"),
        _variant("debian-13-docker-29-containerd", built_docker="containerd"),
        _variant("debian-13-docker-29-nftables", built_docker="containerd", firewall="nftables"),
        _variant("debian-13-sysvinit", init="sysvinit"),
    )
}


@dataclass(frozen=True)
class NodeSpec:
    """
    One node to have.

    ``lived_in`` is a node that others have used for a while: foreign keys in daemon.json, a runsc
    entry in the old form, running containers. ``kind`` is a container, on this machine's kernel, or
    a virtual machine with a kernel, modules and a boot of its own. ``arch`` is the processor's, as
    uname(2) has it: another than this machine's is emulated.
    """

    flavour: Flavour = FLAVOUR_DEFAULT
    lived_in: bool = False
    kind: Kind = "container"
    arch: str = OWN_ARCH


def lab_name(environment: Mapping[str, str]) -> str:
    """The lab's name from ``GVISOR_LAB_NAME``. Raises ``LabError`` if it cannot name containers."""
    name = environment.get("GVISOR_LAB_NAME") or NAME_DEFAULT
    return checked_name(name)


def checked_name(name: str) -> str:
    """``name``, or a ``LabError``: it becomes part of container, volume, host and file names."""
    if len(name) > _NAME_LENGTH_MAX or not _NAME.fullmatch(name):
        raise LabError(
            "lab: GVISOR_LAB_NAME: wants lower case letters, digits and single hyphens, "
            f"{_NAME_LENGTH_MAX} at most, beginning with a letter",
            got=name,
        )
    return name


def node_specs(
    environment: Mapping[str, str], *, lived_in: Collection[int] = LIVED_IN_DEFAULT
) -> list[NodeSpec]:
    """
    The nodes of ``GVISOR_LAB_NODES`` and ``GVISOR_LAB_FLAVOURS``, which are dealt out in turn, all
    of the kind that ``GVISOR_LAB_KIND`` names, and of the architecture of ``GVISOR_LAB_ARCH``.

    ``lived_in`` has the numbers, from 1, of the nodes that others have used before: only of this
    machine's own architecture. Raises ``LabError`` on a value that says no such thing.
    """
    flavours = _flavours(environment.get("GVISOR_LAB_FLAVOURS") or FLAVOUR_DEFAULT.name)
    count = _count(environment.get("GVISOR_LAB_NODES") or str(NODES_DEFAULT))
    kind = _kind(environment.get("GVISOR_LAB_KIND") or KINDS[0])
    arch = lab_arch(environment)
    specs = [
        NodeSpec(
            flavours[index % len(flavours)],
            lived_in=index + 1 in lived_in and arch == OWN_ARCH,
            kind=kind,
            arch=arch,
        )
        for index in range(count)
    ]
    for spec in specs:
        check_arch(spec)
    return specs


def lab_arch(environment: Mapping[str, str]) -> str:
    """
    Return the architecture of ``GVISOR_LAB_ARCH``, this machine's if unset.

    Raises ``LabError`` if it is none that gVisor runs on.
    """
    arch = environment.get("GVISOR_LAB_ARCH") or OWN_ARCH
    if arch not in {*ARCHES, OWN_ARCH}:
        raise LabError(f"lab: GVISOR_LAB_ARCH: wants {' or '.join(ARCHES)}", got=arch)
    return arch


def check_arch(spec: NodeSpec) -> None:
    """Raise ``LabError`` if no node of this spec can be had with its architecture."""
    if spec.arch == OWN_ARCH:
        return
    what = f"lab: a node on {spec.arch}, on this machine with {OWN_ARCH}"
    if spec.kind != "vm":
        raise LabError(f"{what}, is a virtual machine only", todo="set GVISOR_LAB_KIND=vm")
    if spec.flavour.built_docker:
        todo = "choose a flavour with Debian's Docker"
        raise LabError(f"{what}, cannot have the lab's Docker", got=spec.flavour.name, todo=todo)


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= NODES_MAX:
        raise LabError(f"lab: GVISOR_LAB_NODES: wants a number from 1 to {NODES_MAX}", got=text)
    return int(text)


def _kind(text: str) -> Kind:
    for kind in KINDS:
        if text == kind:
            return kind
    raise LabError(f"lab: GVISOR_LAB_KIND: wants {' or '.join(KINDS)}", got=text)


def _flavours(text: str) -> list[Flavour]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FLAVOURS:
            raise LabError(
                "lab: GVISOR_LAB_FLAVOURS: no such flavour",
                got=name or "''",
                todo=f"choose from {', '.join(FLAVOURS)}",
            )
    return [FLAVOURS[name] for name in names]

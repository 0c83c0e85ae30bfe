"""Read from the environment which nodes a lab has. Pure: touches nothing on the machine."""

import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases import ARCHES

NAME_DEFAULT = "gvisor-lab"
NODES_DEFAULT = 2
NODES_MAX = 30
LIVED_IN = 1

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NAME_LENGTH_MAX = 40
"""With ``-30`` after it, still a valid host name (63 characters) and readable."""


_BECAUSE_LIMIT = 300


class LabError(Problem):
    """
    An error of the lab, in one line.

    ``because`` is another program's error message, or another library's exception.
    """

    def __init__(
        self, what: str, *, got: object = None, because: object = None, todo: str = ""
    ) -> None:
        if because is not None:
            # Docker's exceptions add HTTP details to the daemon's explanation.
            said = getattr(because, "explanation", None) or str(because)
            what = f"{what}: {' '.join(said.split())[:_BECAUSE_LIMIT]}"
        super().__init__(what, got=got, todo=todo)


Kind = Literal["container", "vm"]
KINDS: tuple[Kind, ...] = get_args(Kind)

OWN_ARCH = platform.machine()
"""This machine's architecture, named as in uname(2)."""

OTHER_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Debian's and Go's names of architectures."""


@dataclass(frozen=True)
class Flavour:
    """
    A distribution release and its Docker.

    ``packages``: those that differ between flavours: Docker's, and either curl or wget.
    ``docker_suite``: a later suite for docker.io and docker-cli, if not ``suite``.
    ``init``: PID 1, which starts sshd and dockerd: systemd, or a shell that calls init scripts.
    ``image``: the flavour whose image this one boots, if it has none of its own.
    ``base``: the flavour to whose image this one's adds something; None: it is built from nothing.
    ``built_docker``: the image store of the lab's own Docker; None: Debian's Docker.
    ``firewall``: dockerd's firewall backend, which only Docker 29 and later can choose.
    """

    name: str
    suite: str
    systemd_version: int
    packages: tuple[str, ...]
    docker_suite: str | None = None
    init: Literal["systemd", "sysvinit"] = "systemd"
    image: str | None = None
    base: str | None = None
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
        replace(
            FLAVOUR_DEFAULT,
            name="debian-13-docker-28",
            docker_suite="forky",
            base=FLAVOUR_DEFAULT.name,
        ),
        _variant("debian-13-docker-29", built_docker="overlay2"),
        _variant("debian-13-docker-29-containerd", built_docker="containerd"),
        _variant("debian-13-docker-29-nftables", built_docker="containerd", firewall="nftables"),
        _variant("debian-13-sysvinit", init="sysvinit"),
    )
}


@dataclass(frozen=True)
class NodeSpec:
    """
    The specification of one node.

    ``lived_in``: others have used the node before: it has foreign keys in daemon.json, a runsc
    entry with runtimeArgs, and running containers. ``kind``: a container, on this machine's kernel,
    or a virtual machine with its own kernel, modules and boot. ``arch``: the processor, named as in
    uname(2); another than this machine's is emulated.
    """

    flavour: Flavour = FLAVOUR_DEFAULT
    lived_in: bool = False
    kind: Kind = "container"
    arch: str = OWN_ARCH


def lab_name(environment: Mapping[str, str]) -> str:
    """
    Return the lab's name from ``GVISOR_LAB_NAME``.

    Raise ``LabError`` if host, container and file names cannot have it.
    """
    name = environment.get("GVISOR_LAB_NAME") or NAME_DEFAULT
    if len(name) > _NAME_LENGTH_MAX or not _NAME.fullmatch(name):
        raise LabError(
            "lab: GVISOR_LAB_NAME: expected lower case letters, digits and single hyphens, "
            f"{_NAME_LENGTH_MAX} characters at most, a letter first",
            got=name,
        )
    return name


def node_specs(environment: Mapping[str, str]) -> list[NodeSpec]:
    """
    Return the specs of ``GVISOR_LAB_NODES`` nodes; they take ``GVISOR_LAB_FLAVOURS`` in turn.

    All have the kind in ``GVISOR_LAB_KIND`` and the architecture in ``GVISOR_LAB_ARCH``. Others
    have used the second one before, unless emulated. Raise ``LabError`` on an invalid value.
    """
    names = environment.get("GVISOR_LAB_FLAVOURS") or FLAVOUR_DEFAULT.name
    for name in (flavours := [name.strip() for name in names.split(",")]):
        _check("GVISOR_LAB_FLAVOURS", name, FLAVOURS)
    count = environment.get("GVISOR_LAB_NODES") or str(NODES_DEFAULT)
    numbers = [str(number) for number in range(1, NODES_MAX + 1)]
    _check("GVISOR_LAB_NODES", count, numbers, f"a number from 1 to {NODES_MAX}")
    kind = environment.get("GVISOR_LAB_KIND") or KINDS[0]
    _check("GVISOR_LAB_KIND", kind, KINDS)
    arch = lab_arch(environment)
    specs = [
        NodeSpec(
            FLAVOURS[flavours[index % len(flavours)]],
            lived_in=index == LIVED_IN and arch == OWN_ARCH,
            kind=cast("Kind", kind),
            arch=arch,
        )
        for index in range(int(count))
    ]
    for spec in specs:
        _check_arch(spec)
    return specs


def lab_arch(environment: Mapping[str, str]) -> str:
    """
    Return the architecture in ``GVISOR_LAB_ARCH``; this machine's if unset.

    Raise ``LabError`` if gVisor does not run on it.
    """
    arch = environment.get("GVISOR_LAB_ARCH") or OWN_ARCH
    if arch != OWN_ARCH:
        _check("GVISOR_LAB_ARCH", arch, ARCHES)
    return arch


def _check_arch(spec: NodeSpec) -> None:
    """Raise ``LabError`` if a node of this spec cannot have its architecture."""
    if spec.arch == OWN_ARCH:
        return
    what = f"lab: this machine is {OWN_ARCH}: a node with {spec.arch}"
    if spec.kind != "vm":
        raise LabError(f"{what} must be a virtual machine", todo="set GVISOR_LAB_KIND=vm")
    if spec.flavour.built_docker:
        todo = "choose a flavour with Debian's Docker"
        raise LabError(f"{what} cannot have the lab's Docker", got=spec.flavour.name, todo=todo)


def _check(variable: str, value: str, choices: Iterable[str], what: str = "") -> None:
    """Raise ``LabError`` if the value of an environment variable is none of these."""
    if value not in choices:
        expected = what or " or ".join(choices)
        raise LabError(f"lab: {variable}: expected {expected}", got=value or "''")

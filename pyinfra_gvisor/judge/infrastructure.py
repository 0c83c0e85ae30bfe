"""
Whether a container is infrastructure, so that it runs under runc.

An entry of the policy compares everything that could make a known image run somebody's commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from pyinfra_gvisor.judge.container import Container

# Variables that make programs run commands or load code: bash(1), ld.so(8), perlrun(1), git(1),
# node(1), python(1), and those of Docker's own clients. A list cannot be complete: env_free names
# what is free, and this finds slips.
_RUNS_COMMANDS = re.compile(
    r"(LD|BASH|PERL|PYTHON|RUBY|NODE|GIT|SSH|DOCKER|BUILDX|BUILDKIT|COMPOSE|TINI|XDG)[_0-9].*"
    r"|PERL.*|PYTHON.*|BASH.*|RUBY(OPT|LIB)|GLIBC_TUNABLES|GCONV_PATH|LOCPATH"
    r"|ENV|PATH|HOME|IFS|PS[0-9]|PROMPT_COMMAND|SHELL.*|LESSOPEN|PAGER|EDITOR|VISUAL"
    r"|OPENSSL_CONF|CURL_HOME"
)
_OWN_IPC = ("", "private", "shareable", "none")
_NEVER = (
    *("Devices", "DeviceRequests", "DeviceCgroupRules", "VolumesFrom", "Links"),
    *("Annotations", "CgroupParent"),
)
EXACT = ("Dns", "DnsOptions", "DnsSearch", "Init", "SecurityOpt", "Sysctls", "Tmpfs")
"""The keys of ``HostConfig`` that an entry's ``options`` may have."""
# Docker adds this to a container with the node's PID namespace: moby, daemon/create.go,
# generateSecurityOpt.
_BY_DOCKER = "label=disable"

# Compose calls what takes a container's place so until that one is gone: docker/compose v2.38.2,
# pkg/compose/convergence.go, recreateContainer. It has its own name before it starts.
_BY_COMPOSE = re.compile("^[0-9a-f]{12}_")

OPTIONS = (
    *("Privileged", "CapAdd", "NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode"),
    *("ExtraHosts", "MaskedPaths", "ReadonlyPaths", "AutoRemove", "GroupAdd"),
    *("PortBindings", "PublishAllPorts", *_NEVER, *EXACT),
)
"""The keys of ``HostConfig`` that ``differences`` compares."""


class Difference(NamedTuple):
    """What a container has otherwise than an entry, and the key that allows it; empty if none."""

    what: str
    key: str


def differences(container: Container, entry: Mapping[str, Any]) -> Iterator[Difference]:
    """
    Return everything that a container has otherwise than an entry of the policy.

    + entry: as ``Infrastructure.model_dump`` writes it
    """
    yield from _program(container, entry)
    yield from _environment(container, entry)
    yield from _mounts(container, entry)
    yield from _names(container, entry)
    yield from _namespaces(container.host, entry)
    yield from _options(container.host, entry)


def runs_commands(variable: str) -> bool:
    """Return True if a program may run commands or load code because of this variable."""
    of_java = variable.endswith("OPTIONS") and "JAVA" in variable.removesuffix("OPTIONS")
    return of_java or _RUNS_COMMANDS.fullmatch(variable) is not None


def _program(container: Container, entry: Mapping[str, Any]) -> Iterator[Difference]:
    config = container.config
    entrypoint, own = tuple(entry["entrypoint"]), tuple(config.get("Entrypoint") or ())
    if entrypoint != own:
        yield Difference("entrypoint", "entrypoint")
    if container.program != (*own, *entry["command"]):
        yield Difference("command", "command")
    if (config.get("User") or "") != entry["user"]:
        yield Difference("user", "user")
    if (config.get("WorkingDir") or "") != entry["working_dir"]:
        yield Difference("working directory", "working_dir")
    if (config.get("Healthcheck") or {}) != (entry["healthcheck"] or {}):
        yield Difference("health check", "healthcheck")
    if bool(config.get("OpenStdin")) != entry.get("stdin", False):  # who attaches writes there
        yield Difference("standard input", "stdin")
    if bool(config.get("Tty")) != entry.get("tty", False):
        yield Difference("terminal", "tty")
    if config.get("Shell"):  # health checks run in it
        yield Difference("shell", "")


def _environment(container: Container, entry: Mapping[str, Any]) -> Iterator[Difference]:
    given, expected = container.config.get("Env") or (), entry["env"]
    other = [*(item for item in given if item not in expected)]
    other += [item for item in expected if item not in given]
    names = dict.fromkeys(item.partition("=")[0] for item in other)
    for name in (name for name in names if name not in entry["env_free"]):
        yield Difference(f"environment ({name})", "env" if runs_commands(name) else "env_free")


def _mounts(container: Container, entry: Mapping[str, Any]) -> Iterator[Difference]:
    given, expected = [str(mount) for mount in container.mounts], entry["mounts"]
    for mount in sorted({*given} - {*expected, *entry["optional_mounts"]}):
        yield Difference(f"mounts ({mount})", "optional_mounts")
    for mount in sorted({*expected} - {*given}):
        yield Difference(f"mounts (no {mount})", "mounts")
    if container.secrets:
        yield Difference("secrets", "")


def _names(container: Container, entry: Mapping[str, Any]) -> Iterator[Difference]:
    labels = container.config.get("Labels") or {}
    if entry["name"] and not re.fullmatch(entry["name"], container.name):
        yield Difference("name", "name")
    for label, value in sorted(entry["labels"].items()):
        if labels.get(label, "") != value:
            yield Difference(f"label {label}", "labels")
    for prefix in entry["without_labels"]:
        if found := sorted(label for label in labels if label.startswith(prefix)):
            yield Difference(f"label {found[0]}", "without_labels")


def _namespaces(host: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[Difference]:
    network, pid = host.get("NetworkMode") or "", host.get("PidMode") or ""
    if network.startswith("container:"):
        yield Difference("network", "")
    elif (network == "host") != (entry["network"] == "host"):
        yield Difference("network", "network")
    if pid != entry["pid"]:
        yield Difference("PID namespace", "pid" if pid in ("", "host") else "")
    if (host.get("IpcMode") or "") not in _OWN_IPC:
        yield Difference("IPC namespace", "")
    if host.get("UTSMode") or host.get("UsernsMode"):
        yield Difference("namespaces", "")


def _options(host: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[Difference]:
    if host.get("Privileged"):
        yield Difference("privileges", "")
    yield from _added(host, entry)
    if entry["auto_remove"] not in (None, bool(host.get("AutoRemove"))):
        yield Difference("removal", "auto_remove")
    for key in ("MaskedPaths", "ReadonlyPaths"):
        if host.get(key) is not None and not host[key]:  # none at all
            yield Difference(key, "")
    for key in _NEVER:
        if host.get(key):
            yield Difference(key, "")
    own = exact_options(host)
    allowed = exact_options({**(entry.get("options") or {}), "PidMode": host.get("PidMode")})
    for key in EXACT:
        if own.get(key) != allowed.get(key):
            yield Difference(key, "options")


def exact_options(host: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what a container asks for of what an entry's ``options`` may have.

    + host: its ``HostConfig``
    """
    found = {key: host[key] for key in EXACT if host.get(key)}
    if host.get("PidMode") == "host" and "SecurityOpt" in found:
        found["SecurityOpt"] = [item for item in found["SecurityOpt"] if item != _BY_DOCKER]
    return {key: value for key, value in found.items() if value}


def _added(host: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[Difference]:
    if {*(host.get("CapAdd") or ())} - {*entry.get("capabilities", ())}:
        yield Difference("capabilities", "capabilities")
    if {*(host.get("ExtraHosts") or ())} - {*entry.get("extra_hosts", ())}:
        yield Difference("host names", "extra_hosts")
    if {*(host.get("GroupAdd") or ())} - {*entry.get("groups", ())}:
        yield Difference("groups", "groups")
    if entry.get("ports") is not None and (other := {*published(host)} - {*entry["ports"]}):
        yield Difference(f"ports ({min(other)})", "ports")


def published(host: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return the ports that dockerd opens for a container, each as ``docker run --publish`` takes it.

    + host: its ``HostConfig``
    """
    found = ["all"] * bool(host.get("PublishAllPorts"))
    bindings: Mapping[str, Sequence[Mapping[str, str]]] = host.get("PortBindings") or {}
    for port, places in sorted(bindings.items()):
        inside = port if "/" in port else f"{port}/tcp"
        for place in places or [{}]:
            to = place.get("HostIp") or ""
            address = f"[{to}]:" if ":" in to else f"{to}:" if to else ""
            found.append(f"{address}{place.get('HostPort') or ''}:{inside}")
    return tuple(found)


NOT_INFRASTRUCTURE = "not infrastructure"
_NOT_FIXED: Mapping[str, Any] = {
    **dict.fromkeys(("env_free", "mounts", "optional_mounts"), ()),
    **dict.fromkeys(("name", "network", "pid"), ""),
    "auto_remove": None,
    "labels": {},
    "without_labels": (),
}


class Decision(NamedTuple):
    """
    Where a container runs, and why.

    + where: ``runc``, ``sandbox`` or ``refused``
    + accept: what an operator may accept, if it is refused
    + fixed: if it is refused, what all containers of its kind have, whose other keys are recorded
    """

    where: str
    why: str
    accept: str = ""
    fixed: Mapping[str, Any] = {}


def decide(container: Container, policy: Mapping[str, Any]) -> Decision:
    """
    Return where a container runs that asks for no runtime.

    + policy: ``entries`` and ``shapes``, as ``Dispatch.rules`` returns them
    """
    against = []
    for entry in (item for item in policy["entries"] if item["image"] == container.image_id):
        other = next(differences(container, entry), None)
        if other is None:
            return Decision("runc", f"{entry['title']}: {entry['reason']}")
        against.append(f"not the accepted {entry['title']}: other {other.what}")
    if against:
        return Decision("sandbox", "; ".join(against[:3]))
    image = container.config.get("Image") or ""
    mounts = {str(mount) for mount in container.mounts}
    for shape in policy["shapes"]:
        is_known = repository(image) in map(repository, shape["repositories"])
        is_one = is_known and has_name_of(container.name, shape, policy["shapes"])
        if is_one and mounts & {*shape["mounts"]}:
            name, identity = shape["name"], container.image_id
            known = f"image {identity} of" if identity else "image of"
            why = f"{known} {name} ({image}) is not accepted on this node"
            if shape["recorded"]:
                return Decision("refused", why, container.name, shape.get("fixed") or {})
            return Decision("refused", why, identity)
    return Decision("sandbox", NOT_INFRASTRUCTURE)


def is_named_like(container: Container, policy: Mapping[str, Any]) -> bool:
    """Return True if a container has the name, or a label, of an entry with its image."""
    labels = container.config.get("Labels") or {}
    return any(
        (entry["name"] and re.fullmatch(entry["name"], container.name))
        or any(labels.get(label) == value for label, value in entry["labels"].items())
        or not (entry["name"] or entry["labels"])
        for entry in policy["entries"]
        if entry["image"] == container.image_id
    )


def has_name_of(name: str, shape: Mapping[str, Any], every: Iterable[Mapping[str, Any]]) -> bool:
    """
    Return True if a container of this name may be of a kind.

    A kind whose containers tell the entry has one name, if any: others run such images as well. A
    name that one kind has belongs to no other kind of the same image.

    + shape: ``recorded``, ``fixed`` and ``repositories`` of the kind
    + every: the same of all kinds
    """
    if not shape["recorded"]:
        return True
    images = {*shape["repositories"]}
    owners = [
        item
        for item in every
        if item["recorded"] and _is_name_of(name, item) and images & {*item["repositories"]}
    ]
    return shape in owners if owners else not (shape.get("fixed") or {}).get("name")


def _is_name_of(name: str, shape: Mapping[str, Any]) -> bool:
    its = (shape.get("fixed") or {}).get("name") or ""
    return re.fullmatch(its, name) is not None


def decide_requested(container: Container, policy: Mapping[str, Any]) -> Decision:
    """
    Return the same of a container that is only requested.

    Its image has only a name yet, and says what the request leaves out: the decision counts until
    the container starts.
    """
    container = replace(container, name=_BY_COMPOSE.sub("", container.name))
    for entry in policy.get("entries") or ():
        is_image = container.image_id in ("", entry["image"])
        if is_image and not any(differences(_completed(container, entry), entry)):
            return Decision("runc", f"{entry['title']}: {entry['reason']}")
    return decide(container, {**policy, "entries": []})


def not_of_its_kind(container: Container, fixed: Mapping[str, Any]) -> list[Difference]:
    """
    Return what a container has beside what its kind fixes, and what is recorded from containers.

    + fixed: as in ``Decision``
    """
    config = container.config
    own = tuple(config.get("Entrypoint") or ())
    recorded = {
        "entrypoint": own,
        "command": container.program[len(own) :],
        "env": config.get("Env") or (),
        "healthcheck": config.get("Healthcheck"),
        "user": config.get("User") or "",
        "working_dir": config.get("WorkingDir") or "",
        "stdin": bool(config.get("OpenStdin")),
        "tty": bool(config.get("Tty")),
        "groups": container.host.get("GroupAdd") or (),
        "options": exact_options(container.host),
    }
    return [*differences(container, {**_NOT_FIXED, **recorded, **fixed})]


def _completed(container: Container, entry: Mapping[str, Any]) -> Container:
    """Return a container with what its image would say, if it is the image of this entry."""
    config, given = dict(container.config), [*(container.config.get("Env") or ())]
    named = {item.partition("=")[0] for item in given}
    own = [item for item in entry["env"] if item.partition("=")[0] not in named]
    program = container.program
    if not config.get("Entrypoint"):
        config["Entrypoint"] = entry["entrypoint"]
        command = program or entry["command"]
        program = (*entry["entrypoint"], *command)
    for key, name in (("User", "user"), ("WorkingDir", "working_dir")):
        config[key] = config.get(key) or entry[name]
    config["Env"] = [*given, *own]
    config["Healthcheck"] = config.get("Healthcheck") or entry["healthcheck"]
    config["Labels"] = {**entry["labels"], **(config.get("Labels") or {})}
    return replace(container, config=config, program=program)


@lru_cache(maxsize=100)
def repository(image: str) -> str:
    """Return an image's name with its registry, and without tag and digest."""
    head, slash, last = image.partition("@")[0].rpartition("/")
    name = head + slash + last.partition(":")[0]
    name = re.sub("^index[.]docker[.]io/", "docker.io/", name)  # Docker's own registry
    registry, slash, _ = name.partition("/")
    if slash and (re.search("[.:]", registry) or registry == "localhost"):
        return name
    return f"docker.io/{name if slash else f'library/{name}'}"

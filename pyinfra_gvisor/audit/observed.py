"""Everything that an audit reads from a node in one command, and the reading of its output."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field, SerializeAsAny, field_validator

from pyinfra_gvisor.apps.seen import Apps, Device, DeviceRequest, apps_command, parse_apps
from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.scripts import packed
from pyinfra_gvisor.daemon_json.runtime_users import RuntimeUser, read_user
from pyinfra_gvisor.node import Node, parse_node, state_script
from pyinfra_gvisor.node.containers import Container
from pyinfra_gvisor.parts_common.members import members
from pyinfra_gvisor.parts_common.state import R, one
from pyinfra_gvisor.policy.guarded import GUARDED

ASKING = ("audit/places.pl", "audit/given.pl")
LOOK_S = 20
"""How long an audit looks at the processes of containers. A tenant may have a great many."""
LEAK_AGE_S = 60  # a younger sandbox may belong to a container being created or removed


class Mounted(Reading):
    """
    A mount of a container, as Docker reports it.

    ``places`` are all paths by which the node knows the source: with symbolic links resolved, and
    other mount points of the same directory. Empty if only ``source`` is known.
    """

    source: str
    kind: str = "bind"
    writable: bool = True
    places: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the source and its places, without a trailing slash."""
        return tuple(path.rstrip("/") or "/" for path in (self.source, *self.places) if path)


class Given(Reading):
    """
    Options of a container that can weaken its sandbox, as Docker reports them.

    ``masked`` and ``readonly`` are paths below ``/proc`` and ``/sys``; None if Docker reports none.
    Long options in ``security`` are cut. ``ports`` are the container's own ports, such as
    ``80/tcp``, exposed by its image or published. ``addresses`` are its addresses in Docker's
    networks. ``started_s`` is when the container started, in seconds since 1970.
    """

    image: str = Field("", alias="Image")
    privileged: bool = Field(False, alias="Privileged")
    network_mode: str = Field("", alias="NetworkMode")
    pid_mode: str = Field("", alias="PidMode")
    ipc_mode: str = Field("", alias="IpcMode")
    uts_mode: str = Field("", alias="UTSMode")
    userns_mode: str = Field("", alias="UsernsMode")
    capabilities: tuple[str, ...] = Field((), alias="CapAdd")
    dropped: tuple[str, ...] = Field((), alias="CapDrop")
    devices: tuple[Device, ...] = Field((), alias="Devices")
    device_rules: tuple[str, ...] = Field((), alias="DeviceCgroupRules")
    device_requests: tuple[DeviceRequest, ...] = Field((), alias="DeviceRequests")
    security: tuple[str, ...] = Field((), alias="SecurityOpt")
    masked: tuple[str, ...] | None = Field(None, alias="MaskedPaths")
    readonly: tuple[str, ...] | None = Field(None, alias="ReadonlyPaths")
    ports: tuple[str, ...] = Field((), alias="Ports")
    annotations: dict[str, str] = Field(default_factory=dict, alias="Annotations")
    labels: dict[str, str] = Field(default_factory=dict, alias="Labels")
    mounts: tuple[Mounted, ...] = ()
    addresses: tuple[str, ...] = ()
    started_s: float = 0

    @field_validator(
        *("capabilities", "dropped", "devices", "device_rules", "device_requests", "security"),
        mode="before",
    )
    @classmethod
    def _null_is_none(cls, value: object) -> object:
        return () if value is None else value


class Leak(Reading):
    """A running sandbox without a Docker container; ``age_s`` is its age in seconds."""

    pid: int
    age_s: int
    executable: str
    id: str


class Engine(Reading):
    """
    A process of a container engine other than the node's Docker, or the socket of such an engine.

    ``program`` is the name of its file, or ``socket``. ``id`` is the container of the process,
    empty for an engine itself. ``namespace`` is containerd's. ``address`` is where it listens.
    """

    program: str
    pid: int
    uid: int
    file: str
    namespace: str
    id: str
    address: str


class Volume(Reading):
    """
    A volume of the local driver that mounts a device or directory, as its options say.

    ``places`` are all paths by which the node knows the device; empty if only ``device`` is known.
    """

    name: str
    type: str
    options: str
    device: str
    places: tuple[str, ...] = ()

    @field_validator("places", mode="before")
    @classmethod
    def _of_the_device(cls, value: object) -> object:
        return next(iter(value.values()), ()) if isinstance(value, dict) else value


class BuildCache(Reading):
    """
    Traces of image builds in dockerd's own BuildKit.

    ``records`` is the number of records in its cache, ``last_used`` the newest use of one, a time
    as Docker writes it. Both are None if the daemon does not report them; ``error`` then says why.
    ``ran_by_s`` is for a daemon too old to be asked: a build step ran at this time or earlier, in
    seconds since 1970.
    """

    records: int | None = None
    last_used: str | None = None
    ran_by_s: int | None = None
    error: str | None = None


class File(Reading):
    """Mode of a file in octal digits, and its owner as names: ``user:group``."""

    mode: str
    owner: str


class Component(Reading):
    """Version and commit of a program that dockerd uses, as dockerd reports them."""

    version: str
    commit: str


class Observed(Reading):
    """
    Everything that an audit reads from a node.

    + given: options of running containers, by container id
    + leaks: sandboxes without a Docker container
    + engines: container engines other than the node's Docker, and their containers
    + places: other paths of the same guarded directory, by guarded path
    + files: mode and owner of files that rules are about, by path
    + reloaded_s: last time that dockerd read daemon.json again, in seconds since 1970; None if no
      such time is known
    + parts: answers of parts to questions that only an audit asks, by part
    + idle: containers that do not run; ``idle_error`` says why Docker does not list them
    + volumes: volumes that mount something of the node; ``volumes_error`` says why Docker does not
      list them
    + components: dockerd and the programs that it uses, by name
    + virtualization: output of systemd-detect-virt; empty if unknown
    + apps: what the running containers have and do; None if nobody looked, and ``apps_error`` says
      why if an audit tried
    """

    node: Node
    given: dict[str, Given] = Field(default_factory=dict)
    leaks: tuple[Leak, ...] = ()
    engines: tuple[Engine, ...] = ()
    places: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    files: dict[str, File] = Field(default_factory=dict)
    reloaded_s: float | None = None
    parts: dict[str, SerializeAsAny[Reading]] = Field(default_factory=dict)
    build_cache: BuildCache = BuildCache()
    idle: tuple[RuntimeUser, ...] = ()
    idle_error: str | None = None
    volumes: tuple[Volume, ...] = ()
    volumes_error: str | None = None
    components: dict[str, Component] = Field(default_factory=dict)
    virtualization: str = ""
    apps: Apps | None = None
    apps_error: str | None = None

    @property
    def users(self) -> tuple[RuntimeUser, ...]:
        """Return every container, running or not, with the runtime that it was created with."""
        running = (
            RuntimeUser(name=item.name, running=True, runtime=item.runtime)
            for item in self.node.containers
        )
        return (*running, *self.idle)

    def given_to(self, container: Container) -> Given:
        """Return the container's options; all empty if Docker did not report them."""
        return self.given.get(container.id, Given.model_validate({}))

    def part(self, kind: type[R]) -> R:
        """Return the answer of the part whose answers are of this type."""
        return one(self.parts, kind)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, for ``pyinfra … fact``."""
        return {**self.model_dump(mode="json", exclude={"node"}), "node": self.node.to_json()}


def audit_script(
    labels: Iterable[str] = (),
    *,
    textfile_dir: str | None = None,
    preview: Mapping[str, str] | None = None,
    looks: bool = False,
) -> str:
    """
    Return the shell script that prints what ``parse_observed`` reads.

    + labels: names of labels that the policy uses; no other label leaves the node
    + textfile_dir: a directory to look for
    + preview: the variables of ``dispatch/preview.sh``; None asks nothing about places
    + looks: whether to look at the processes of the running containers
    """
    look = {"look_b64": packed(f"exec {apps_command()}"), "look_s": str(LOOK_S)} if looks else {}
    told = members("observed", "read")
    return state_script(
        *(f"parts/{name}/observed" for name in told),
        "audit/state",
        *(["audit/look"] if looks else []),
        asking=ASKING,
        textfile_dir=textfile_dir,
        preview=preview,
        observed=" ".join(f"{name}_observed" for name in told),
        labels="\n".join(labels),
        guarded="\n".join(item.path for item in GUARDED),
        **look,
    )


def parse_observed(output: Sequence[str]) -> Observed:
    """
    Parse the output of ``audit_script``.

    Raises ``ValueError`` if the output is cut short or malformed.
    """
    node = parse_node(output)
    apps, apps_error = _apps(output)
    try:
        return Observed(
            node=node,
            given=dict(_given(line) for line in _of(output, "container")),
            leaks=tuple(leak for line in _of(output, "sandbox") if (leak := _leak(line))),
            engines=tuple(map(_engine, _of(output, "engine"))),
            places={
                path: tuple(places)
                for line in _of(output, "places")
                for path, places in json.loads(line).items()
            },
            files=dict(_file(line) for line in _of(output, "file")),
            reloaded_s=max(
                (float(line) for key in ("event", "log") for line in _of(output, f"reload_{key}")),
                default=None,
            ),
            parts={
                name: read(_of(output, f"{name}_observed"))
                for name, read in members("observed", "read").items()
            },
            build_cache=_build_cache(output),
            idle=tuple(read_user(line) for line in _of(output, "idle")),
            idle_error=next(iter(_of(output, "idle_error")), None),
            volumes=tuple(Volume.model_validate_json(line) for line in _of(output, "volume")),
            volumes_error=next(iter(_of(output, "volumes_error")), None),
            components=dict(_component(line) for line in _of(output, "component")),
            virtualization=next(iter(_of(output, "virtualization")), ""),
            apps=apps,
            apps_error=apps_error,
        )
    except (LookupError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"the node's answer is malformed: {error}") from error


def _of(output: Sequence[str], key: str) -> list[str]:
    return [line.removeprefix(f"{key} ") for line in output if line.startswith(f"{key} ")]


def _apps(output: Sequence[str]) -> tuple[Apps | None, str | None]:
    """Return what was seen, or why nothing was: an audit does not end for this."""
    if "look_begins" not in output:
        return None, None
    try:
        return parse_apps(_of(output, "look")), None
    except (LookupError, TypeError, AttributeError, RecursionError, ValueError):
        return None, f"the look did not finish within {LOOK_S} s, or its answer is malformed"


def _given(line: str) -> tuple[str, Given]:
    document = json.loads(line)
    started = document["State"].get("StartedAt")
    known = {
        "mounts": _mounts(document.get("Mounts") or (), document.get("Places", {})),
        "addresses": document.get("Addresses", ()),
        "started_s": datetime.fromisoformat(started).timestamp() if started else 0,
    }
    return document["Id"], Given.model_validate({**document.get("Given", {}), **known})


def _mounts(mounts: Iterable[Any], places: Any) -> list[Mounted]:
    """Return the mounts sorted by source: Docker lists them in a random order."""
    found = [
        Mounted(
            kind=mount.get("Type", "bind"),
            source=source,
            writable=mount.get("RW", True),
            places=tuple(places.get(source, ())),
        )
        for mount in mounts
        if (source := mount.get("Source"))
    ]
    return sorted(found, key=lambda mount: mount.source)


def _engine(line: str) -> Engine:
    program, pid, uid, file, namespace, identity, address = line.split("\t")
    return Engine(
        program=program,
        pid=int(pid),
        uid=int(uid),
        file=file,
        namespace=namespace,
        id=identity,
        address=address,
    )


def _leak(line: str) -> Leak | None:
    pid, age_s, rest = line.split(" ", 2)
    executable, _, identity = rest.partition("\t")
    found = Leak(pid=int(pid), age_s=int(age_s), executable=executable, id=identity)
    return found if found.age_s >= LEAK_AGE_S else None


def _build_cache(output: Sequence[str]) -> BuildCache:
    for line in _of(output, "build_cache"):
        records, _, last_used = line.partition(" ")
        return BuildCache(records=int(records), last_used=last_used or None)
    for line in _of(output, "build_ran"):
        return BuildCache(ran_by_s=int(line))
    return BuildCache(error=next(iter(_of(output, "build_error")), None))


def _component(line: str) -> tuple[str, Component]:
    name, version, commit = line.split(" ")
    return name, Component(version=version, commit=commit)


def _file(line: str) -> tuple[str, File]:
    mode, owner, path = line.split(" ", 2)
    return path, File(mode=mode, owner=owner)

"""The model of a node: everything that a deploy decides on, and how it is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.node_files import RECORDS_DIR
from pyinfra_gvisor.base.redaction import shown, shown_words
from pyinfra_gvisor.base.scripts import program, script
from pyinfra_gvisor.node.changes import Change, parse_changes
from pyinfra_gvisor.node.containers import Container, read_containers
from pyinfra_gvisor.node.docker_info import DockerInfo
from pyinfra_gvisor.node.dockerd_unit import Supervisor, next_arguments
from pyinfra_gvisor.node.engine import Listener
from pyinfra_gvisor.node.installed import (
    Manifest,
    Store,
    intact,
    programs,
    read_manifests,
    read_store,
    sums,
)
from pyinfra_gvisor.node.next_start import (
    PREVIEWED,
    NotAgain,
    Place,
    UnacceptedImage,
    read_places,
)
from pyinfra_gvisor.node.python import Python
from pyinfra_gvisor.node.reach import Reach, read_reach
from pyinfra_gvisor.node.records import Unusable, read_records
from pyinfra_gvisor.node.units import Units, read_units
from pyinfra_gvisor.parts_common.members import NAMES, members
from pyinfra_gvisor.parts_common.state import PartState, R, one
from pyinfra_gvisor.sandbox.verdict import NodeFacts

STATE_DIR = RECORDS_DIR
DAEMON_JSON = "/etc/docker/daemon.json"

LISTS = (
    *("release", "manifest", "member", "wrapper", "starts", "process", "container", "reach"),
    *("writer", *PREVIEWED, "preview", "not_executable", "sealed", "default_sandbox"),
    *(
        "beside",
        "foreign_runsc",
        "foreign_shim",
        "gvisor_variable",
        "listens",
    ),
    *NAMES,
)

_ASKS = (
    *("base/json.pl", "sandbox/process.pl", "node/docker_state.pl"),
    "dispatch/unjudged.pl",
)

_TEXTS = frozenset({"text", "original", "before", "owned.damaged", "applied.damaged"})
"""The keys of the model that have daemon.json, or a part of it, as text."""

CLOCK_TICKS_A_SECOND = 100  # USER_HZ, fixed on every architecture that gVisor runs on: time(7)


class DaemonJson(Reading):
    """daemon.json as found on the node. ``text`` is None unless ``state`` is ``text``."""

    state: Literal["absent", "unreadable", "directory", "special", "dangling", "not utf-8", "text"]
    text: str | None = None
    sha256: str = ""
    mode: str = ""
    owner: str = ""
    changed_s: float = 0  # since 1970, the later of mtime and ctime: a copy or move keeps the mtime


class DockerdProcess(Reading):
    """The running dockerd. ``identity`` differs for every start, also after a reboot."""

    pid: int
    identity: str
    started_s: float
    arguments: tuple[str, ...]


class Node(Reading):
    """
    Everything that a deploy decides on, read in one command by ``user``.

    ``releases`` are unchanged since their installation; ``damaged`` are changed, or have no
    manifest. ``wrappers`` has the sha256 and ``starts`` the command of each wrapper, by path;
    ``not_executable`` are those that dockerd cannot start, ``sealed`` those with a seal.
    ``sandboxes`` has the wrapper by which a default runtime starts sandboxes, by its own path.
    ``foreign_runsc`` are registered runtimes that lead to runsc past our wrappers, by name.
    ``foreign_shims`` are the shims on containerd's PATH other than runc's. ``gvisor_variables`` are
    those that dockerd and containerd were started with, each after the program's name.
    ``runc_version`` is runc's own answer, for Docker 29, which does not name the version.
    ``linked_volume`` is a link in the place of a volume, or of all volumes.
    ``docker_client`` is ``docker``, or what a script in its place says of itself, as Podman's does.
    ``no_core_scheduling`` is the error of a kernel without core scheduling, None if it has that.
    ``listener`` is who answers at Docker's socket.
    ``writers`` are installed packages that write daemon.json by themselves. ``textfile_dir``: the
    directory that was asked for exists; None if none was asked for. ``proof_image``: the same of
    an image. ``tools`` are the installed programs that fetch and unpack releases. ``pending``: a
    change of daemon.json was interrupted; ``unheard``: one ended after its run had lost the node.
    ``state`` has our records by name; ``unusable`` are
    records that are damaged or newer. ``generations_owned``: a generation has a record of our keys.
    ``changed`` is the last change that the node remembers.
    ``places`` says by container id where each container would run after its next start, if that was
    asked; ``places_error`` why it is not known. ``unaccepted_images`` and ``not_again`` belong to
    these questions.
    """

    arch: str
    kernel: str
    page_size_bytes: int
    cgroup_version: int
    init: str
    distribution: str
    distribution_version: str
    distribution_codename: str
    max_user_namespaces: int | None = None
    boot_id: str = ""
    user: str = ""
    docker_client: str | None = None
    docker_error: str | None = None
    listener: Listener = Listener()
    runc_version: str | None = None
    linked_volume: str | None = None
    no_core_scheduling: str | None = None
    info: DockerInfo | None = None
    dockerd: DockerdProcess | None = None
    supervisor: Supervisor
    next_arguments: tuple[str, ...] | None = None
    daemon_json: DaemonJson
    releases: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    manifests: dict[str, Manifest] = Field(default_factory=dict)
    store: Store = Store()
    wrappers: dict[str, str] = Field(default_factory=dict)
    starts: dict[str, str] = Field(default_factory=dict)
    not_executable: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()
    sandboxes: dict[str, str] = Field(default_factory=dict)
    runsc_link: str | None = None
    runsc_file: bool = False
    foreign_runsc: tuple[str, ...] = ()
    foreign_shims: tuple[str, ...] = ()
    gvisor_variables: tuple[str, ...] = ()
    containers: tuple[Container, ...] = ()
    reach: Reach = Reach()
    units: Units = Units()
    writers: tuple[str, ...] = ()
    pending: bool = False
    unheard: bool = False
    state_dir: bool = False
    textfile_dir: bool | None = None
    proof_image: bool | None = None
    python: Python = Python()
    tools: tuple[str, ...] | None = None
    parts: dict[str, SerializeAsAny[PartState]] = Field(default_factory=dict)
    state: dict[str, Any] = Field(default_factory=dict)
    unusable: tuple[Unusable, ...] = ()
    generations_owned: bool = False
    changed: Change | None = None
    places: dict[str, Place] = Field(default_factory=dict)
    places_error: str | None = None
    unaccepted_images: tuple[UnacceptedImage, ...] = ()
    not_again: tuple[NotAgain, ...] = ()

    @field_validator("parts", mode="before")
    @classmethod
    def _read_back(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Read the states of parts from JSON, which does not name their types."""
        kinds = {name: type(read(())) for name, read in members("state", "read").items()}
        return {name: kinds[name].model_validate(item) for name, item in value.items()}

    @property
    def kernel_version(self) -> tuple[int, int]:
        """Return the kernel's major and minor version; (0, 0) if it does not begin with these."""
        parts = self.kernel.replace("-", ".").split(".")
        return (
            (int(parts[0]), int(parts[1]))
            if len(parts) > 1 and (parts[0] + parts[1]).isdigit()
            else (0, 0)
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """Return dockerd's arguments, as it runs and for its next start."""
        return (*(self.dockerd.arguments if self.dockerd else ()), *(self.next_arguments or ()))

    def part(self, kind: type[R]) -> R:
        """Return the state of the part whose state has this type."""
        return one(self.parts, kind)

    @property
    def engine_problem(self) -> Problem | None:
        """Return why we would ask another engine than this dockerd; None if we would not."""
        if self.docker_client and self.docker_client.startswith("podman"):
            todo = "remove the package podman-docker, and install Docker's own client"
            return Problem("the command docker is Podman", got=self.docker_client, todo=todo)
        pid = self.dockerd.pid if self.dockerd else None
        return self.listener.problem(pid, answers=self.info is not None)

    def names_of(self, ids: Iterable[str]) -> list[str]:
        """Return the names of running containers with these ids; for other ids, 12 characters."""
        names = {item.id: item.name for item in self.containers}
        return [names.get(item, item[:12]) for item in ids]

    def sbom(self, release: str) -> dict[str, Any] | None:
        """Return a release's origin: release, source, sha512 by file, installed_at; or None."""
        manifest = self.manifests.get(release)
        return None if manifest is None else manifest.model_dump(exclude={"members", "stat"})

    def to_json(self) -> dict[str, Any]:
        """Return the node for ``pyinfra … fact``, without secrets of daemon.json and of flags."""
        dump = self.model_dump(mode="json")
        if self.dockerd is not None:
            dump["dockerd"]["arguments"] = shown_words(self.dockerd.arguments)
        if self.next_arguments is not None:
            dump["next_arguments"] = shown_words(self.next_arguments)
        return dict(shown(dump, texts=_TEXTS))


def state_script(
    *more: str,
    asking: Sequence[str] = (),
    textfile_dir: str | None = None,
    proof_image: str | None = None,
    preview: Mapping[str, str] | None = None,
    **variables: str,
) -> str:
    """
    Return the script whose output ``parse_node`` reads.

    + more: scripts to put before ``node_state.sh``
    + asking: perl programs to put after the one that asks Docker
    + textfile_dir: a directory to look for
    + proof_image: an image to look for
    + preview: the variables of ``dispatch/preview.sh``; None asks nothing about places
    + variables: the variables of these parts
    """
    asks = program(*_ASKS, *asking)
    if preview:
        more, variables = (*more, "dispatch/preview"), {**variables, **preview}
    return script(
        *(f"parts/{name}/state" for name in NAMES),
        "node/docker_state",
        *more,
        "node/node_state",
        parts=" ".join(f"{name}_state" for name in (*NAMES, *(["preview"] if preview else []))),
        docker_program=asks,
        units_program=program("node/units.pl"),
        textfile_dir=textfile_dir or "",
        proof_image=proof_image or "",
        **variables,
    )


def parse_node(output: Sequence[str]) -> Node:
    """
    Return the node that ``node/node_state.sh`` described.

    Raises ``ValueError`` if the description is incomplete or malformed.
    """
    if "end of node state" not in output:
        raise ValueError(f"the node's answer is incomplete: it ends after {len(output)} lines")
    values: dict[str, str] = {}
    lists: dict[str, list[str]] = {key: [] for key in LISTS}
    for line in output:
        key, _, rest = line.partition(" ")
        if key in lists:
            lists[key].append(rest)
        else:
            values[key] = rest
    try:
        return _node(values, lists)
    except (LookupError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"the node's answer is malformed: {error}") from error


def _node(values: dict[str, str], lists: dict[str, list[str]]) -> Node:
    info = json.loads(values.get("info", "{}"))
    # `docker info` of 26 succeeds without a daemon, and has the error in its answer.
    error = values.get("docker_error") or "; ".join(info.get("ServerErrors") or ()) or None
    manifests = read_manifests(lists["manifest"])
    sound = intact(lists["release"], manifests, lists["member"])
    docker = DockerInfo.model_validate(info) if "info" in values and not error else None
    scripts = _scripts(lists)
    parts = {name: read(lists[name]) for name, read in members("state", "read").items()}
    ground = NodeFacts(
        runtimes=docker.runtimes if docker else {},
        wrappers=scripts["wrappers"],
        programs=programs(manifests, lists["member"]),
        sums=sums(manifests),
        takes_runc=any(part.takes_runc for part in parts.values()),
    )
    return Node(
        **_machine(values),
        docker_error=error,
        listener=Listener.of(values.get("peer"), lists["listens"]),
        info=docker,
        dockerd=_dockerd(values),
        supervisor=Supervisor.of(values["supervisor"]),
        next_arguments=next_arguments(
            **{key: _decoded(values[key]) for key in ("unit", "docker_opts") if key in values}
        ),
        daemon_json=_daemon_json(values),
        releases=sound,
        damaged=tuple(sorted(set(lists["release"]) - set(sound))),
        manifests=manifests,
        **scripts,
        writers=tuple(dict.fromkeys(lists["writer"])),
        containers=read_containers(lists["process"], lists["container"], ground),
        **_places(values, lists),
        reach=read_reach(lists["reach"]),
        units=read_units(lists["beside"]),
        **_looked_for(values),
        parts=parts,
        **_ours(values),
    )


def _looked_for(values: dict[str, str]) -> dict[str, Any]:
    answers = {"yes": True, "no": False}
    return {
        "docker_client": values.get("docker_client"),
        "runc_version": values.get("runc_version"),
        "linked_volume": values.get("linked_volume"),
        "store": read_store(values),
        "runsc_link": values.get("runsc_link"),
        "runsc_file": "runsc_file" in values,
        "textfile_dir": answers.get(values.get("textfile_dir", "")),
        "proof_image": answers.get(values.get("proof_image", "")),
        "python": Python.of(values.get("python", "")),
        "tools": tuple(values["tools"].split()) if "tools" in values else None,
    }


def _places(values: dict[str, str], lists: dict[str, list[str]]) -> dict[str, Any]:
    error = values.get("preview_error")
    return read_places(lists, lists["preview"], error)


def _scripts(lists: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "wrappers": {
            path: sum_ for sum_, path in (line.split(" ", 1) for line in lists["wrapper"])
        },
        "starts": dict(line.split(" ", 1) for line in lists["starts"]),
        "not_executable": tuple(lists["not_executable"]),
        "sealed": tuple(lists["sealed"]),
        "sandboxes": dict(line.split(" ", 1) for line in lists["default_sandbox"]),
        "foreign_runsc": tuple(lists["foreign_runsc"]),
        "foreign_shims": tuple(lists["foreign_shim"]),
        "gvisor_variables": tuple(lists["gvisor_variable"]),
    }


def _ours(values: dict[str, str]) -> dict[str, Any]:
    """Return what is in our own directory on the node."""
    state, unusable = read_records(
        {
            name: _decoded(text)
            for key, text in values.items()
            if (name := key.removeprefix("state.")) != key
        }
    )
    return {
        "state_dir": "state_dir" in values,
        "pending": "pending" in values,
        "unheard": "unheard" in values,
        "state": state,
        "unusable": unusable,
        "generations_owned": "generations_owned" in values,
        "changed": next(iter(parse_changes([values.get("changed", "")])), None),
    }


def _machine(values: dict[str, str]) -> dict[str, Any]:
    kernel, arch = values["uname"].rsplit(" ", 1)
    distribution, version, codename = (values.get("os") or "unknown unknown unknown").split(" ")
    limit = values.get("max_user_namespaces")
    return {
        "arch": {"amd64": "x86_64", "arm64": "aarch64"}.get(arch, arch),
        "kernel": kernel,
        "page_size_bytes": int(values["page_size"]),
        "cgroup_version": int(values["cgroup"]),
        "init": values.get("init", ""),
        "distribution": distribution,
        "distribution_version": version,
        "distribution_codename": codename,
        "max_user_namespaces": int(limit) if limit else None,
        "boot_id": values.get("boot_id", ""),
        "user": values.get("user", ""),
        "no_core_scheduling": values.get("no_core_scheduling"),
    }


def _dockerd(values: dict[str, str]) -> DockerdProcess | None:
    if "dockerd" not in values:
        return None
    pid, ticks, arguments = values["dockerd"].split(" ")
    now, uptime = values["clock"].split(" ")
    ticked_s = float(now) - float(uptime) + int(ticks) / CLOCK_TICKS_A_SECOND
    words = _decoded(arguments).rstrip("\0").split("\0")
    return DockerdProcess(
        pid=int(pid),
        identity=f"{values.get('boot_id', '')}/{pid}/{ticks}",
        # One of them is wrong if the clock was set since. With the earlier one no change is missed.
        started_s=min(ticked_s, float(values.get("pid_file_mtime", ticked_s))),
        arguments=tuple(words[1:]),
    )


def _decoded(text: str) -> str:
    return base64.b64decode(text, validate=True).decode(errors="replace")


def _daemon_json(values: dict[str, str]) -> DaemonJson:
    state, *rest = values["daemon_json"].split(" ")
    if state != "text":
        return DaemonJson.model_validate({"state": state})
    mode, owner, mtime, digest, content = rest
    changed_s = max(float(mtime), float(values.get("daemon_json_ctime", mtime)))
    known = {"sha256": digest, "mode": mode, "owner": owner, "changed_s": changed_s}
    try:
        text = base64.b64decode(content, validate=True).decode()
    except UnicodeDecodeError:
        return DaemonJson.model_validate({"state": "not utf-8", **known})
    return DaemonJson.model_validate({"state": "text", "text": text, **known})

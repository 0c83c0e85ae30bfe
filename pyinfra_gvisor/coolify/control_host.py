"""The actual state of Coolify's control host: the model, and its parser."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.node_files import FoundFile, read_files

STATE_SCRIPTS = ("coolify/container", "coolify/state")
END = "end of coolify state"
PROBED = "runscprobe"  # the runtime with which the patcher tests Coolify's function


class Worker(Reading):
    """A process of Horizon, Coolify's job runner; ``started_s`` is in seconds since 1970."""

    pid: int
    started_s: float
    command: str


class Function(Reading):
    """
    Coolify's function that converts Custom Docker Options to compose: ``coolify/patch.php state``.

    ``state``: ``native`` supports --runtime without us, ``patched`` has our lines, ``damaged`` must
    not be patched (``reason`` says why). ``block``: whether our lines are those of this version.
    ``probe`` is the function's output for a test runtime, in JSON. ``stale`` are workers that may
    have loaded the file before it was last written; ``asked_s`` is when Horizon was told to end for
    that reason, in seconds since 1970.
    """

    state: Literal["native", "patched", "unpatched", "damaged", "missing"]
    reason: str = ""
    name: str = ""
    block: Literal["none", "present", "other"] = "none"
    version: str = ""
    sha256: str = ""
    written_s: int = 0
    probe: str | None = None
    probe_error: str | None = None
    workers: tuple[Worker, ...] = ()
    stale: tuple[int, ...] = ()
    asked_s: float | None = None

    @property
    def honours(self) -> bool:
        """Return True if the test showed that the function passes a runtime on, as one string."""
        return self.answer == {"runtime": PROBED}

    @property
    def answer(self) -> object:
        """Return the function's output for the test runtime; None if it has none."""
        try:
            return json.loads(self.probe) if self.probe else None
        except ValueError:
            return None


class Mount(Reading):
    """A mount of a container."""

    source: str = Field("", alias="Source")
    target: str = Field("", alias="Destination")


class CoolifyContainer(Reading):
    """The container named ``coolify``."""

    image: str = Field("", alias="Image")
    running: bool = Field(False, alias="Running")
    started: str = Field("", alias="StartedAt")
    mounts: tuple[Mount, ...] = Field((), alias="Mounts")


class ComposeFile(Reading):
    """docker-compose.custom.yml on the host; ``text`` is None unless ``state`` is ``text``."""

    state: Literal["absent", "unreadable", "not utf-8", "text"] = "absent"
    text: str | None = None
    sha256: str = ""


class ControlHost(Reading):
    """
    A control host, read in one command. ``container`` is None if there is no Coolify.

    ``function`` is None if the container does not run or ``function_error`` says why it cannot be
    read. ``files`` are ours, by path. ``redeploys`` are the uuids of apps still to be redeployed.
    """

    init: str = ""
    docker: bool = False
    docker_error: str | None = None
    container: CoolifyContainer | None = None
    function: Function | None = None
    function_error: str | None = None
    compose: ComposeFile = ComposeFile()
    files: dict[str, FoundFile] = Field(default_factory=dict)
    source_dir: bool = False
    timer: str | None = None
    timer_enabled: bool = False
    redeploys: frozenset[str] = frozenset()


def parse_control_host(output: Sequence[str]) -> ControlHost:
    """
    Parse the output of the scripts ``STATE_SCRIPTS``.

    Raises ``ValueError`` if it is incomplete or malformed.
    """
    if not output or output[-1] != END:
        raise ValueError("the control host's answer is incomplete")
    lists: dict[str, list[str]] = {}
    for line in output[:-1]:
        key, _, value = line.partition(" ")
        lists.setdefault(key, []).append(value)
    values = {key: items[-1] for key, items in lists.items()}
    try:
        return ControlHost(
            init=values.get("init", ""),
            docker="docker" in values,
            docker_error=values.get("docker_error"),
            container=_container(values.get("container")),
            function=_function(lists.get("php", [])),
            function_error=values.get("php_error"),
            compose=_compose(values.get("compose", "absent")),
            files=read_files(lists.get("file", [])),
            source_dir="source_dir" in values,
            timer=values.get("timer"),
            timer_enabled="timer_enabled" in values,
            redeploys=frozenset(lists.get("redeploy", [])),
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"the control host's answer is malformed: {error}") from error


def _container(document: str | None) -> CoolifyContainer | None:
    return None if document is None else CoolifyContainer.model_validate_json(document)


def _compose(told: str) -> ComposeFile:
    state, _, content = told.partition(" ")
    if state != "text":
        return ComposeFile.model_validate({"state": state})
    sha256, _, encoded = content.partition(" ")
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except UnicodeDecodeError:
        return ComposeFile(state="not utf-8", sha256=sha256)
    return ComposeFile(state="text", text=text, sha256=sha256)


def _function(lines: Sequence[str]) -> Function | None:
    """Parse the output of ``coolify/patch.php state``; None if its last line ``end`` is missing."""
    if not lines or lines[-1] != "end":
        return None
    told: dict[str, str] = {}
    workers, stale = [], []
    for line in lines[:-1]:
        key, _, value = line.partition(" ")
        if key == "worker":
            pid, started_s, command = value.split(" ", 2)
            workers.append(Worker(pid=int(pid), started_s=float(started_s), command=command))
        elif key == "stale":
            stale.append(int(value))
        else:
            told[key] = value
    found = {**told, "state": told["function"], "workers": tuple(workers), "stale": tuple(stale)}
    return Function.model_validate(found)

"""
The only code that decides whether a container runs in gVisor.

A container is ``sandboxed`` only on evidence: the running dockerd gives its runtime to gVisor, and
its process runs a gVisor binary that this node knows. Otherwise the container is ``bare`` (it runs
directly on the host kernel) or ``unknown`` (it cannot be verified). ``unknown`` never counts as
sandboxed. ``verdict.pl`` decides the same on the node; tests check both with one table of cases.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.judge import rules

GVISOR_DIR = "/opt/gvisor"
RELEASES_DIR = f"{GVISOR_DIR}/releases"
RUNTIMES_DIR = f"{GVISOR_DIR}/runtimes"

SANDBOX = "runsc-sandbox"  # argv[0]: runsc/sandbox/sandbox.go
# The binaries of a release that a sandbox's process runs; gvisor_sentry since 2026.
PROGRAMS = ("runsc", "gvisor-bin/gvisor_sentry")
# A wrapper's name ends with the first 8 digits of its own sha256.
WRAPPER_PATH = re.compile(
    re.escape(RUNTIMES_DIR) + r"/[a-z0-9]+-(?P<release>[0-9]{8}\.[0-9]+)-(?P<sum>[0-9a-f]{8})"
)

_NO_SANDBOX = re.compile(r"(?:docker-)?runc|crun|youki|nvidia-container-runtime|sysbox-runc")
_RUNSC = re.compile(r"(?:.*/)?(?:runsc[^/]*|gvisor_sentry)", re.DOTALL)
# Files of a container are also reachable on the node, below Docker's directories.
_PROGRAM_DIRS = ("/usr/", "/opt/", "/bin/", "/sbin/")


class Verdict(Reading):
    """
    What a container runs on, and why; ``release`` is the runsc release of its sandbox.

    ``why`` is empty for a sandbox of a release that we installed. For one of an older set-up it
    names the binary.
    """

    state: Literal["sandboxed", "bare", "unknown"]
    why: str = ""
    release: str | None = None


class Process(Reading):
    """
    A container's process: the target of ``/proc/<pid>/exe``, and ``argv[0]``.

    ``file`` is the node's file with the same device and inode, empty if none is known. An image can
    have a file at any path. ``given``: a mount of the container contains this file. ``sha256`` is
    the binary's checksum where ``file`` alone does not decide, otherwise empty.
    """

    executable: str = ""
    argv0: str = ""
    file: str = ""
    given: bool = False
    sha256: str = ""


class RuntimeEntry(Reading):
    """
    A runtime that the running dockerd has registered: a program with arguments, or a shim.

    ``shim`` is the type of a shim of containerd, and ``options`` are those of this shim.
    """

    path: str | None = None
    arguments: tuple[str, ...] | None = Field(None, alias="runtimeArgs")
    shim: str | None = Field(None, alias="runtimeType")
    options: dict[str, Any] | None = None


class NodeFacts(Reading):
    """
    Facts about a node that verdicts depend on.

    + runtimes: runtimes registered in the running dockerd, by name
    + wrappers: sha256 of each file in ``RUNTIMES_DIR``, by path
    + programs: release of each binary that matches its release's manifest, by path
    + sums: release of each binary that a manifest names, by sha256
    + takes_runc: a program of ours has the place of runc, so runc may be gVisor
    """

    runtimes: dict[str, RuntimeEntry] = Field(default_factory=dict)
    wrappers: dict[str, str] = Field(default_factory=dict)
    programs: dict[str, str] = Field(default_factory=dict)
    sums: dict[str, str] = Field(default_factory=dict)
    takes_runc: bool = False


def judge(asked: str, process: Process, ground: NodeFacts) -> Verdict:
    """
    Return the verdict on a container.

    + asked: name of the runtime that the container was created with
    + process: the container's main process
    + ground: facts about the node
    """
    handler, against = _handled(asked, ground)
    if against and against.state == "bare":
        return against
    if not process.executable:
        return _unknown("its process has ended")
    if process.argv0 != SANDBOX:
        return _bare("its process is not a gVisor sandbox")
    if against:
        return against
    return _of_ours(process, ground) if handler == "ours" else _of_an_older_set_up(process)


def asks_for_runc(asked: str, entry: RuntimeEntry | None) -> bool:
    """
    Return True if containerd finds the program of a runtime by the name of runc.

    + asked: the runtime's name
    + entry: what dockerd has registered by this name; None for nothing
    """
    if entry is None:
        return rules.asks_for_runc(asked, None)
    told = {"path": entry.path, "runtimeType": entry.shim, "options": entry.options}
    return rules.asks_for_runc(asked, told)


def release_of(path: str) -> str | None:
    """Return the release of the wrapper at ``path``; None if no wrapper of ours has such a path."""
    found = WRAPPER_PATH.fullmatch(path)
    return found["release"] if found else None


def is_as_written(path: str, sha256: str) -> bool:
    """Return True if the wrapper's checksum is the one in its name."""
    found = WRAPPER_PATH.fullmatch(path)
    return bool(found and sha256.startswith(found["sum"]))


def _handled(asked: str, ground: NodeFacts) -> tuple[Literal["ours", "older"], Verdict | None]:
    """
    Return whose runsc handles a runtime, and a verdict if that already excludes gVisor.

    The verdict is None if gVisor handles the runtime.
    """
    entry = ground.runtimes.get(asked)
    if ground.takes_runc and asks_for_runc(asked, entry):
        return "ours", None
    if entry is None:
        if asked == "runc":  # Docker 20.10 no longer lists runc after a reload
            return "older", _bare("runc is not gVisor")
        if re.search(r"[./]", asked):  # moby: IsPermissibleC8dRuntimeName
            return "older", _by_a_shim(asked, entry)
        return "older", _unknown("its runtime is not registered in dockerd")
    path = entry.path or ""
    name = path.rsplit("/", 1)[-1]
    if not path:
        return "older", _by_a_shim(asked, entry)
    if path.startswith(RUNTIMES_DIR + "/"):
        if is_as_written(path, ground.wrappers.get(path, "")):
            return "ours", None
        return "ours", _unknown(f"{path} is not as pyinfra-gvisor wrote it")
    if path in ground.programs:
        return "ours", None
    if name.startswith("runsc"):
        return "older", None
    if _NO_SANDBOX.match(name):
        return "older", _bare(f"{name} is not gVisor")
    return "older", _unknown(f"unknown program {name} handles its runtime")


def _by_a_shim(asked: str, entry: RuntimeEntry | None) -> Verdict:
    told = _bare if asks_for_runc(asked, entry) else _unknown
    return told("a containerd shim handles its runtime")


def _of_ours(process: Process, ground: NodeFacts) -> Verdict:
    file = process.file
    if file in ground.programs and not process.given:
        return Verdict(state="sandboxed", release=ground.programs[file])
    if process.sha256 in ground.sums:
        return Verdict(state="sandboxed", release=ground.sums[process.sha256])
    if file.startswith(RELEASES_DIR + "/"):
        if process.given:
            return _unknown("one of its mounts contains its binary")
        return _unknown(f"{file} is not as pyinfra-gvisor installed it")
    return _of_an_older_set_up(process)  # started before we took over the runtime


def _of_an_older_set_up(process: Process) -> Verdict:
    file = process.file
    if not file:
        if process.executable.endswith(" (deleted)"):
            return _unknown("its binary was replaced on the node")
        return _unknown("its binary is on another file system")
    if not _RUNSC.fullmatch(file):
        return _bare("its binary is not runsc")
    if process.given:
        return _unknown("one of its mounts contains its binary")
    if not file.startswith(_PROGRAM_DIRS):
        return _unknown("its binary is outside /usr, /opt, /bin and /sbin")
    return Verdict(state="sandboxed", why=f"an older set-up: it runs from {file}")


def _bare(why: str) -> Verdict:
    return Verdict(state="bare", why=why)


def _unknown(why: str) -> Verdict:
    return Verdict(state="unknown", why=why)

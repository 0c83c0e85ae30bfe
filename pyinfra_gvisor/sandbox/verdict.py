"""
The one place that says whether a container is in a sandbox.

Only evidence makes a sandbox: what handles the container's runtime has to be gVisor's, by the live
daemon's own account, and its process has to run a program that is known on this node. What is
missing or contradicts that is ``bare``, on the node's kernel, or ``unknown``; neither is ever taken
for a sandbox. ``verdict.pl`` says the same on the node; tests hold both to one table.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from pyinfra_gvisor.models import Reading

GVISOR_DIR = "/opt/gvisor"
RELEASES_DIR = f"{GVISOR_DIR}/releases"
RUNTIMES_DIR = f"{GVISOR_DIR}/runtimes"

SANDBOX = "runsc-sandbox"  # argv[0]: runsc/sandbox/sandbox.go
# Of a release, those that a sandbox's process runs: the latter since 2026.
PROGRAMS = ("runsc", "gvisor-bin/gvisor_sentry")
# Its name ends in the beginning of its own checksum.
WRAPPER_PATH = re.compile(
    re.escape(RUNTIMES_DIR) + r"/[a-z0-9]+-(?P<release>[0-9]{8}\.[0-9]+)-(?P<sum>[0-9a-f]{8})"
)

_RUNC_SHIM = re.compile(r"(?:^|[./-])runc[.-]v[0-9]+$|^io\.containerd\.runtime\.v1\.linux$")
_NO_SANDBOX = re.compile(r"(?:docker-)?runc|crun|youki|nvidia-container-runtime|sysbox-runc")
_RUNSC = re.compile(r"(?:.*/)?(?:runsc[^/]*|gvisor_sentry)", re.DOTALL)
# A container's own file system can be reached on the node too, below Docker's directories.
_PROGRAM_DIRS = ("/usr/", "/opt/", "/bin/", "/sbin/")


class Verdict(Reading):
    """
    What a container is, and why; ``release`` is what its sandbox runs from.

    ``sandboxed`` without a reason is a sandbox of ours, with one it is one of an older set-up.
    """

    state: Literal["sandboxed", "bare", "unknown"]
    why: str = ""
    release: str | None = None


class Process(Reading):
    """
    A container's process: what ``/proc/<pid>/exe`` points at, and what it calls itself.

    ``file`` is the node's file of the same device and inode, empty if none is known; an image may
    have any path. ``sha256`` is of its program, where the file alone does not tell.
    """

    executable: str = ""
    argv0: str = ""
    file: str = ""
    given: bool = False
    sha256: str = ""


class RuntimeEntry(Reading):
    """A runtime that the live daemon knows."""

    path: str | None = None
    arguments: tuple[str, ...] | None = Field(None, alias="runtimeArgs")


class Ground(Reading):
    """
    What of a node the verdict rests on.

    + runtimes: what the live daemon has registered, by name
    + wrappers: the sha256 of each file in ``RUNTIMES_DIR``, by path
    + programs: the release of each program that is as its release's manifest says, by path
    + sums: the release of each program that a manifest knows, by sha256
    """

    runtimes: dict[str, RuntimeEntry] = Field(default_factory=dict)
    wrappers: dict[str, str] = Field(default_factory=dict)
    programs: dict[str, str] = Field(default_factory=dict)
    sums: dict[str, str] = Field(default_factory=dict)


def judge(asked: str, process: Process, ground: Ground) -> Verdict:
    """
    What a container is.

    + asked: the runtime that it asked for
    """
    handler, against = _handled(asked, ground)
    if against and against.state == "bare":
        return against
    if not process.executable:
        return _unknown("its process is gone")
    if process.argv0 != SANDBOX:
        return _bare("its process is no sandbox")
    if against:
        return against
    return _of_ours(process, ground) if handler == "ours" else _of_an_older_set_up(process)


def release_of(path: str) -> str | None:
    """The release of the wrapper at ``path``, or None if it is no wrapper of ours."""
    found = WRAPPER_PATH.fullmatch(path)
    return found["release"] if found else None


def is_as_written(path: str, sha256: str) -> bool:
    """Whether a wrapper has the text that its name was made from."""
    found = WRAPPER_PATH.fullmatch(path)
    return bool(found and sha256.startswith(found["sum"]))


def _handled(asked: str, ground: Ground) -> tuple[Literal["ours", "older"], Verdict | None]:
    """Whose runsc handles a runtime, and what speaks against that; None if it is gVisor's."""
    entry = ground.runtimes.get(asked)
    if entry is None:
        if asked == "runc":  # Docker 20.10 forgets it at a reload
            return "older", _bare("runc is no sandbox")
        if re.search(r"[./]", asked):  # moby: IsPermissibleC8dRuntimeName
            told = _bare if _RUNC_SHIM.search(asked) else _unknown
            return "older", told("a shim of containerd's handles it")
        return "older", _unknown("dockerd does not know its runtime")
    path = entry.path or ""
    name = path.rsplit("/", 1)[-1]
    if not path:
        return "older", _unknown("a shim of containerd's handles it")
    if path.startswith(RUNTIMES_DIR + "/"):
        if is_as_written(path, ground.wrappers.get(path, "")):
            return "ours", None
        return "ours", _unknown(f"{path} is not as it was written")
    if path in ground.programs:
        return "ours", None
    if name.startswith("runsc"):
        return "older", None
    if _NO_SANDBOX.match(name):
        return "older", _bare(f"{name} is no sandbox")
    return "older", _unknown(f"{name} handles it, of which nothing is known")


def _of_ours(process: Process, ground: Ground) -> Verdict:
    file = process.file
    if file in ground.programs and not process.given:
        return Verdict(state="sandboxed", release=ground.programs[file])
    if process.sha256 in ground.sums:
        return Verdict(state="sandboxed", release=ground.sums[process.sha256])
    if file.startswith(RELEASES_DIR + "/"):
        if process.given:
            return _unknown("it is given the program that it runs")
        return _unknown(f"{file} is not as it was installed")
    return _of_an_older_set_up(process)  # started before the runtime became ours


def _of_an_older_set_up(process: Process) -> Verdict:
    file = process.file
    if not file:
        if process.executable.endswith(" (deleted)"):
            return _unknown("its program was replaced on the node")
        return _unknown("its program is of another file system")
    if not _RUNSC.fullmatch(file):
        return _bare("its program is no runsc")
    if process.given:
        return _unknown("it is given the program that it runs")
    if not file.startswith(_PROGRAM_DIRS):
        return _unknown("its program lies where a container's own may lie")
    return Verdict(state="sandboxed", why=f"an older set-up: it runs from {file}")


def _bare(why: str) -> Verdict:
    return Verdict(state="bare", why=why)


def _unknown(why: str) -> Verdict:
    return Verdict(state="unknown", why=why)

"""
What a container may do beyond the policy.

A proof writes permits for its containers, which end with it. An operator's permit is for one
request, and then for the container that this request made.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyinfra_gvisor.judge.docker_files import Undecided, read_object, read_text
from pyinfra_gvisor.judge.own_files import is_own, write_over

if TYPE_CHECKING:
    from pyinfra_gvisor.judge.docker_request import Request

DOOR = "door"
OPEN, TAKEN, OF_CONTAINER = "open", "taken", "container"
"""
How the names of the files of operators' permits end, in turn. They begin with ``permit-`` and a
checksum of the secret, in the end with the id of the container. They are in the directory of ours
itself: this one is never empty, and dockerd copies files of an image only into an empty one.
"""

HEADER = "X-Pyinfra-Gvisor-Permit"  # as Go spells it
_SECRET = 32  # characters at least
_FILE = stat.S_IFREG | 0o600
_DIRECTORY = stat.S_IFDIR | 0o700


def permitted(identity: str, run: str) -> str:
    """
    Return ``runc``, ``unsealed`` or an empty text.

    + run: the directory of ours that is empty after every boot

    dockerd can make files there for others, by the mounts of a container that is then refused.
    Raises ``Undecided`` for a file that no running proof wrote.
    """
    path = f"{run}/permits/{identity}"
    if not re.fullmatch("[0-9a-f]+", identity) or not os.path.lexists(path):
        return ""
    is_ours = _proof_runs(run) and is_own(path, _FILE)
    if not is_ours or not all(is_own(item, _DIRECTORY) for item in (run, f"{run}/permits")):
        raise Undecided(f"{path} was not written by pyinfra-gvisor, find out who did")
    found = re.fullmatch("(runc|unsealed)\n?", read_text(path))
    if not found:
        raise Undecided(f"{path} is damaged")
    return found[1]


def door_permit(given: str, run: str) -> bool:
    """
    Return True if a request has the secret of the proof that runs.

    + given: what the request has in its header; empty if nothing
    """
    path = f"{run}/permits/{DOOR}"
    if not given or not is_own(path, _FILE) or not _proof_runs(run):
        return False
    if not all(is_own(item, _DIRECTORY) for item in (run, f"{run}/permits")):
        return False
    from hmac import compare_digest  # noqa: PLC0415 - slow to load, and only a proof needs it

    secret = read_text(path).strip()
    return len(secret) >= _SECRET and compare_digest(secret.encode(), given.encode())


def _proof_runs(run: str) -> bool:
    """Return True if a proof has the lock: it alone has it, others share it."""
    try:
        lock = os.open(f"{run}/probe.lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
    return False


def open_permit(secret: str, about: Mapping[str, Any], valid_s: int, run: str) -> Path:
    """
    Give a permit of one use to whoever sends a secret, and return its file.

    + about: what others are told about it
    """
    path = _path(secret, OPEN, run)
    write_over(str(path), json.dumps({"until": int(_since_boot_s()) + valid_s, "about": {**about}}))
    return path


def take_permit(secret: str, request: Request, kind: str, run: str) -> str:
    """
    Take the permit of a request. Return why there is none; empty if the request has it now.

    The same request has it again as long as it has made no container: docker run asks a second time
    after it has pulled the image. So have all requests about a swarm or plugins.

    + kind: what a container gets that the request makes: ``runc`` or ``unsealed``
    """
    path, taken = (_path(secret, state, run) for state in (OPEN, TAKEN))
    mine = path.with_suffix(f".{os.getpid()}")
    try:
        path.rename(mine)  # only one request can do this
    except FileNotFoundError:
        found = _read(taken, run) if taken.exists() else {}
        if found is not None:
            used = "it was already used, or is unknown"
            return "" if found.get("for") == _subject(request) else used
    else:
        if found := _read(mine, run):
            write_over(str(taken), json.dumps({**found, "for": _subject(request), "kind": kind}))
        mine.unlink()
    return "" if found else "it has expired"


def bind_permit(secret: str, request: Request, container: str, run: str) -> None:
    """Give the permit that a request has taken to the container that it made."""
    taken = _path(secret, TAKEN, run)
    found = _read(taken, run) if taken.exists() else None
    is_its = found is not None and found["for"] == _subject(request)
    if is_its and re.fullmatch("[0-9a-f]{64}", container):
        taken.rename(_path_of(container, run))


def container_permit(identity: str, run: str) -> str:
    """
    Return ``runc``, ``unsealed`` or an empty text, by an operator's permit.

    Raises ``Undecided`` for a file that is not ours.
    """
    found = _read(_path_of(identity, run), run) if has_container_permit(identity, run) else None
    return found["kind"] if found else ""


def has_container_permit(identity: str, run: str) -> bool:
    """Return True if there is a file of a permit, whoever made it."""
    return bool(re.fullmatch("[0-9a-f]+", identity)) and os.path.lexists(_path_of(identity, run))


def _path_of(identity: str, run: str) -> Path:
    return Path(run, f"permit-{identity}.{OF_CONTAINER}")


def _subject(request: Request) -> str:
    """Return what a permit is for that a request takes."""
    area = request.path.split("/")[1]
    if area in ("swarm", "plugins"):  # docker makes several requests of one command
        return area
    return _checksum(request.whole)


def _path(secret: str, state: str, run: str) -> Path:
    return Path(run, f"permit-{_checksum(secret.encode())}.{state}")


def _checksum(data: bytes) -> str:
    from hashlib import sha256  # noqa: PLC0415 - slow to load, and only a permit needs it

    return sha256(data).hexdigest()


def _read(path: Path, run: str) -> dict[str, Any] | None:
    """Return a permit; None if it has expired. Raises ``Undecided`` if it is not ours."""
    if not is_own(str(path), _FILE) or not is_own(run, _DIRECTORY):
        raise Undecided(f"{path} was not written by pyinfra-gvisor, find out who did")
    found = read_object(str(path))
    return found if _since_boot_s() < found["until"] else None


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)

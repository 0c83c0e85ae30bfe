"""What a container of ours may do beyond the policy: a proof writes permits for its containers."""

from __future__ import annotations

import fcntl
import os
import re
import stat

from pyinfra_gvisor.judge.docker_files import Undecided, read_text
from pyinfra_gvisor.judge.own_files import is_own

DOOR = "door"
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

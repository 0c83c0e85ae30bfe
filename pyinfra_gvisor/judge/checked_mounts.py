"""
Check, when a container starts, that what was mounted is what was judged.

runsc mounts after the judge has looked. A container that may write to an allowed directory could
replace a file there with a symbolic link meanwhile.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.docker_files import Undecided, read_object, read_text
from pyinfra_gvisor.judge.own_files import collect, write_over
from pyinfra_gvisor.judge.places import unescaped

_DELETED = " (deleted)"  # the kernel says so of a link in /proc
_DELETED_MOUNT = "//deleted"  # and so of a mount: proc_pid_mountinfo(5)


def remember_mounts(identity: str, addresses: Sequence[str], root: str, run: str) -> None:
    """
    Note what must be mounted when a container starts.

    + addresses: device and path in its file system, of each mount
    + root: Docker's data root
    """
    directory = Path(run, "mounts")
    noted = directory / identity
    noted.unlink(missing_ok=True)
    if not addresses:
        return
    for path in (directory.parent, directory):
        path.mkdir(mode=0o700, exist_ok=True)
    collect(str(directory), root)
    write_over(str(noted), "".join(f"{_escaped(item)}\n" for item in addresses))


def check_mounts(identity: str, state: str, paths: NodePaths) -> None:
    """
    Raise ``Undecided`` if a mount is not the one that was judged.

    + state: the directory in which runsc keeps its state
    """
    noted = Path(paths.run, "mounts", identity)
    lines = read_text(str(noted)).split("\n")
    addresses = [unescaped(line).removesuffix(_DELETED) for line in lines if line]
    process = read_object(f"{state}/{identity}_sandbox:{identity}.state").get("goferPid")
    if not process:
        raise Undecided("runsc does not say which process mounts files")
    table = read_text(f"{paths.processes}/{process}/mountinfo")
    mounted = Counter(_address(line) for line in table.split("\n") if line)
    missing = [*(Counter(addresses) - mounted)]
    if missing:
        names = (item.partition(" ")[2] for item in missing)
        what = (f"the file or directory {name} was replaced during the start" for name in names)
        raise Undecided("; ".join(what))
    noted.unlink()


def _address(line: str) -> str:
    device, inner = line.split(" ")[2:4]
    return f"{device} {unescaped(inner).removesuffix(_DELETED_MOUNT)}"


def _escaped(text: str) -> str:
    return re.sub(r"[\\\n]", lambda found: f"\\{ord(found[0]):03o}", text)

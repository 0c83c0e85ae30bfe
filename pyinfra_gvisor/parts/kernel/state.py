"""Parse a node's kernel modules and sysctls, and our files about them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress

from pydantic import Field

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.node_files import FoundFile
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE, kept_out_by, set_by
from pyinfra_gvisor.parts.kernel.names import sysctl_key
from pyinfra_gvisor.parts_common.state import PartState

UFW, UFW_SYSCTL = "/etc/ufw/ufw.conf", "/etc/ufw/sysctl.conf"
# Files are read in the order of their names, in any directory. These are read after all others:
# sysctl(8), ufw(8).
_LAST = ("/etc/sysctl.conf", UFW_SYSCTL)


class Elsewhere(Reading):
    """A sysctl's value in another file that is read after ours."""

    path: str
    value: str


class KernelSurface(PartState):
    """
    A node's loaded modules, its sysctls, and our files.

    ``values`` has the default sysctls of this package and those of our file; a sysctl that the
    kernel lacks is missing. ``loaded`` is the use count of each loaded module, None for a kernel
    that cannot load any. ``builtin`` are modules of our file that are built into the kernel.
    ``before`` are values before this package, ``written`` the values that it set.
    """

    files: dict[str, FoundFile] = Field(default_factory=dict)
    texts: dict[str, str] = Field(default_factory=dict)
    values: dict[str, str] = Field(default_factory=dict)
    loaded: dict[str, int] | None = Field(default_factory=dict)
    builtin: tuple[str, ...] = ()
    before: dict[str, str] = Field(default_factory=dict)
    written: dict[str, str] = Field(default_factory=dict)
    kept: bool = False
    elsewhere: dict[str, Elsewhere] = Field(default_factory=dict)

    @property
    def there(self) -> bool:
        """Return True if anything of this part is on the node."""
        return bool(self.files) or self.kept

    @property
    def kept_out(self) -> tuple[str, ...]:
        """Return the modules that our file on the node blocks."""
        return kept_out_by(self.texts.get(MODULES_FILE, ""))

    @property
    def declared(self) -> dict[str, str]:
        """Return the sysctls that our file on the node sets."""
        return set_by(self.texts.get(SYSCTL_FILE, ""))


def read(lines: Sequence[str]) -> KernelSurface:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    told: dict[str, list[str]] = {}
    for line in lines:
        kind, _, value = line.partition(" ")
        told.setdefault(kind, []).append(value)
    texts = dict(map(_text, told.get("text", ())))
    return KernelSurface(
        files=_files(texts, told.get("stat", ())),
        texts=texts,
        values=_pairs(told.get("value", ()), ":"),
        loaded=None if "modules" in told else dict(map(_module, told.get("module", ()))),
        builtin=tuple(sorted(told.get("builtin", ()))),
        before=_pairs(told.get("before", ())),
        written=_pairs(told.get("written", ())),
        kept="kept" in told,
        elsewhere=_elsewhere(told.get("later", ())),
    )


def _text(line: str) -> tuple[str, str]:
    path, text = line.split(" ")
    return path, base64.b64decode(text, validate=True).decode(errors="replace")


def _files(texts: dict[str, str], stats: Iterable[str]) -> dict[str, FoundFile]:
    found = {}
    for line in stats:
        stat, path = line.split(" ", 1)
        mode, _, owner = stat.partition(":")
        digest = hashlib.sha256(texts[path].encode()).hexdigest()
        found[path] = FoundFile(sha256=digest, mode=mode, owner=owner)
    return found


def _module(line: str) -> tuple[str, int]:
    """Parse a name and a use count, ``-`` if the kernel cannot unload modules: proc_modules(5)."""
    name, users = line.split(" ")
    return name, int(users) if users != "-" else 0


def _pairs(lines: Iterable[str], between: str = " ") -> dict[str, str]:
    """Parse values by key. Skip lines without a key: somebody has edited our file."""
    found = {}
    for line in lines:
        key, _, value = line.partition(between)
        with suppress(Problem):
            found[sysctl_key(key)] = " ".join(value.split())
    return found


def _elsewhere(lines: Iterable[str]) -> dict[str, Elsewhere]:
    """Return by key the last value among the files that are read after ours."""
    texts: dict[str, list[str]] = {}
    for line in lines:
        path, _, text = line.partition(":")
        texts.setdefault(path, []).append(text)
    if not any(text.replace(" ", "").lower() == "enabled=yes" for text in texts.pop(UFW, ())):
        texts.pop(UFW_SYSCTL, None)
    ours = SYSCTL_FILE.rpartition("/")[2]
    later = [path for path in texts if path in _LAST or path.rpartition("/")[2] > ours]
    return {
        key: Elsewhere(path=path, value=value)
        for path in sorted(later, key=_order)
        for key, value in set_by("\n".join(texts[path])).items()
    }


def _order(path: str) -> tuple[int, str]:
    return (_LAST.index(path) + 1, "") if path in _LAST else (0, path.rpartition("/")[2])

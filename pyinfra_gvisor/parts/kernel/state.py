"""What a node tells of its kernel's modules and settings, and of our files about them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress

from pydantic import Field

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.models import Reading
from pyinfra_gvisor.node_files import FoundFile
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE, kept_out_by, set_by
from pyinfra_gvisor.parts.kernel.names import sysctl_key
from pyinfra_gvisor.parts.state import PartState

UFW, UFW_SYSCTL = "/etc/ufw/ufw.conf", "/etc/ufw/sysctl.conf"
# Files come by name, whatever their directory; these come behind all of them: sysctl(8), ufw(8).
_LAST = ("/etc/sysctl.conf", UFW_SYSCTL)


class Elsewhere(Reading):
    """What another file sets that is read behind ours."""

    path: str
    value: str


class KernelSurface(PartState):
    """
    Modules that are loaded, settings as they are, and our files.

    ``values`` has the settings that this package sets unasked, and those of our file; a key that
    the kernel lacks is missing. ``loaded`` is how often a module is used, None for a kernel that
    loads none. ``builtin`` are modules of our file that are part of the kernel. ``before`` is what
    settings were before us, ``written`` what we set them to.
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
        """Whether any of it is there."""
        return bool(self.files) or self.kept

    @property
    def kept_out(self) -> tuple[str, ...]:
        """The modules that our file on the node keeps out."""
        return kept_out_by(self.texts.get(MODULES_FILE, ""))

    @property
    def declared(self) -> dict[str, str]:
        """What our file on the node sets."""
        return set_by(self.texts.get(SYSCTL_FILE, ""))


def read(lines: Sequence[str]) -> KernelSurface:
    """
    What ``state.sh`` tells.

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
    """The use count is ``-`` where the kernel does not unload modules: proc_modules(5)."""
    name, users = line.split(" ")
    return name, int(users) if users != "-" else 0


def _pairs(lines: Iterable[str], between: str = " ") -> dict[str, str]:
    """Values by key; what is no key was written into a file of ours by somebody."""
    found = {}
    for line in lines:
        key, _, value = line.partition(between)
        with suppress(Problem):
            found[sysctl_key(key)] = " ".join(value.split())
    return found


def _elsewhere(lines: Iterable[str]) -> dict[str, Elsewhere]:
    """The last file that sets a key, among those that are read behind ours."""
    texts: dict[str, list[str]] = {}
    for line in lines:
        path, _, text = line.partition(":")
        texts.setdefault(path, []).append(text)
    if not any(text.replace(" ", "").lower() == "enabled=yes" for text in texts.pop(UFW, ())):
        texts.pop(UFW_SYSCTL, None)
    ours = SYSCTL_FILE.rpartition("/")[2]
    behind = [path for path in texts if path in _LAST or path.rpartition("/")[2] > ours]
    return {
        key: Elsewhere(path=path, value=value)
        for path in sorted(behind, key=_order)
        for key, value in set_by("\n".join(texts[path])).items()
    }


def _order(path: str) -> tuple[int, str]:
    return (_LAST.index(path) + 1, "") if path in _LAST else (0, path.rpartition("/")[2])

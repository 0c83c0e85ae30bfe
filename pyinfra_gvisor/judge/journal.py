"""
Options of the log driver ``journald`` with which lines of a container pass for those of the node.

Source: moby, daemon/logger/journald/journald.go, which sets SYSLOG_IDENTIFIER to the tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pyinfra_gvisor.judge.container import Container

UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
# Fields by which journalctl and others know who wrote a line: systemd.journal-fields(7).
_FIELDS = re.compile(
    r"SYSLOG_|OBJECT_|COREDUMP_|CONTAINER_|CODE_|MESSAGE|PRIORITY|IMAGE_NAME|UNIT$|USER_UNIT$"
)
_TEMPLATE = re.compile(r"\{\{\s*\.(\w+)\s*\}\}", re.ASCII)
_PROGRAM = re.compile(r"[\s(]*([^\s\[\]():/]*)")  # what rsyslog takes for a program's name
_OURS = re.compile("pyinfra-gvisor|systemd|sshd|dockerd|containerd")  # with parts: sshd-session
_SYSTEMS = re.compile("kernel|auditd?|sudo|su|crond?|login")  # an app may be called supabase
_IDENTIFIER = re.compile(r"^\s*SyslogIdentifier\s*=\s*(\S+)", re.MULTILINE)
_STARTS = re.compile(r"^\s*ExecStart\s*=\s*[-@:+!|]*(?:\S*/)?(\S+)", re.MULTILINE)


def forges(container: Container, option: str, value: str, units: tuple[str, ...] = UNITS) -> bool:
    """Return True if an option of the driver makes lines that pass for those of the node."""
    if option == "tag":
        name = _rendered(container, value)
        return name is None or _is_the_nodes(name, units)
    if option in ("labels-regex", "env-regex"):
        return value != ""
    return option in ("labels", "env") and any(
        _FIELDS.match(_field(item)) for item in value.split(",")
    )


def _field(name: str) -> str:
    """Return what the driver makes of a name: sanitizeKeyMod, which knows ASCII only."""
    return re.sub("[^A-Za-z0-9]", "_", name).upper().lstrip("_")


def _rendered(container: Container, tag: str) -> str | None:
    """Return the tag of a container; None if the template is of a kind that is not known."""
    image = container.image_id.removeprefix("sha256:")
    values = {
        "ID": container.id[:12],
        "FullID": container.id,
        "Name": container.name,
        "DaemonName": "docker",
        "ImageName": container.config.get("Image") or "",
        "ImageID": image[:12],
        "ImageFullID": image,
    }
    text = _TEMPLATE.sub(lambda found: values.get(found[1], "{{"), tag)
    return None if "{{" in text else text


def _is_the_nodes(name: str, units: tuple[str, ...]) -> bool:
    """Return True if lines of this name are taken for those of the system or of a unit."""
    word = (_PROGRAM.match(name.lower()) or [""])[1]
    if word in ("", "docker"):  # units call dockerd "dockerd"
        return False
    if _OURS.match(word) or _SYSTEMS.fullmatch(word):
        return True
    paths = (path for directory in units for path in Path(directory).glob("*.service"))
    return any(word == found.lower() for path in paths for found in _programs(path))


def _programs(unit: Path) -> Iterator[str]:
    """Return the names in the journal of what a unit starts."""
    yield unit.name.removesuffix(".service").removesuffix("@")
    try:
        text = unit.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    yield from _IDENTIFIER.findall(text)[:1]
    yield from _STARTS.findall(text)

"""
What dockerd needs to apply a change of each daemon.json key, and which dockerd knows the key.

RELOAD: SIGHUP applies the change ("Configuration reload behavior" in dockerd's reference, and
moby's ``daemon/reload.go``; every row tried on Docker 26.1.5). RESTART: dockerd ignores the change
silently on SIGHUP. A key in no table counts as RESTART. Members of ``features`` differ.
"""

from __future__ import annotations

import re

from pyinfra_gvisor.base.json_text import Json, Path
from pyinfra_gvisor.daemon_json.key_table import FEATURES_AT_START, KEYS, Force, Key, Version

__all__ = [
    "FLAG_NAMES",
    "KEYS",
    "NEUTRAL",
    "RECREATE",
    "RELOADABLE",
    "Force",
    "Key",
    "Version",
    "as_rows",
    "force_of",
    "neutral_values",
    "only_new_containers",
    "version_of",
]

RELOADABLE = frozenset(name for name, key in KEYS.items() if key.force is Force.RELOAD)

# "Default options, only for new containers": https://docs.docker.com/engine/logging/configure/
RECREATE = frozenset(name for name, key in KEYS.items() if key.recreate)

# If these are left out, a reload keeps the old value live (tried on 26.1.5). Writing the neutral
# value first avoids that. ``neutral_values`` has the values for later versions.
NEUTRAL: dict[str, Json] = {
    name: key.neutral for name, key in KEYS.items() if key.neutral is not None
}

# Keys whose flag has another name:
# https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
FLAG_NAMES = {name: key.flag for name, key in KEYS.items() if key.flag}

_NEEDS = {Force.RELOAD: "reload", Force.RESTART: "restart"}


def force_of(path: Path) -> Force:
    """Return what dockerd needs to apply a change of the value at ``path``."""
    if path[0] == "features" and len(path) > 1 and path[1] in FEATURES_AT_START:
        return Force.RESTART
    return Force.RELOAD if path[0] in RELOADABLE else Force.RESTART


def neutral_values(version: Version | None) -> dict[str, Json]:
    """
    Return the values, by key, that have the same effect as leaving the key out.

    + version: the version of the running dockerd; None (unknown) counts as an old version
    """
    later = {
        name: key.neutral_from[1]
        for name, key in KEYS.items()
        if key.neutral_from and version is not None and version >= key.neutral_from[0]
    }
    return {**NEUTRAL, **later}


def only_new_containers(path: Path) -> bool:
    """Return True if existing containers keep the old value until they are recreated."""
    return path[0] in RECREATE


def version_of(text: str) -> Version | None:
    """Return dockerd's major and minor version; None for ``dev``, or an untagged 0.0."""
    found = re.match(r"v?([1-9]\d{0,3})\.(\d{1,4})(?!\d)", text, re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def as_rows() -> list[tuple[str, str, bool, str, str]]:
    """
    Return the table for the docs, one row a key.

    A row has the key, what a change needs (``reload`` or ``restart``), whether only new containers
    get the value, the versions of dockerd that know the key (empty: all), and moby's source file.
    """
    members = {f"features/{name}": key for name, key in FEATURES_AT_START.items()}
    return [
        (name, _NEEDS[key.force], key.recreate, _versions(key), key.source)
        for name, key in sorted({**KEYS, **members}.items())
    ]


def _versions(key: Key) -> str:
    since = f"from {_dotted(key.since)}" if key.since else ""
    until = f"before {_dotted(key.until)}" if key.until else ""
    return " ".join(filter(None, (since, until)))


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))

"""Refuse a daemon.json that dockerd would not read, or would read differently than intended."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path, place
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.base.spelling import did_you_mean, near
from pyinfra_gvisor.daemon_json.key_table import WITHOUT_EFFECT
from pyinfra_gvisor.daemon_json.keys import KEYS, Version, version_of
from pyinfra_gvisor.daemon_json.kinds import check, unknown_fields
from pyinfra_gvisor.node import DAEMON_JSON, Node

# The newest dockerd whose keys are in our table; for later ones only `dockerd --validate` decides.
# Minor versions also add keys: 29.8 has three that 29.7 refuses.
LAST_KNOWN: Version = (29, 8)
NO_PATH = re.compile("[\\0\ud800-\udfff]")  # NUL, or half of a surrogate pair
FEW = 12  # up to so many names a message lists all of them


def other_file(node: Node, _value: Mapping[str, Json], owned: Mapping[Path, Json]) -> None:
    """Refuse to write a file that dockerd does not read."""
    if owned and not _reads_our_file(node):
        raise Problem(
            "dockerd reads another file",
            got=flag_value(node, "config-file"),
            todo=f"remove --config-file from dockerd's unit, or set the flag to {DAEMON_JSON}",
        )


def _reads_our_file(node: Node) -> bool:
    return posixpath.normpath(flag_value(node, "config-file") or DAEMON_JSON) == DAEMON_JSON


def unknown_keys(node: Node, value: Mapping[str, Json], owned: Mapping[Path, Json]) -> None:
    """
    Refuse keys that dockerd does not know, because it would refuse the whole file.

    If dockerd is newer than our table, refuse only keys of ours that look like a known key.
    """
    version = dockerd_version(node)
    newer = version is not None and version > LAST_KNOWN
    ours = {path[0] for path in owned}
    for key in value:
        if key in ours and key not in KEYS and not (newer and not near(key, KEYS)):
            raise _no_key(key)
    if version is None or newer:
        return
    for path in _looked_up(value):
        if path[-1] not in KEYS and path[-1] not in WITHOUT_EFFECT:
            raise _no_key(path[-1], path)


def other_versions(node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse keys that this node's dockerd does not know yet or does not know any more."""
    version = dockerd_version(node)
    for name in value if version else ():
        key = KEYS.get(name)
        if key and key.since and version and version < key.since:
            what = f"/{name} needs dockerd {_dotted(key.since)} or later"
        elif key and key.until and version and version >= key.until:
            what = f"/{name} needs dockerd before {_dotted(key.until)}"
        else:
            continue
        todo = "remove the key, because dockerd would refuse the whole file"
        raise Problem(what, got=_dotted(version), todo=todo)


def wrong_kinds(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    """Refuse values whose type is not the one that dockerd expects, in keys of anybody."""
    for name, inner in value.items():
        if name in KEYS:
            check(KEYS[name].kind, (name,), inner)
    profile = value.get("seccomp-profile")
    if isinstance(profile, str) and NO_PATH.search(profile):
        what = "/seccomp-profile must be the path of a file"
        todo = "write the path of an existing file"
        raise Problem(what, got=json.dumps(shown(profile)), todo=todo)


def firewall_change(node: Node, value: Mapping[str, Json]) -> tuple[str, str, str] | None:
    """
    Return dockerd's firewall backend now and after its next start, and what sets the latter.

    Return None if the two are equal, or if one of them is not known.
    """
    running = node.dockerd.arguments if node.dockerd else ()
    words = running if node.next_arguments is None else node.next_arguments
    version = dockerd_version(node)
    if node.info is None or version is None or not _reads_our_file(node):
        return None
    if flagged := next(flag_values(words, "firewall-backend"), ""):
        coming, by = flagged, "a flag of dockerd's"
    elif written := value.get("firewall-backend"):
        coming, by = str(written), f"/firewall-backend in {DAEMON_JSON}"
    elif version <= LAST_KNOWN:
        # selectFirewallBackend in moby v29 daemon/libnetwork/firewall_linux.go
        coming, by = "iptables", "default, because nothing sets it"
    else:
        return None
    now = node.info.firewall_backend
    return None if coming == now else (now, shown(coming), by)


def unread_fields(_node: Node, value: Mapping[str, Json], owned: Mapping[Path, Json]) -> None:
    """Refuse members of ours that dockerd would ignore silently."""
    for name in dict.fromkeys(path[0] for path in owned):
        if name not in KEYS or name not in value:
            continue
        for path, known in unknown_fields(KEYS[name].kind, (name,), value[name]):
            if any(path[: len(ours)] == ours for ours in owned):
                what = f"{place(path)} is not a known key of this object"
                raise Problem(what, todo=advice(path[-1], known))


def dockerd_version(node: Node) -> Version | None:
    """Return the running dockerd's version, None if it is not known."""
    return version_of(node.info.server_version) if node.info else None


def flag_value(node: Node, flag: str) -> str | None:
    """Return the first value of ``--flag`` that dockerd was started with, None without the flag."""
    return next(flag_values(node.dockerd.arguments if node.dockerd else (), flag), None)


def flag_values(words: Sequence[str], flag: str) -> Iterator[str]:
    """Yield the values that are given as ``--flag value`` or ``--flag=value``, in order."""
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == f"--{flag}":
            yield value if equals else "".join(words[at + 1 : at + 2])


def advice(name: str, known: Iterable[str]) -> str:
    """Return what to do about an unknown name: use a similar one, or one of all if they are few."""
    names = sorted(known)
    if question := did_you_mean(near(name, names)):
        return question
    return f"use one of {', '.join(names)}" if len(names) <= FEW else "remove this name"


def _no_key(key: str, path: Path | None = None) -> Problem:
    where = place(path or (key,))
    if meant := WITHOUT_EFFECT.get(key):
        return Problem(f"dockerd ignores {where} silently", todo=f'write "{meant}"')
    if key in WITHOUT_EFFECT:
        return Problem(f"dockerd ignores {where} silently", todo="remove this key")
    return Problem(f"{where} is not a key that dockerd knows", todo=advice(key, KEYS))


def _looked_up(value: Mapping[str, Json]) -> Iterator[Path]:
    """
    Yield the paths whose last names dockerd looks up among its options.

    For an object dockerd looks up the members instead, as if they were top-level keys
    (``configValuesSet`` in moby's daemon/config/config.go). So an unknown object with known members
    is accepted.
    """
    for key, inner in value.items():
        if isinstance(inner, dict) and (key not in KEYS or KEYS[key].kind == "proxies"):
            yield from ((key, name) for name in inner)
        else:
            yield (key,)


def _dotted(version: Version | None) -> str:
    return ".".join(map(str, version or ()))

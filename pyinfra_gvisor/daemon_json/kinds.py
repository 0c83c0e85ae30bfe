"""
The types that dockerd expects in daemon.json, checked with messages that name the path.

Go's rules, as tried on Docker 26.1.5 and 28.5.2: null means "not set" nearly everywhere. A number
with a point or an exponent is not an int. The case of an object's fields does not matter, but the
case of keys that are names does.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path, place
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.daemon_json.key_table import Kind

# units.RAMInBytes: https://github.com/docker/go-units/blob/master/size.go
SIZE = re.compile(r"\d+(?:\.\d+)? ?(?:b|[kmgtp](?:i?b)?)?", re.IGNORECASE | re.ASCII)
# time.ParseDuration, which buildkit's own Duration falls back on: https://pkg.go.dev/time
DURATION = re.compile(r"(?:\d+|(?:\d+(?:\.\d+)?(?:h|m|s|ms|us|µs|ns))+)", re.ASCII)


@dataclass(frozen=True)
class Value:
    """The type of a value without members."""

    name: str
    accepts: Callable[[Json], bool]


@dataclass(frozen=True)
class ListOf:
    """The type of a list whose items have one type."""

    item: Type
    name: str


@dataclass(frozen=True)
class MapOf:
    """The type of an object with any keys, whose values have one type."""

    item: Type
    name: str


@dataclass(frozen=True)
class Fields:
    """The type of an object with known members; dockerd ignores other members silently."""

    fields: Mapping[str, Type]
    name: str = "an object"

    def find(self, name: str) -> Type | None:
        """Return the type of a member, None if unknown; the case of its name does not matter."""
        return next((kind for field, kind in self.fields.items() if _equal(field, name)), None)


Type: TypeAlias = Value | ListOf | MapOf | Fields


def check(kind: Kind, path: Path, value: Json) -> None:
    """
    Raise ``Problem`` for the first thing at ``path`` that dockerd would refuse to read.

    + kind: the key's type in the table of keys
    + value: the value in the file
    """
    _check(KINDS[kind], path, value)


def unknown_fields(kind: Kind, path: Path, value: Json) -> list[tuple[Path, tuple[str, ...]]]:
    """Return the members that dockerd would ignore silently, each with the names that it knows."""
    return _unknown(KINDS[kind], path, value)


def is_ip(value: Json) -> bool:
    """Return True if Go's ``net.ParseIP`` accepts the value, or if it is the empty string."""
    if not isinstance(value, str) or "%" in value:
        return False
    try:
        return not value or bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def is_size(value: Json) -> bool:
    """Return True if the value is a size such as ``64M``, ``1.5g`` or ``512``."""
    return isinstance(value, str) and SIZE.fullmatch(value) is not None


def _check(kind: Type, path: Path, value: Json) -> None:
    if value is None and kind is not SIZE_TYPE:
        return
    match kind, value:
        case Value(accepts=accepts), _ if accepts(value):
            return
        case ListOf(item=item), list():
            for at, inner in enumerate(value):
                _check(item, (*path, str(at)), inner)
        case MapOf(item=item), dict():
            for name, inner in value.items():
                _check(item, (*path, name), inner)
        case Fields(), dict():
            _refuse_two_spellings(kind, path, value)
            for name, inner in value.items():
                if (field := kind.find(name)) is not None:
                    _check(field, (*path, name), inner)
        case _:
            safe = shown(value, path)
            raise Problem(
                f"{place(path)} must be {kind.name}", got=_written(safe), todo=_hint(kind, safe)
            )


def _refuse_two_spellings(kind: Fields, path: Path, value: Mapping[str, Json]) -> None:
    """Refuse two members whose names differ only in case: dockerd uses the last, silently."""
    names: dict[str, str] = {}
    for name in filter(kind.find, value):
        if (other := names.setdefault(name.casefold(), name)) != name:
            raise Problem(
                f"{place((*path, name))} exists twice, also spelt {other}",
                todo="remove one of them; dockerd would use the last one silently",
            )


def _unknown(kind: Type, path: Path, value: Any) -> list[tuple[Path, tuple[str, ...]]]:
    found: list[tuple[Path, tuple[str, ...]]] = []
    if isinstance(kind, ListOf) and isinstance(value, list):
        for at, inner in enumerate(value):
            found += _unknown(kind.item, (*path, str(at)), inner)
    elif isinstance(value, dict) and not isinstance(kind, Value | ListOf):
        for name, inner in value.items():
            member = kind.find(name) if isinstance(kind, Fields) else kind.item
            if member is None and isinstance(kind, Fields):
                found.append(((*path, name), tuple(kind.fields)))
            elif member is not None:
                found += _unknown(member, (*path, name), inner)
    return found


def _written(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _hint(kind: Type, value: Json) -> str:
    """Return how to write the value so that dockerd accepts it, if that is clear."""
    if kind is TEXT and isinstance(value, bool | int | float):
        return f'write "{_written(value)}"'
    if kind is BOOL and str(value).lower() in ("true", "false"):
        return f"write {str(value).lower()}"
    if kind is INT and isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        return f"write {int(value)}"
    if kind is INT and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return f"write {int(value)}"
    if isinstance(kind, ListOf) and isinstance(value, str):
        return f"write [{_written(value)}]"
    return "correct this value"


def _equal(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _anything(_value: Json) -> bool:
    return True


def _is_int(value: Json) -> bool:
    # Go's int has 64 bits on every platform that gVisor runs on.
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_duration(value: Json) -> bool:
    return isinstance(value, str) and DURATION.fullmatch(value) is not None


ANY = Value("anything", _anything)
BOOL = Value("true or false", lambda value: isinstance(value, bool))
INT = Value("a whole number", _is_int)
TEXT = Value("a string", lambda value: isinstance(value, str))
IP = Value("an IP address", is_ip)
SIZE_TYPE = Value('a size, such as "64M"', is_size)
DURATION_TYPE = Value('a duration, such as "48h"', _is_duration)
STRINGS = ListOf(TEXT, "a list of strings")
STRING_MAP = MapOf(TEXT, "an object with strings as values")
BOOL_MAP = MapOf(BOOL, "an object with true or false as values")

# https://pkg.go.dev/github.com/docker/docker/daemon/config#BuilderGCRule. "filter" may also be an
# object, "for backwards compatibility".
GC_RULE = Fields(
    {
        "all": BOOL,
        "filter": ANY,
        "keepStorage": TEXT,
        "reservedSpace": TEXT,
        "maxUsedSpace": TEXT,
        "minFreeSpace": TEXT,
    }
)
GC = Fields(
    {
        "enabled": BOOL,
        "policy": ListOf(GC_RULE, "a list of objects"),
        "defaultKeepStorage": TEXT,
        "defaultReservedSpace": TEXT,
        "defaultMaxUsedSpace": TEXT,
        "defaultMinFreeSpace": TEXT,
    }
)
HISTORY = Fields({"maxAge": DURATION_TYPE, "maxEntries": INT})
ENTITLEMENTS = Fields({"network-host": BOOL, "security-insecure": BOOL})
ULIMIT = Fields(
    {"Name": TEXT, "Hard": INT, "Soft": INT}, 'an object such as {"Name": …, "Hard": …, "Soft": …}'
)
POOL = Fields({"base": TEXT, "size": INT}, 'an object such as {"base": "10.0.0.0/8", "size": 24}')
RUNTIME = Fields(
    {"path": TEXT, "runtimeArgs": STRINGS, "runtimeType": TEXT, "options": MapOf(ANY, "an object")}
)

KINDS: dict[Kind, Type] = {
    "bool": BOOL,
    "builder": Fields({"gc": GC, "entitlements": ENTITLEMENTS, "history": HISTORY}),
    "ignored": ANY,
    "int": INT,
    "ip": IP,
    "ips": ListOf(IP, "a list of IP addresses"),
    "map of bools": BOOL_MAP,
    "map of maps of strings": MapOf(STRING_MAP, "an object with objects as values"),
    "map of strings": STRING_MAP,
    "nri": Fields(
        {"enable": BOOL, "plugin-path": TEXT, "plugin-config-path": TEXT, "socket-path": TEXT}
    ),
    "object": MapOf(ANY, "an object"),
    "pools": ListOf(POOL, "a list of objects"),
    "proxies": Fields({"http-proxy": TEXT, "https-proxy": TEXT, "no-proxy": TEXT}),
    "runtimes": MapOf(RUNTIME, "an object"),
    "size": SIZE_TYPE,
    "string": TEXT,
    "strings": STRINGS,
    "ulimits": MapOf(ULIMIT, "an object with an entry for each limit"),
}

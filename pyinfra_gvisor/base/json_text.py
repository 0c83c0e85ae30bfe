"""
Change single paths of a JSON object in its text, and leave every other byte unchanged.

People and other tools also edit daemon.json. To parse and dump the file would lose their order,
indentation and number formats, so we change the text itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.redaction import shown, shown_json, shown_line

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Path = tuple[str, ...]

SPACE = " \t\n\r"
EMPTY = "{}\n"
MAX_DEPTH = 100  # dockerd's own keys end at 6; the code that compares values recurses
_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(_STRING + r"|[{}\[\],]")
_NOT_A_NUMBER = re.compile(_STRING + r"|-?(?:NaN|Infinity)")
_LONG_NUMBER = re.compile(_STRING + r"|\d{4300,}")
_BY_HAND = "correct the file by hand"


@dataclass(frozen=True)
class Member:
    """One ``"key": value`` of an object, with the offsets of the key and of the value."""

    key: str
    start: int
    value_start: int
    end: int


@dataclass(frozen=True)
class Object:
    """An object in the text: the offsets of its braces, and its members in order."""

    start: int
    end: int
    members: tuple[Member, ...]

    def member(self, key: str) -> Member | None:
        """Return the member called ``key``, None if there is no such member."""
        return next((member for member in self.members if member.key == key), None)


class JsonText:
    """
    The text of a JSON object. Its methods change one path and keep every other byte.

    + text: a JSON document whose top level is an object, or only white space, which dockerd accepts
      as an object without keys

    Raises ``Problem`` with line and column for any other text. This includes duplicate keys:
    dockerd silently uses the last one, so one of them is a mistake.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if text.startswith("\ufeff"):
            what = "line 1 column 1: the file begins with a byte order mark"
            raise Problem(what, todo="save the file without a byte order mark")
        value = {} if is_blank(text) else _parsed(text)
        if not isinstance(value, dict):
            raise Problem("line 1 column 1: the top level must be an object", got=_first_line(text))
        self.value: dict[str, Json] = value

    def get(self, path: Path) -> Json:
        """Return the value at ``path``. Raises ``KeyError`` if there is no such path."""
        return lookup(self.value, path)

    def raw(self, path: Path) -> str | None:
        """Return the text of the value at ``path``, None if there is no such path."""
        found = self._find(path)
        return None if found is None else self.text[found[1].value_start : found[1].end]

    def set(self, path: Path, value: Json, *, raw: str | None = None) -> JsonText:
        """
        Return the document with ``path`` set to ``value``; missing parents are added.

        + raw: the text of the value, to restore how the value was once written; None: our format

        Raises ``Problem`` if a value above ``path`` is not an object.
        """
        if is_blank(self.text):
            return JsonText(EMPTY).set(path, value, raw=raw)
        if found := self._find(path):
            member = found[1]
            written = raw or self._dump(value, self._indent_of(member.start))
            return JsonText(self.text[: member.value_start] + written + self.text[member.end :])
        depth = len(path) - 1
        while depth and not self._object_at(path[:depth]):
            depth -= 1
        parent = self._object_at(path[:depth])
        if parent is None or (depth < len(path) - 1 and parent.member(path[depth])):
            above = path[: depth + 1]
            got = shown_json(self.raw(above) or "", above)
            raise Problem(f"{place(above)} must be an object", got=got)
        for key in reversed(path[depth + 1 :]):
            value, raw = {key: value}, None
        return JsonText(self._insert(parent, path[depth], value, raw))

    def remove(self, path: Path) -> JsonText:
        """Return the document without ``path``; the same document if there is no such path."""
        found = self._find(path)
        if found is None:
            return self
        parent, member = found
        at = parent.members.index(member)
        if at:
            start, end = parent.members[at - 1].end, member.end
        elif len(parent.members) > 1:
            start, end = member.start, parent.members[1].start
        else:
            start, end = parent.start + 1, parent.end - 1
        return JsonText(self.text[:start] + self.text[end:])

    def _insert(self, parent: Object, key: str, value: Json, raw: str | None) -> str:
        newline = "\r\n" if "\r\n" in self.text else "\n"
        if parent.members:
            last = parent.members[-1]
            inner = self._indent_of(parent.members[0].start)
            lead = " " if inner is None else newline + inner
            at, text = last.end, "," + lead
        else:
            outer = self._indent_of(parent.start)
            inner = (outer or "") + self._unit()
            at, text = parent.start + 1, newline + inner
        text += _written(key) + ": " + (raw or self._dump(value, inner))
        if not parent.members and "\n" not in self.text[at : parent.end]:
            text += newline + (self._indent_of(parent.start) or "")
        return self.text[:at] + text + self.text[at:]

    def _dump(self, value: Json, indent: str | None) -> str:
        """Return ``value`` as JSON: on several lines at ``indent``, or on one line for None."""
        if indent is None or not value or not isinstance(value, dict):
            return _written(value)
        newline = "\r\n" if "\r\n" in self.text else "\n"
        text = _written(value, indent=self._unit())
        return text.replace("\n", newline + indent)

    def _unit(self) -> str:
        """Return the file's indentation step: the white space before its first key."""
        top = scan_object(self.text, len(self.text) - len(self.text.lstrip(SPACE)))
        indent = self._indent_of(top.members[0].start) if top.members else None
        return indent or "    "

    def _indent_of(self, at: int) -> str | None:
        """Return the indentation of the line at ``at``, None if other text precedes ``at``."""
        line = self.text[self.text.rfind("\n", 0, at) + 1 : at]
        if "\n" not in self.text[:at]:
            return "" if not line.strip(SPACE) else None
        return line if not line.strip(SPACE) else _leading(line) if _opens(line) else None

    def _object_at(self, path: Path) -> Object | None:
        at = len(self.text) - len(self.text.lstrip(SPACE))
        for key in path:
            member = scan_object(self.text, at).member(key)
            if member is None or self.text[member.value_start] != "{":
                return None
            at = member.value_start
        return scan_object(self.text, at)

    def _find(self, path: Path) -> tuple[Object, Member] | None:
        if is_blank(self.text):
            return None
        parent = self._object_at(path[:-1])
        member = parent.member(path[-1]) if parent else None
        return (parent, member) if parent and member else None


def is_blank(text: str) -> bool:
    """Return True if the text is only white space."""
    return not text.strip(SPACE)


def scan_object(text: str, at: int) -> Object:
    """Return the object whose ``{`` is at ``at``, in text that ``json`` has already accepted."""
    members: list[Member] = []
    position = _skip(text, at + 1)
    decoder = json.JSONDecoder()
    while text[position] != "}":
        key, after = decoder.raw_decode(text, position)
        value_start = _skip(text, _skip(text, after) + 1)
        _, end = decoder.raw_decode(text, value_start)
        members.append(Member(key, position, value_start, end))
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return Object(at, position + 1, tuple(members))


def lookup(value: Json, path: Sequence[str]) -> Json:
    """Return the value at ``path`` in ``value``. Raises ``KeyError`` if there is no such path."""
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            raise KeyError(pointer(tuple(path)))
        value = value[key]
    return value


def pointer(path: Path) -> str:
    """Return ``path`` as a JSON pointer (RFC 6901), such as ``/runtimes/runsc``."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def place(path: Path) -> str:
    """Return ``path`` as a JSON pointer for messages, with long or unprintable keys made safe."""
    return pointer(tuple(cut(shown(key)) for key in path))


def from_pointer(text: str) -> Path:
    """Return the path of a JSON pointer."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def _first_line(text: str) -> str:
    return shown_line(text.strip(SPACE).partition("\n")[0])


def _written(value: Json, *, indent: str | None = None) -> str:
    """Return ``value`` as JSON that UTF-8 can encode: half of a surrogate pair as an escape."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    half = any("\ud800" <= char <= "\udfff" for char in text)
    return json.dumps(value, indent=indent) if half else text


@lru_cache(maxsize=16)  # one change reads the same few texts many times; no caller changes a value
def _parsed(text: str) -> Json:
    """
    Return the value of a JSON text.

    Raises ``Problem`` also for duplicate keys, NaN, long numbers and too many levels, which
    ``json`` accepts or reports badly.
    """
    value: Json = None
    try:
        value = json.loads(text, parse_constant=float)
    except json.JSONDecodeError as error:
        where = position_of(text, error.pos)
        line = text.split("\n")[error.lineno - 1].strip()
        got = shown_line(line) or "the end of the file"
        what = f"{where}: not JSON ({error.msg})"
        raise Problem(what, got=got, todo=_BY_HAND) from None
    except RecursionError:
        what = "line 1 column 1: too many levels of objects or lists"
        raise Problem(what, todo=_BY_HAND) from None
    except ValueError:
        _refuse_token(text, _LONG_NUMBER, "the number has too many digits")
    _refuse_token(text, _NOT_A_NUMBER, "not a number in JSON")
    _refuse_duplicates(text)
    return value


def _refuse_token(text: str, pattern: re.Pattern[str], what: str) -> None:
    """Refuse the first token that matches ``pattern``; text inside strings does not count."""
    for token in pattern.finditer(text):
        if not token[0].startswith('"'):
            where = position_of(text, token.start())
            raise Problem(f"{where}: {what}", got=token[0], todo=_BY_HAND)


class _Open:
    """An object or a list that has not ended yet. ``key`` is the current member's key."""

    def __init__(self, *, is_object: bool) -> None:
        self.is_object = is_object
        self.keys: set[str] = set()
        self.key = ""


def _refuse_duplicates(text: str) -> None:
    """Refuse two equal keys in one object on any level, and more than ``MAX_DEPTH`` levels."""
    opened: list[_Open] = []
    key_next = False
    for token in _TOKEN.finditer(text):
        sign = token[0][0]
        if sign in "{[":
            opened.append(_Open(is_object=sign == "{"))
            if len(opened) > MAX_DEPTH:
                where = position_of(text, token.start())
                raise Problem(f"{where}: too many levels of objects or lists", todo=_BY_HAND)
        elif sign in "}]":
            opened.pop()
        elif sign == '"' and key_next:
            _take_key(opened, token, text)
        key_next = sign == "{" or (sign == "," and opened[-1].is_object)


def _take_key(opened: list[_Open], token: re.Match[str], text: str) -> None:
    key = json.loads(token[0]) if "\\" in token[0] else token[0][1:-1]
    opened[-1].key = key
    if key in opened[-1].keys:
        path = pointer(tuple(level.key for level in opened if level.is_object))
        todo = "remove one of them; dockerd would use the last one silently"
        raise Problem(f"{position_of(text, token.start())}: {cut(path)} exists twice", todo=todo)
    opened[-1].keys.add(key)


def position_of(text: str, at: int) -> str:
    """Return the offset ``at`` as an editor shows it: ``line 3 column 5``."""
    line = text.count("\n", 0, at) + 1
    return f"line {line} column {at - text.rfind(chr(10), 0, at)}"


def _skip(text: str, at: int) -> int:
    while text[at] in SPACE:
        at += 1
    return at


def _leading(line: str) -> str:
    return line[: len(line) - len(line.lstrip(SPACE))]


def _opens(line: str) -> bool:
    """Return True if ``line`` ends with a key, before the object that is the key's value."""
    return line.rstrip(SPACE).endswith(":")

"""
daemon.json files as they go wrong, each with what has to come of it.

The change that is asked for is one label, unless a file says otherwise: a reload applies it, and
``docker info`` shows it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.daemon_json.key_table import KEYS
from tests.unit.daemon_json.key_samples import WRONG

GOOD = (
    '{\n  "debug": false,\n  "log-opts": {"max-size": "10m"},\n  "max-concurrent-uploads": 3\n}\n'
)
MEGABYTE = 10**6
AT = r"^line \d+ column \d+: "
NOT_JSON = AT + r"not JSON \("
TWICE = AT + ".* exists twice"
UNCHANGED = r"; nothing was changed"


@dataclass(frozen=True)
class BadFile:
    """
    One daemon.json.

    ``says`` is what it is refused with, empty where the change has to succeed; ``late`` where only
    the node can tell. ``place`` is the shell that puts the file ``$1`` at ``$2``, ``lost`` what the
    change takes out of it.
    """

    name: str
    content: bytes
    says: str = ""
    late: bool = False
    place: str = 'cp "$1" "$2"'
    wanted: Mapping[str, Any] | None = None
    lost: str = ""

    def wishes(self, number: int) -> Mapping[str, Any]:
        """
        Return the change: another label for every file, so that it is visible once it applies.
        """
        return {"labels": [f"bad={number}"]} if self.wanted is None else self.wanted


def refused() -> list[BadFile]:
    """Yield all files that must be refused."""
    return [*_texts(REFUSED), *_bytes(), *_keys(), *_truncated(), *_ours(), *_late()]


def _texts(table: Mapping[str, Mapping[str, str]]) -> Iterator[BadFile]:
    for says, texts in table.items():
        for name, text in texts.items():
            yield BadFile(name, text.encode(), says)


REFUSED = {
    NOT_JSON: {
        "line comment": '{\n  // mirrors\n  "debug": true\n}',
        "comma behind a member": '{"debug": true,}',
        "comma missing": '{\n  "debug": true\n  "icc": false\n}',
        "single quotes": "{'debug': true}",
        "number as a key": '{1: "x"}',
        "one bracket too many": '{"debug": true}}',
        "string not closed": '{"bip": "10.0.0.1/8}',
        "line break in a string": '{"bip": "10.0.0.1\n/8"}',
        "control character in a string": '{"bip": "\x1b[31m"}',
        "NUL in a string": '{"bip": "\x00"}',
        "only NULs": "\x00" * 64,
        "no-break space": '{\u00a0"debug": true}',
        "leading zero": '{"mtu": 0123}',
        "web page": "<!DOCTYPE html>\n<title>404 Not Found</title>",
        "a thousand levels not closed": '{"a":' * 400 + "[" * 100,
        "UTF-16 without a mark": '{"debug": true}'.encode("utf-16-le").decode(),
        "a megabyte not closed": '{"bip": "' + "x" * MEGABYTE,
    },
    AT + "the file begins with a byte order mark": {
        "byte order mark": '\ufeff{"debug": true}',
        "only the mark": "\ufeff",
    },
    AT + "the top level must be an object": {"null": "null", "list": "[]"},
    AT + "too many levels of objects or lists": {
        "a thousand lists": '{"runtimes": {"x": {"options": {"a": '
        + "[" * 1000
        + "]" * 1000
        + "}}}}",
        "a thousand objects": '{"a":' * 1000 + "1" + "}" * 1000,
        "five hundred objects": '{"a":' * 500 + "1" + "}" * 500,
        "nine hundred lists": '{"deprecated-key-path": ' + "[" * 900 + "]" * 900 + "}",
        "a hundred thousand lists": '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        "a hundred thousand objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
        "a hundred thousand not closed": "[" * 100_000,
    },
    TWICE: {
        "key twice": '{"debug": true, "icc": false, "debug": true}',
        "key twice, once escaped": '{"debug": true, "\\u0064ebug": false}',
        "runtime twice": '{"runtimes": {"x": {"path": "/a"}, "x": {"path": "/b"}}}',
        "member twice": '{"runtimes": {"x": {"path": "/a", "path": "/b"}}}',
        "member in a list twice": '{"default-address-pools": [{"base": "10.0.0.0/8", "base": ""}]}',
    },
    "^/runtimes/x/Path exists twice, also spelt path": {
        "member twice in two cases": '{"runtimes": {"x": {"path": "/a", "Path": "/b"}}}'
    },
    AT + "not a number in JSON": {"NaN": '{"mtu": NaN}', "infinity": '{"mtu": Infinity}'},
    AT + "the number has too many digits": {"five thousand digits": '{"mtu": ' + "9" * 5000 + "}"},
    "^/mtu must be a whole number": {
        "infinite exponent": '{"mtu": 1e999}',
        "large exponent": '{"mtu": 1e308}',
        "four thousand digits": '{"mtu": ' + "9" * 4000 + "}",
        "more than 64 bits": '{"mtu": 9223372036854775808}',
        "fraction": '{"mtu": 1500.0}',
    },
    "is not a key that dockerd knows; ": {
        "unknown key": '{"debugg": true}',
        "key with Unicode": '{"gr\u00fc\u00df": 1}',
        "key that is half a pair": '{"\\ud800": 1}',
        "key with a line break": '{"a\\n\\u001b[31mb": 1}',
        "key of a megabyte": '{"' + "k" * MEGABYTE + '": 1}',
        "empty key": '{"": 1}',
    },
    r"^/log-opts/\S+ ": {"option that is half a pair": '{"log-opts": {"\\ud800": "x"}}'},
    "^/runtimes/runc is reserved": {
        "runc anew": '{"runtimes": {"runc": {"path": "/usr/bin/runc"}}}'
    },
    "^/runtimes/": {
        "runtime as a string": '{"runtimes": {"x": "/x"}}',
        "runtime that is half a pair": '{"runtimes": {"\\ud800": {}}}',
    },
    "^/default-runtime is not registered": {
        "default not registered": '{"default-runtime": "kata"}'
    },
    "^/registry-mirrors/0 ": {
        "mirror with a bracket": '{"registry-mirrors": ["http://[::1"]}',
        "mirror with a strange host": '{"registry-mirrors": ["https://\\u2100x"]}',
    },
    "^/seccomp-profile must be the path": {
        "profile that is half a pair": '{"seccomp-profile": "/x\\ud800"}',
        "profile with a NUL": '{"seccomp-profile": "/x\\u0000y"}',
    },
}


def _bytes() -> Iterator[BadFile]:
    """Yield files that are not UTF-8."""
    for name, content in {
        "byte of Latin-1": b'{"bip": "gr\xfc\xdf"}',
        "sequence cut off": b'{"bip": "\xe2\x82"}',
        "sequence too long": b'{"bip": "\xc0\xaf"}',
        "surrogate in bytes": b'{"bip": "\xed\xa0\x80"}',
        "UTF-16, little end first": '{"debug": true}'.encode("utf-16"),
        "UTF-16, big end first": b"\xfe\xff" + '{"debug": true}'.encode("utf-16-be"),
        "UTF-32": b"\xff\xfe\x00\x00" + '{"debug": true}'.encode("utf-32-le"),
        "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV\x02\x00",
        "a megabyte of 0xff": b"\xff" * MEGABYTE,
    }.items():
        yield BadFile(name, content, "^is not UTF-8 text; ")


def _keys() -> Iterator[BadFile]:
    """Yield files with two invalid values for every key."""
    other: dict[str, Any] = {
        "int": 1.5,
        "ignored": None,
        "builder": {"gc": []},
        "proxies": {"no-proxy": 1},
    }
    for key, known in KEYS.items():
        if known.kind == "ignored":
            continue
        wrong = other.get(
            known.kind, {"a": 7} if known.kind in ("strings", "ips", "pools") else [7]
        )
        for number, value in enumerate((WRONG[known.kind], wrong), 1):
            wanted = {"debug": False} if key == "labels" else None
            says = rf"^/{key}(/\S+)? (must be|needs dockerd|is not registered)"
            text = json.dumps({key: value}).encode()
            yield BadFile(f"{key} of a wrong type, {number}", text, says, wanted=wanted)


def _truncated() -> Iterator[BadFile]:
    whole = GOOD.rstrip()
    for length in range(1, len(whole), 2):
        yield BadFile(f"cut off after {length}", whole[:length].encode(), NOT_JSON)


def _ours() -> Iterator[BadFile]:
    """Yield valid files with changes of ours that cannot work."""
    runtime: dict[str, tuple[Any, str]] = {
        "args": ({"path": "/bin/true", "args": ["--x"]}, "/args is not a key of a runtime; "),
        "both": ({"path": "/x", "runtimeType": "io.x.v1"}, " has both path and runtimeType"),
        "no object": ("/x", " must be an object"),
        "path as a list": ({"path": ["/x"]}, "/path must be a string"),
        "nothing": ({}, " has neither path nor runtimeType"),
    }
    for name, (entry, says) in runtime.items():
        wanted = {"runtimes": {"bad": entry}}
        yield BadFile(f"ours: {name}", GOOD.encode(), f"^/runtimes/bad{says}", wanted=wanted)
    for key, value, says in (
        ("default-runtime", "kata", "is not registered"),
        ("hosts", ["unix:///x"], "is also set by the flag --host of the running dockerd"),
        ("live-restore", "true", "must be true or false"),
        ("labels", ["\ud800", 1], "must be a string"),
    ):
        text, where = GOOD.encode(), rf"^/{key}(/1)? "
        yield BadFile(f"ours: {key}", text, where + says, wanted={key: value})


def _late() -> Iterator[BadFile]:
    """
    Yield files that only the node can refuse: its dockerd may lack --validate, or a file is
    missing.
    """
    refused = f"dockerd refuses the new file: .*{UNCHANGED}|dockerd refused to reload; rolling back"
    for name, text, says in (
        ("hosts beside -H", '{"hosts": ["unix:///x.sock"]}', refused),
        ("number without end in no option", '{"deprecated-key-path": 1e999}', refused),
        ("seccomp file missing", '{"seccomp-profile": "/none.json"}', "/seccomp-profile: no such"),
    ):
        yield BadFile(name, text.encode(), says, late=True)
    for name, entry, says in (
        ("path missing", {"path": "/none"}, "path /none is not executable" + UNCHANGED),
        (
            "runsc flag misspelt",
            {"path": "/usr/local/bin/runsc", "runtimeArgs": ["--netwrok=host"]},
            "refuses its flags: .*netwrok|runsc is not executable",
        ),
    ):
        wanted = {"runtimes": {"bad": entry}}
        yield BadFile(f"ours: {name}", GOOD.encode(), says, late=True, wanted=wanted)


def shared(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def only_labels_added(file: BadFile, text: bytes, number: int) -> bool:
    """Whether every other byte and every other key is as before."""
    old = file.content
    front = shared(old, text)
    back = shared(old[front:][::-1], text[front:][::-1])
    lost = old[front : len(old) - back].decode(errors="replace")
    expected = {**json.loads(old.strip() or b"{}"), "labels": [f"bad={number}"]}
    return lost in file.lost and json.loads(text) == expected

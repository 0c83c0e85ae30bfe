"""Compose files as people write them: any order, indentation, comments and newlines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[..., Any]
MOSTLY = st.sampled_from([True, True, True, False])

COMMENTS = ["# why", "#", "# - /a:/b", "# services:", "# gr\u00fc\u00df"]
SCALARS = [
    "x",
    "'single: # not a comment'",
    '"double \\" \\u00e4"',
    "8000:8080",
    "0o644",
    "2026-11-25",
    "~",
    "[a, {b: c}]",
    "{a: [b, 'c']}",
    "!reset null",
    "!override [a]",
    "&own x",
    "${A:-b} # behind",
]
KEYS = ["image", "environment", "labels", "ports", "'user'", "x-own", "logging"]
SERVICES = ["redis", "postgres", '"soketi"']
TOPS = ["name", "version", "x-a", "networks", "volumes", "configs"]
ITEMS = ["/a:/b", "'/c:/d:ro'", "data:/data", "${DIR:-/e}:/f", "/g", "{type: tmpfs, target: /h}"]


@st.composite
def compose_texts(draw: Draw) -> str:
    """The text of a file that can take our lines."""
    start = draw(st.sampled_from([[], ["---"], ["# Ours.", "--- # so"], ["%YAML 1.1", "---"]]))
    body = draw(_tops())
    if not body and draw(st.booleans()):
        body = ["# nothing"]
    lines = [*start, *body, *(["..."] if start and draw(st.booleans()) else [])]
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = "".join(f"{line}{newline}" for line in lines)
    if lines and draw(st.booleans()):
        text += draw(st.sampled_from(["# end", "   ", f"{newline}# end"]))
    count = itertools.count()
    text = re.sub("&own", lambda _: f"&own{next(count)}", text)  # PyYAML wants each but once
    return draw(st.sampled_from(["", "", "\ufeff"])) + text if text and not start else text


@st.composite
def _tops(draw: Draw) -> list[str]:
    indent = " " * draw(st.sampled_from([0, 0, 0, 2]))
    step = draw(st.integers(1, 6))
    names = draw(st.lists(st.sampled_from(TOPS), unique=True, max_size=3))
    blocks = [[*draw(_key(indent, step, name))] for name in names]
    if draw(MOSTLY):
        blocks.append(draw(_services(indent, step)))
    return [line for block in draw(st.permutations(blocks)) for line in block]


@st.composite
def _services(draw: Draw, indent: str, step: int) -> list[str]:
    inner = indent + " " * step
    names = draw(st.lists(st.sampled_from(SERVICES), unique=True, max_size=2))
    blocks = [draw(_key(inner, step, name)) for name in names]
    if draw(MOSTLY):
        blocks.append(draw(_coolify(inner, step)))
    word = draw(st.sampled_from(["services:", "'services':", "services :"]))
    return [indent + word + draw(_behind()), *_flat(draw(st.permutations(blocks)))]


@st.composite
def _coolify(draw: Draw, indent: str, step: int) -> list[str]:
    inner = indent + " " * step
    names = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=3))
    blocks = [draw(_key(inner, step, name)) for name in names]
    if draw(MOSTLY):
        items = draw(st.lists(st.sampled_from(ITEMS), unique=True, max_size=3))
        more = " " * draw(st.integers(0, 4))
        dash = "-" + " " * draw(st.integers(1, 3))
        lines = [[*draw(_before()), f"{inner}{more}{dash}{item}"] for item in items]
        blocks.append([f"{inner}volumes:{draw(_behind())}", *_flat(lines)])
    return [f"{indent}coolify:{draw(_behind())}", *_flat(draw(st.permutations(blocks)))]


@st.composite
def _key(draw: Draw, indent: str, step: int, name: str) -> list[str]:
    """A key that is none of our business, with what may be beneath it."""
    inner = indent + " " * step
    kind = draw(st.sampled_from(["scalar", "list", "mapping", "text", "nothing"]))
    if kind == "scalar":
        return [*draw(_before()), f"{indent}{name}: {draw(st.sampled_from(SCALARS))}"]
    beneath = {
        "list": [f"{indent}- {draw(st.sampled_from(SCALARS))}", f"{indent}- a: b"],
        "mapping": [
            f"{inner}a: b",
            f"{inner}volumes:",
            f"{inner}- {draw(st.sampled_from(SCALARS))}",
        ],
        "text": [f"{inner}services:", f"{inner} - x  # pyinfra-gvisor", "", f"{indent}# end"],
        "nothing": [],
    }[kind]
    sign = " |" if kind == "text" else draw(_behind())
    return [*draw(_before()), f"{indent}{name}:{sign}", *beneath]


def _before() -> st.SearchStrategy[list[str]]:
    comments = st.builds(
        lambda at, text: " " * at + text, st.integers(0, 9), st.sampled_from(COMMENTS)
    )
    return st.lists(st.one_of(comments, st.sampled_from(["", "  "])), max_size=2)


def _behind() -> st.SearchStrategy[str]:
    return st.sampled_from(["", "", " ", "   # behind", " #"])


def _flat(blocks: list[list[str]]) -> list[str]:
    return [line for block in blocks for line in block]

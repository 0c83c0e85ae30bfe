"""What holds for every docker-compose.custom.yml that people may have written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.compose_file import MARK, has, lines_to_add, merged, removed
from tests.unit.coolify.compose_files import ENTRY, MOUNTS, PATCH, read, with_mounts

Draw = Callable[..., Any]
COMMENTS = ["# why", "#", "# - /a:/b", "# services:", "# gr\u00fc\u00df"]
SCALARS = [
    *("x", "'single: # not a comment'", '"double \\" \\u00e4"', "8000:8080", "0o644", "2026-11-25"),
    *("~", "[a, {b: c}]", "{a: [b, 'c']}", "!reset null", "!override [a]", "&own x"),
    "${A:-b} # behind",
]
PATH = ("services", "coolify", "volumes")
OTHERS = ["image", "labels", "networks", "ports", "'user'", '"soketi"', "x-own", "version"]
ITEMS = ["/a:/b", "'/c:/d:ro'", "data:/data", "${DIR:-/e}:/f", "/g", "{type: tmpfs, target: /h}"]


@st.composite
def compose_texts(draw: Draw) -> str:
    """The text of a file that can take our lines."""
    start = draw(st.sampled_from([[], ["---"], ["# Ours.", "--- # so"], ["%YAML 1.1", "---"]]))
    indent = " " * draw(st.sampled_from([0, 0, 0, 2]))
    body = draw(_level(indent, draw(st.integers(1, 6)), PATH))
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
def _level(draw: Draw, indent: str, step: int, path: Sequence[str]) -> list[str]:
    """Keys that are none of our business, and mostly the first of ``path`` with more beneath it."""
    names = draw(st.lists(st.sampled_from(OTHERS), unique=True, max_size=3))
    blocks = [draw(_key(indent, step, name)) for name in names]
    if draw(st.sampled_from([True, True, True, False])):
        sign = draw(st.sampled_from(["{}:", "{}:", "'{}':", "{} :"])).format(path[0])
        deeper = _level(indent + " " * step, step, path[1:]) if path[1:] else _items(indent)
        blocks.append([f"{indent}{sign}{draw(_behind())}", *draw(deeper)])
    return [line for block in draw(st.permutations(blocks)) for line in block]


@st.composite
def _items(draw: Draw, indent: str) -> list[str]:
    items = draw(st.lists(st.sampled_from(ITEMS), unique=True, max_size=3))
    dash = " " * draw(st.integers(0, 4)) + "-" + " " * draw(st.integers(1, 3))
    return [line for item in items for line in (*draw(_before()), f"{indent}{dash}{item}")]


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


@st.composite
def broken_texts(draw: Draw) -> str:
    """What may be left of a file after somebody's editing, with our lines in it or without."""
    text: str = draw(compose_texts())
    lines = (merged(text, MOUNTS) if draw(st.booleans()) else text).splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines)))
        new = draw(st.one_of(st.sampled_from(PIECES), st.text(SIGNS, max_size=5)))
        lines[at : at + draw(st.integers(0, 2))] = [new]
    return "".join(lines)


SIGNS = "-:#&*!|>'\"[]{},?% \n\ufeff\u2028ab\x07"
PIECES = [
    *(f"{line}\n" for line in lines_to_add(MOUNTS).splitlines()),
    *("  coolify: &a\n", "    <<: *a\n", "    volumes: [\n", "    volumes: !reset\n"),
    *("      - |  # pyinfra-gvisor\n", "      - /x:/opt/own/patch.php\n", "---\n", "...\n"),
    *("\t", "? ", "'", "\r", "\x85"),
]


@given(compose_texts())
def test_the_file_is_read_as_before_with_our_mounts_and_given_back_to_the_byte(text: str) -> None:
    added = merged(text, MOUNTS)

    assert read(added) == with_mounts(text)
    assert has(added, MOUNTS)
    assert (merged(added, MOUNTS), others(added)) == (added, others(text))
    assert (removed(added, MOUNTS), removed(text, MOUNTS)) == ((text or None), text)


@given(broken_texts())
def test_whatever_somebody_did_our_mounts_get_in_and_out_rightly_or_that_is_refused(
    text: str,
) -> None:
    added, bare = tried(merged, text), tried(removed, text)

    if isinstance(added, Problem):
        assert str(added).endswith(f"\n{lines_to_add(MOUNTS)}")
        assert not has(text, MOUNTS)
    else:
        mounted = read(added or "")["services"]["coolify"]["volumes"]
        assert [mounted.count(mount) for mount in (ENTRY, PATCH)] == [1, 1]
        assert merged(added, MOUNTS) == added
    if not isinstance(bare, Problem):
        assert not has(bare, MOUNTS)
        assert bare is None or removed(bare, MOUNTS) == bare


def others(text: str) -> list[str]:
    """The lines that do not bear our mark, in their order."""
    return [line for line in text.splitlines() if not line.endswith(f"  {MARK}")]


def tried(change: Callable[[str, Sequence[str]], str | None], text: str) -> str | Problem | None:
    """What becomes of the text, or why nothing does."""
    try:
        return change(text, MOUNTS)
    except Problem as problem:
        return problem

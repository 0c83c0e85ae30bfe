"""What holds for every docker-compose.custom.yml that people may have written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.compose_file import MARK, has, lines_to_add, merged, removed
from tests.unit.compose_files import ENTRY, MOUNTS, PATCH, read, with_mounts
from tests.unit.compose_texts import compose_texts

Draw = Callable[..., Any]
OLD = (PATCH, "/own/old:/opt/old:ro", "/own/entry.sh:/etc/entrypoint.d/50-own.sh")


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
    "  coolify: &a\n",
    "    <<: *a\n",
    "    volumes: [\n",
    "    volumes: !reset\n",
    "      - |  # pyinfra-gvisor\n",
    "      - /x:/opt/own/patch.php\n",
    "---\n",
    "...\n",
    "\t",
    "? ",
    "'",
    "\r",
    "\x85",
]


@given(compose_texts())
def test_the_file_is_read_as_before_and_with_our_mounts(text: str) -> None:
    added = merged(text, MOUNTS)

    assert read(added) == with_mounts(text)
    assert has(added, MOUNTS)


@given(compose_texts())
def test_every_line_stays_in_its_order_and_every_other_bears_our_mark(text: str) -> None:
    added = merged(text, MOUNTS).splitlines()

    left = iter(text.splitlines())
    waiting = next(left, None)
    for line in added:
        if line == waiting:
            waiting = next(left, None)
        else:
            assert line.endswith(f"  {MARK}")
    assert waiting is None


@given(compose_texts())
def test_a_second_run_changes_nothing(text: str) -> None:
    added = merged(text, MOUNTS)

    assert merged(added, MOUNTS) == added


@given(compose_texts())
def test_after_removal_the_file_is_the_original_to_the_byte(text: str) -> None:
    added = merged(text, MOUNTS)

    assert removed(added, MOUNTS) == (text or None)
    assert removed(text, MOUNTS) == text


@given(compose_texts())
def test_an_older_set_leaves_nothing_behind(text: str) -> None:
    older = merged(text, OLD)

    assert not has(older, MOUNTS)
    assert merged(older, MOUNTS) == merged(text, MOUNTS)


@given(compose_texts(), st.booleans())
def test_what_somebody_writes_beneath_our_keys_is_there_after_removal(
    text: str, as_item: bool
) -> None:
    edited = with_more(merged(text, MOUNTS), as_item)

    bare = removed(edited, MOUNTS)

    assert bare is not None
    assert with_mounts(bare) == read(edited)
    assert bare.count("more") == edited.count("more")
    assert bare.count(f":  {MARK}") == text.count(f":  {MARK}")


@given(broken_texts())
def test_whatever_somebody_did_it_is_merged_rightly_or_refused_with_the_lines(text: str) -> None:
    added = tried(merged, text)

    if isinstance(added, Problem):
        assert str(added).endswith(f"\n{lines_to_add(MOUNTS)}")
        assert not has(text, MOUNTS)
    else:
        mounted = read(added or "")["services"]["coolify"]["volumes"]
        assert [mounted.count(mount) for mount in (ENTRY, PATCH)] == [1, 1]
        assert merged(added, MOUNTS) == added


@given(broken_texts())
def test_whatever_somebody_did_removal_takes_our_mounts_out_or_is_refused(text: str) -> None:
    bare = tried(removed, text)

    if not isinstance(bare, Problem):
        assert not has(bare, MOUNTS)
        assert bare is None or removed(bare, MOUNTS) == bare


def tried(change: Callable[[str, Sequence[str]], str | None], text: str) -> str | Problem | None:
    """What becomes of the text, or why nothing does."""
    try:
        return change(text, MOUNTS)
    except Problem as problem:
        return problem


def with_more(text: str, as_item: bool) -> str:
    """The file with somebody's line behind ours: an item, or else a key where that is ours too."""
    lines = text.splitlines()
    at = max(number for number, line in enumerate(lines) if line.endswith(f"  {MARK}"))
    keys = [line for line in lines if line.endswith(f"volumes:  {MARK}")]
    new = "- /more:/more" if as_item or not keys else "more: x"
    above = lines[at] if new.startswith("-") else keys[0]
    lines.insert(at + 1, " " * (len(above) - len(above.lstrip())) + new)
    return "\n".join(lines)

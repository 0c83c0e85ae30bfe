"""docker-compose.custom.yml gets our mounts and loses them again, whatever people do to it."""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify import compose_file
from pyinfra_gvisor.coolify.compose_file import MARK, has, lines_to_add, merged, removed
from tests.table import table
from tests.unit.coolify.compose_files import ENTRY, MOUNTS, PATCH, WHOLE, read, with_mounts

# What a file may look like otherwise is made by ``compose_texts``, below.
FILE = """\
x-a: &a
    restart: always
services:
    coolify:
        # before
        <<: *a
        volumes:

  # less
            -   /a:/b   # after
                    # more
            - type: bind
              source: /own/entry.sh
              target: /etc/entrypoint.d/60-own.sh
            - type: tmpfs
"""
OLD = ("/own/old.sh:/etc/entrypoint.d/50-own.sh:ro", "/own/gone:/opt/gone", PATCH)
LIST = "services:\n  coolify:\n    volumes:\n"
BY_HAND = f"{LIST}      - {ENTRY}\n      - {PATCH}\n"
TAKE_OUT = f"the file must not contain these:\n{MARK} at the end of a line"


@table("newline", lf="\n", crlf="\r\n")
def test_our_lines_come_first_as_others_are_written_and_go_again_to_the_byte(newline: str) -> None:
    text = FILE.replace("\n", newline)

    added = merged(text, MOUNTS)

    ours = "".join(f"            - {mount}  {MARK}\n" for mount in MOUNTS)
    assert added == FILE.replace("volumes:\n", f"volumes:\n{ours}").replace("\n", newline)
    assert removed(added, MOUNTS) == text


def test_keys_of_ours_are_indented_as_the_file_is_and_a_line_without_an_end_stays_so() -> None:
    added = merged("services:\n   redis:\n      image: x\n", MOUNTS)
    alone = merged("services:", MOUNTS)

    ours = f"   coolify:  {MARK}\n      volumes:  {MARK}\n         - {ENTRY}  {MARK}\n"
    assert added.startswith(f"services:\n{ours}")
    assert alone == WHOLE.replace(f":  {MARK}", ":", 1).rstrip("\n")
    assert removed(alone, MOUNTS) == "services:"


@pytest.mark.parametrize("text", [None, "", "\n", "  \n\n ", "\ufeff", "\r\n# x"], ids=ascii)
def test_a_file_with_nothing_to_read_has_only_ours_and_then_nothing_again(text: str | None) -> None:
    added = merged(text, MOUNTS)

    assert read(added) == with_mounts("")
    assert text or added == WHOLE == f"{lines_to_add(MOUNTS)}\n"
    assert removed(added, MOUNTS) == (text or None)


@table(
    "change",
    one_space_before_the_mark=("  # pyinfra", " # pyinfra"),
    space_behind_the_mark=(MARK, f"{MARK} \t"),
    indented_otherwise=("      - ", "            -   "),
    quoted=(ENTRY, f'"{ENTRY}"'),
    other_newlines=("\n", "\r\n"),
)
def test_lines_of_ours_in_another_dress_are_still_ours(change: tuple[str, str]) -> None:
    text = WHOLE.replace(*change)

    assert text != WHOLE
    assert has(text, MOUNTS)
    assert removed(text) is None


@table(
    "text",
    one_line_gone=WHOLE.replace(f"      - {ENTRY}  {MARK}\n", ""),
    only_a_key_left=f"services:  {MARK}\n",
    a_line_twice=WHOLE + f"      - {ENTRY}  {MARK}\n",
    a_line_more=WHOLE + f"      - /c:/d  {MARK}\n",
    writable=WHOLE.replace(":ro", ""),
)
def test_what_is_not_whole_any_more_is_made_whole(text: str) -> None:
    assert has(text, MOUNTS) is False
    assert merged(text, MOUNTS) == WHOLE


@table(
    "text",
    plain=BY_HAND,
    flow=f'services: {{coolify: {{volumes: [ "{PATCH}", "{ENTRY}"]}}}}',
    override=BY_HAND.replace("volumes:", "volumes: !override"),
    merge_key=(
        f"x: &x\n  volumes:\n    - &e {ENTRY}\n    - {PATCH}\nservices:\n  coolify:\n    <<: *x\n"
    ),
    one_of_two_merge_keys=(
        f"x-a: &a {{}}\nx: &x\n  volumes: &v [{ENTRY}, {PATCH}]\n"
        "services:\n  coolify:\n    <<: [*a, *x]\n"
    ),
    aliases=f"x: [&e {ENTRY}, &p {PATCH}]\n{LIST}      - *p\n      - *e\n",
    one_of_each=f"{LIST}      - {ENTRY}  {MARK}\n      - {PATCH} # by hand\n",
    above_them_on_purpose=f"{BY_HAND}      - ./all:/etc/entrypoint.d\n",
)
def test_mounts_that_somebody_wrote_by_hand_are_enough(text: str) -> None:
    assert has(text, MOUNTS)
    assert merged(text, MOUNTS) == text


@table(
    "text",
    reset=BY_HAND.replace("volumes:", "volumes: !reset"),
    override_of_all=BY_HAND.replace("coolify:", "coolify: !override"),
    of_another_service=BY_HAND.replace("coolify:", "redis:"),
    hidden_by_another=BY_HAND + "      - /a:/opt/own/patch.php\n",
    of_a_key_that_is_there_twice=BY_HAND + "  coolify:\n",
    merged_into_itself=f"&a\n<<: [*a, *a]\nx: {ENTRY}\ny: {PATCH}\n",
    no_file=None,
)
def test_mounts_that_docker_compose_does_not_take_are_not_there(text: str | None) -> None:
    assert not has(text, MOUNTS)


def test_what_is_there_by_hand_is_not_written_twice_and_a_key_line_keeps_our_mark() -> None:
    text = f"{LIST}      - {PATCH}\n"

    added = merged(text, MOUNTS)

    assert added == f"{LIST}      - {ENTRY}  {MARK}\n      - {PATCH}\n"
    assert removed(added) == text
    assert merged(merged(None, OLD) + "      - /a:/b\n", MOUNTS) == WHOLE + "      - /a:/b\n"


@table(
    "theirs, at, left",
    a_mount=("      - /a:/b\n", 5, "services:\n  coolify:\n    volumes:\n"),
    a_key_of_the_service=("    image: x\n", 5, "services:\n  coolify:\n"),
    a_service=("  redis:\n    image: x\n", 5, "services:\n"),
    a_key_at_the_top=("name: x\n", 0, ""),
    a_comment=("# x\n", 5, ""),
    a_comment_between=("      # x\n", 3, ""),
)
def test_a_key_line_of_ours_stays_for_what_others_wrote(theirs: str, at: int, left: str) -> None:
    lines = WHOLE.splitlines(keepends=True)
    text = "".join([*lines[:at], theirs, *lines[at:]])

    bare = removed(text, MOUNTS)

    assert bare == left + theirs
    assert has(text, MOUNTS)
    assert with_mounts(bare) == read(text)


@table(
    "text",
    in_a_text=f"x: |\n  - {ENTRY}  {MARK}\n",
    elsewhere=f"services:\n  redis:\n    volumes:\n      - a:/b  {MARK}\n",
    in_comments=f"services: # x {MARK}\n  coolify: {{}} {MARK}\n",
    on_a_text=f"{LIST}      - |  {MARK}\n        /a:/b\n",
    not_at_the_end=f"{LIST}      - /a:/b  {MARK}, and more\n",
    no_yaml_and_nothing_of_ours="a: [\n",
    empty="",
)
def test_what_is_not_ours_is_left_as_it_is(text: str) -> None:
    assert removed(text) == text


@table(
    "text, told",
    by=(BY_HAND, f"line 4 column 9: still mounted, by a line that does not end in {MARK}"),
    no_yaml=(WHOLE + f"  x: {{a: &a {ENTRY}}}\n    - *a\n", "line 7 column 5: not YAML: "),
    an_anchor_that_is_used=(
        WHOLE.replace(f"volumes:  {MARK}", f"volumes:  {MARK}\n      &v") + "x: *v\n",
        "line 3 column 5: changing our lines would change the meaning of other lines",
    ),
)
def test_lines_that_cannot_be_taken_out_by_themselves_are_told(text: str, told: str) -> None:
    with pytest.raises(Problem) as caught:
        removed(text, MOUNTS)

    assert str(caught.value).startswith(told)
    assert str(caught.value).endswith(f"{TAKE_OUT}\n- {ENTRY}\n- {PATCH}")


@table(
    "wrong, told",
    a_comment_less=(lambda text: text.replace("# theirs", "#"), "our lines"),
    another_value=(lambda text: text.replace("/a:/b", "/a:/c"), "changing our"),
    another_mount=(lambda text: text.replace(PATCH, "/c:/d"), "our lines"),
    no_yaml=(lambda text: f"{text}x: [", "changing our"),
)
def test_a_result_that_is_not_the_old_file_and_our_lines_is_not_given_out(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[str], str], told: str
) -> None:
    inserted = compose_file._inserted
    monkeypatch.setattr(compose_file, "_inserted", lambda *given: wrong(inserted(*given)))

    with pytest.raises(Problem, match=f"^line 3 column 5: {told}|^line 4 column 1: {told}"):
        merged(f"{LIST}      - /a:/b # theirs\n", MOUNTS)


@table(
    "mounts",
    none=(),
    a_volume=("relative:/a",),
    a_comment_in_it=("/a:/b #c",),
    a_newline_in_it=("/a:/b\n",),
    twice=(ENTRY, ENTRY),
    two_for_one_target=("/a:/c", "/b:/c:ro"),
)
def test_mounts_that_could_not_stand_in_the_file_are_refused(mounts: tuple[str, ...]) -> None:
    with pytest.raises(Problem, match="not a list of bind mounts"):
        merged(None, mounts)


TOP = "services:\n  coolify:\n"
SECRET = "hunter2"  # noqa: S105 - a made-up one to look for
TAKEN = "another mount has the target of ours, got "
NOT_PLAIN = "is not written as a plain key at the end of its line"
ANCHOR = "has an anchor, others may use it, got &x"
MERGED = "may get volumes from a merge key, got <<"
ITS = "services.coolify.volumes"
SCRIPT = "/etc/entrypoint.d/50-own.sh"
PROGRAM = "/opt/own/patch.php"

# A file, line and column of what is in the way, and what is told of it.
REFUSED = [
    ("{services: {}}\n", "1:1", "the top level is written in flow style, got {"),
    (f"{TOP}    volumes: [/a:/b]\n", "3:14", f"{ITS} is written in flow style, got ["),
    ("services:\n  a: &a {}\n  coolify: *a\n", "3:12", "services.coolify is an alias, got *a"),
    ("&x\nservices:\n", "1:1", "the top level has an anchor, others may use it, got &x"),
    ("services:\n  coolify: &x\n", "2:12", f"services.coolify {ANCHOR}"),
    ("services:\n  &x coolify:\n    a: 1\n", "2:3", f"coolify {NOT_PLAIN}"),
    ("? services\n: coolify:\n    image: x\n", "1:3", f"services {NOT_PLAIN}"),
    (f"{TOP}    volumes: !reset\n      - /a:/b\n", "3:14", f"{ITS} has a YAML tag, got !reset"),
    (f"{TOP}    volumes: !reset null\n", "3:14", f"{ITS} has a YAML tag, got !reset"),
    (f"{TOP}    volumes: !!seq\n      - /a:/b\n", "3:14", f"{ITS} has a YAML tag, got tag:yaml"),
    (f"{LIST}      - !reset /a:/b\n", "4:9", "a mount with a YAML tag, got !reset"),
    (f"x: &x\n  volumes: [/a:/b]\n{TOP}    <<: *x\n", "5:5", f"services.coolify {MERGED}"),
    ("x: &x {}\nservices:\n  a: b\n  <<: *x\n", "4:3", "services may get coolify from a merge"),
    ("- a\n", "1:1", "the top level must be a mapping, got a list"),
    ("a mapping\n", "1:1", "the top level must be a mapping, got a mapping"),
    ("services: ''\n", "1:11", "services must be a mapping, got an empty text"),
    (f"{TOP}    - a\n", "3:5", "services.coolify must be a mapping, got a list"),
    (f"{LIST}      /a: /b\n", "4:7", f"{ITS} must be a list, got a mapping"),
    (f"{TOP}    volumes: /a:/b\n", "3:14", f"{ITS} must be a list, got /a:/b"),
    ("a: 1\n---\nservices:\n", "2:1", "a second document, got ---"),
    ("services:\n  a: 1\nservices:\n", "3:1", "the key services is there twice"),
    ("x: [{a: 1, a: 2}]\n", "1:12", "the key a is there twice"),
    ("? services:\n: a\n", "1:3", "a key that is not a text"),
    (f"services:\n\tb: {SECRET}\n", "2:1", "not YAML: found character '\\t' that cannot start any"),
    (f"services:\r\n  a: {SECRET}\r\n b: 1\r\n", "3:2", "not YAML: expected <block end>, but"),
    (f"a: '{SECRET}\nb: 1\n", "3:1", "not YAML: found unexpected end of stream"),
    (f"services:\n  - {SECRET}: [\n", "3:1", "not YAML: "),
    (f"a: *x\nb: {SECRET}\n", "1:4", "an alias without an anchor, got *x"),
    ("a: \x07\n", "1:4", "unprintable character, got U+0007"),
    ('a: "\\UFFFFFFFF"\n', "", "not YAML: an escape is not a character"),
    (f"a: {'[' * 200}{']' * 200}\n", "1:103", "nested too deeply"),
    ("a: |\n  text without an end", "3:1", "changing our lines would change the meaning of other"),
    (f"{LIST}      - /a:{SCRIPT}\n", "4:9", f"{TAKEN}{SCRIPT}"),
    (f"{LIST}      - '{ENTRY.removesuffix(':ro')}'\n", "4:9", f"{TAKEN}{SCRIPT}"),
    (f"{LIST}      - ${{A:-/a:/b}}:/opt//own/./patch.php/\n", "4:9", f"{TAKEN}{PROGRAM}"),
    (f"{LIST}      - /a:/b\n      - type: bind\n        target: {PROGRAM}\n", "5:9", TAKEN),
    (f"x: &x\n  target: {PROGRAM}\n{LIST}      - <<: *x\n        type: bind\n", "6:9", TAKEN),
    (f"x: &x /a:{PROGRAM}\n{LIST}      - *x\n", "1:4", f"{TAKEN}{PROGRAM}"),
    (f"{LIST}      - {PROGRAM}\n", "4:9", f"{TAKEN}{PROGRAM}"),
    (f"{LIST}      - ./all:/etc/entrypoint.d/:ro\n", "4:9", "this mount covers a directory into"),
]


@pytest.mark.parametrize(("text", "at", "told"), REFUSED, ids=ascii)
def test_what_cannot_be_merged_is_refused_with_its_place_and_the_lines_to_write(
    text: str, at: str, told: str
) -> None:
    with pytest.raises(Problem) as caught:
        merged(text, MOUNTS)

    place = "line {} column {}: ".format(*at.split(":")) if at else ""
    assert str(caught.value).startswith(f"{place}{told}"), str(caught.value)
    assert str(caught.value).endswith(f"\n{lines_to_add(MOUNTS)}")
    assert SECRET not in str(caught.value)
    assert not has(text, MOUNTS)


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

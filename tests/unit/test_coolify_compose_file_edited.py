"""What people do to docker-compose.custom.yml after we were there, and what we do then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify import compose_file
from pyinfra_gvisor.coolify.compose_file import MARK, has, merged, removed
from tests.unit.compose_files import ENTRY, MOUNTS, PATCH, WHOLE, read, with_mounts

OLD = ("/own/old.sh:/etc/entrypoint.d/50-own.sh:ro", "/own/gone:/opt/gone", PATCH)
LIST = "services:\n  coolify:\n    volumes:\n"
BY_HAND = f"{LIST}      - {ENTRY}\n      - {PATCH}\n"
TAKE_OUT = f"the file must not contain these:\n{MARK} at the end of a line"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="a-file-of-ours"),
        pytest.param(f"# x\r\n{LIST}\r\n      - /a:/b", id="volumes"),
        pytest.param("services:\n    coolify:\n        image: x\n", id="a-service"),
    ],
)
def test_an_older_set_of_ours_is_replaced(text: str | None) -> None:
    older = merged(text, OLD)

    assert not has(older, MOUNTS)
    assert merged(older, MOUNTS) == merged(text, MOUNTS)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("  # pyinfra", " # pyinfra"), id="one-space-before-the-mark"),
        pytest.param((MARK, f"{MARK} \t"), id="space-behind-the-mark"),
        pytest.param(("      - ", "            -   "), id="indented-otherwise"),
        pytest.param((ENTRY, f'"{ENTRY}"'), id="quoted"),
        pytest.param(("\n", "\r\n"), id="other-newlines"),
    ],
)
def test_lines_of_ours_in_another_dress_are_still_ours(change: tuple[str, str]) -> None:
    text = WHOLE.replace(*change)

    assert text != WHOLE
    assert has(text, MOUNTS)
    assert removed(text) is None


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        pytest.param(WHOLE.replace(f"      - {ENTRY}  {MARK}\n", ""), 1, id="one-line-gone"),
        pytest.param(f"services:  {MARK}\n", 2, id="only-a-key-left"),
        pytest.param(WHOLE + f"      - {ENTRY}  {MARK}\n", 0, id="a-line-twice"),
        pytest.param(WHOLE + f"      - /c:/d  {MARK}\n", 0, id="a-line-more"),
        pytest.param(WHOLE.replace(":ro", ""), 2, id="writable"),
    ],
)
def test_what_is_not_whole_any_more_is_made_whole(text: str, missing: int) -> None:
    assert not has(text, MOUNTS)
    assert merged(text, MOUNTS) == WHOLE


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BY_HAND, id="plain"),
        pytest.param(f'services: {{coolify: {{volumes: [ "{PATCH}", "{ENTRY}"]}}}}', id="flow"),
        pytest.param(BY_HAND.replace("volumes:", "volumes: !override"), id="override"),
        pytest.param(
            f"x: &x\n  volumes:\n    - &e {ENTRY}\n    - {PATCH}\n"
            "services:\n  coolify:\n    <<: *x\n",
            id="merge-key",
        ),
        pytest.param(
            f"x-a: &a {{}}\nx: &x\n  volumes: &v [{ENTRY}, {PATCH}]\n"
            "services:\n  coolify:\n    <<: [*a, *x]\n",
            id="one-of-two-merge-keys",
        ),
        pytest.param(f"x: [&e {ENTRY}, &p {PATCH}]\n{LIST}      - *p\n      - *e\n", id="aliases"),
        pytest.param(
            f"{LIST}      - {ENTRY}  {MARK}\n      - {PATCH} # by hand\n", id="one-of-each"
        ),
        pytest.param(f"{BY_HAND}      - ./all:/etc/entrypoint.d\n", id="above-them-on-purpose"),
    ],
)
def test_mounts_that_somebody_wrote_by_hand_are_enough(text: str) -> None:
    assert has(text, MOUNTS)
    assert merged(text, MOUNTS) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BY_HAND.replace("volumes:", "volumes: !reset"), id="reset"),
        pytest.param(BY_HAND.replace("coolify:", "coolify: !override"), id="override-of-all"),
        pytest.param(BY_HAND.replace("coolify:", "redis:"), id="of-another-service"),
        pytest.param(BY_HAND + "      - /a:/opt/own/patch.php\n", id="hidden-by-another"),
        pytest.param(BY_HAND + "  coolify:\n", id="of-a-key-that-is-there-twice"),
        pytest.param(f"&a\n<<: [*a, *a]\nx: {ENTRY}\ny: {PATCH}\n", id="merged-into-itself"),
        pytest.param(None, id="no-file"),
    ],
)
def test_mounts_that_docker_compose_does_not_take_are_not_there(text: str | None) -> None:
    assert not has(text, MOUNTS)


def test_what_is_there_by_hand_is_not_written_a_second_time() -> None:
    text = f"{LIST}      - {PATCH}\n"

    added = merged(text, MOUNTS)

    assert added == f"{LIST}      - {ENTRY}  {MARK}\n      - {PATCH}\n"
    assert removed(added) == text


@pytest.mark.parametrize(
    ("theirs", "at", "left"),
    [
        pytest.param("      - /a:/b\n", 5, "services:\n  coolify:\n    volumes:\n", id="a-mount"),
        pytest.param("    image: x\n", 5, "services:\n  coolify:\n", id="a-key-of-the-service"),
        pytest.param("  redis:\n    image: x\n", 5, "services:\n", id="a-service"),
        pytest.param("name: x\n", 0, "", id="a-key-at-the-top"),
        pytest.param("# x\n", 5, "", id="a-comment"),
        pytest.param("      # x\n", 3, "", id="a-comment-between"),
    ],
)
def test_a_key_line_of_ours_stays_for_what_somebody_wrote_beneath_it(
    theirs: str, at: int, left: str
) -> None:
    lines = WHOLE.splitlines(keepends=True)
    text = "".join([*lines[:at], theirs, *lines[at:]])

    bare = removed(text, MOUNTS)

    assert bare == left + theirs
    assert has(text, MOUNTS)
    assert with_mounts(bare) == read(text)


def test_a_key_line_that_stays_keeps_our_mark_while_we_do() -> None:
    text = merged(None, OLD) + "      - /a:/b\n"

    assert merged(text, MOUNTS) == WHOLE + "      - /a:/b\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"x: |\n  - {ENTRY}  {MARK}\n", id="in-a-text"),
        pytest.param(f"services:\n  redis:\n    volumes:\n      - a:/b  {MARK}\n", id="elsewhere"),
        pytest.param(f"services: # x {MARK}\n  coolify: {{}} {MARK}\n", id="in-comments"),
        pytest.param(f"{LIST}      - |  {MARK}\n        /a:/b\n", id="on-a-text"),
        pytest.param(f"{LIST}      - /a:/b  {MARK}, and more\n", id="not-at-the-end"),
        pytest.param("a: [\n", id="no-yaml-and-nothing-of-ours"),
        pytest.param("", id="empty"),
    ],
)
def test_what_is_not_ours_is_left_as_it_is(text: str) -> None:
    assert removed(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            BY_HAND,
            f"line 4 column 9: still mounted, by a line that does not end in {MARK}",
            id="by",
        ),
        pytest.param(
            WHOLE + f"  x: {{a: &a {ENTRY}}}\n    - *a\n",
            "line 7 column 5: not YAML: ",
            id="no-yaml",
        ),
        pytest.param(
            WHOLE.replace(f"volumes:  {MARK}", f"volumes:  {MARK}\n      &v") + "x: *v\n",
            "line 3 column 5: changing our lines would change the meaning of other lines",
            id="an-anchor-that-is-used",
        ),
    ],
)
def test_lines_that_cannot_be_taken_out_by_themselves_are_told(text: str, told: str) -> None:
    with pytest.raises(Problem) as caught:
        removed(text, MOUNTS)

    assert str(caught.value).startswith(told)
    assert str(caught.value).endswith(f"{TAKE_OUT}\n- {ENTRY}\n- {PATCH}")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param(lambda text: text.replace("# theirs", "#"), "our lines", id="a-comment-less"),
        pytest.param(
            lambda text: text.replace("/a:/b", "/a:/c"), "changing our", id="another-value"
        ),
        pytest.param(lambda text: text.replace(PATCH, "/c:/d"), "our lines", id="another-mount"),
        pytest.param(lambda text: f"{text}x: [", "changing our", id="no-yaml"),
    ],
)
def test_a_result_that_is_not_the_old_file_and_our_lines_is_not_given_out(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[str], str], told: str
) -> None:
    inserted = compose_file._inserted
    monkeypatch.setattr(compose_file, "_inserted", lambda *given: wrong(inserted(*given)))

    with pytest.raises(Problem, match=f"^line 3 column 5: {told}|^line 4 column 1: {told}"):
        merged(f"{LIST}      - /a:/b # theirs\n", MOUNTS)


@pytest.mark.parametrize(
    "mounts",
    [
        pytest.param((), id="none"),
        pytest.param(("relative:/a",), id="a-volume"),
        pytest.param(("/a:/b #c",), id="a-comment-in-it"),
        pytest.param(("/a:/b\n",), id="a-newline-in-it"),
        pytest.param((ENTRY, ENTRY), id="twice"),
        pytest.param(("/a:/c", "/b:/c:ro"), id="two-for-one-target"),
    ],
)
def test_mounts_that_could_not_stand_in_the_file_are_refused(mounts: tuple[str, ...]) -> None:
    with pytest.raises(Problem, match="not a list of bind mounts"):
        merged(None, mounts)

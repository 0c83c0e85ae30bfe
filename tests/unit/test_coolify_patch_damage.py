"""``coolify/patch.php`` on a source that is not as we know it, or that may not be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coolify.patcher import Tree

RETURN = "    return $compose_options->toArray();\n"
HEADER = "function convertDockerRunToCompose(?string $custom_docker_run_options = null)\n"
BEGIN = "    // pyinfra-gvisor begin"
END = "    // pyinfra-gvisor end\n"
FIRST_LOOP = "    foreach ($matches as $match) {\n"
NOBODY = 65534


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """The newest Coolify that does not know the option."""
    return Tree(tmp_path, "v4_3_11")


@pytest.fixture
def public() -> Iterator[Tree]:
    """The same where everybody may look at it."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        tree = Tree(root, "v4_3_11")
        tree.temporary.chmod(0o777)
        yield tree
        tree.helper.parent.chmod(0o755)


def _other_user() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


NOT_THERE = "convertDockerRunToCompose() is defined 0 times, expected once"
NOT_ONE_RETURN = (
    "the expected return line is there {} times, or outside convertDockerRunToCompose()"
)
TWICE = "convertDockerRunToCompose() is defined 2 times, expected once"
NO_PAIR = "expected the markers begin and end of our lines, got "
NOT_OURS = "other lines stand between the markers of our lines"

# What is replaced by what, and what is told of it then.
Damage = tuple[list[tuple[str, str]], str]
FUNCTION_DAMAGES: dict[str, Damage] = {
    "no-function": ([(HEADER, HEADER.replace("Docker", "Podman"))], NOT_THERE),
    "function-twice": ([(HEADER, f"{HEADER}{{\n}}\n{HEADER}")], TWICE),
    "old-name-and-new": (
        [(HEADER, f"function convert_docker_run_to_compose()\n{{\n}}\n\n{HEADER}")],
        TWICE,
    ),
    "other-parameter": (
        [(HEADER, HEADER.replace("custom_docker_run_options", "options"))],
        "convertDockerRunToCompose() has no parameter $custom_docker_run_options",
    ),
    "no-return": ([(RETURN, RETURN.replace("toArray", "all"))], NOT_ONE_RETURN.format(0)),
    "return-indented": ([(RETURN, f"    {RETURN}")], NOT_ONE_RETURN.format(0)),
    "return-twice": ([(RETURN, RETURN + RETURN)], NOT_ONE_RETURN.format(2)),
    "return-behind": (
        [(RETURN, f"    return [];\n}}\nfunction other()\n{{\n{RETURN}")],
        NOT_ONE_RETURN.format(1),
    ),
    "return-before": (
        [
            (RETURN, "    return [];\n"),
            (HEADER, f"function other()\n{{\n{RETURN}}}\n{HEADER}"),
        ],
        NOT_ONE_RETURN.format(1),
    ),
}
BLOCK_DAMAGES: dict[str, Damage] = {
    "begin-only": ([(END, "")], f"{NO_PAIR}begin"),
    "end-only": ([(BEGIN, "    // begin")], f"{NO_PAIR}end"),
    "begin-twice": ([(BEGIN, f"{BEGIN}\n{BEGIN}")], f"{NO_PAIR}begin, begin, end"),
    "end-twice": ([(END, END + END)], f"{NO_PAIR}begin, end, end"),
    "end-first": ([(END, ""), (BEGIN, END + BEGIN)], f"{NO_PAIR}end, begin"),
    "code-between": ([(BEGIN, "//"), (FIRST_LOOP, f"{BEGIN}\n{FIRST_LOOP}")], NOT_OURS),
    "function-between": ([(BEGIN, "//"), (END, ""), (HEADER, f"{BEGIN}\n{HEADER}{END}")], NOT_OURS),
    "return-between": ([(END, ""), (RETURN, RETURN + END)], NOT_OURS),
    "markers-changed": (
        [(BEGIN, "    //"), (END, "")],
        "some of our lines stand outside their markers",
    ),
}


def _damage(tree: Tree, edits: list[tuple[str, str]]) -> None:
    for old, new in edits:
        tree.change(old, new)


@pytest.mark.parametrize(
    ("edits", "reason"), [pytest.param(*case, id=name) for name, case in FUNCTION_DAMAGES.items()]
)
def test_a_function_that_is_not_as_we_know_it_is_refused(
    tree: Tree, edits: list[tuple[str, str]], reason: str
) -> None:
    _damage(tree, edits)
    before = tree.seen()

    told, applied, removed = (tree.run(verb) for verb in ("state", "apply", "remove"))

    assert told.code == 0
    assert told["function"] == ("missing" if reason == NOT_THERE else "damaged")
    assert told["reason"] == reason
    assert (applied.code, applied.lines) == (3, [])
    assert applied.error == f"{tree.helper}: {reason}; nothing was changed\n"
    assert (removed.code, removed["changed"]) == (0, "no")  # nothing of ours is there
    assert tree.seen() == before


@pytest.mark.parametrize(
    ("edits", "reason"), [pytest.param(*case, id=name) for name, case in BLOCK_DAMAGES.items()]
)
def test_lines_of_ours_that_cannot_be_told_from_others_are_refused(
    tree: Tree, edits: list[tuple[str, str]], reason: str
) -> None:
    tree.run("apply")
    _damage(tree, edits)
    before = tree.seen()

    state, *answers = (tree.run(verb) for verb in ("state", "apply", "remove"))

    told = f"{tree.helper}: {reason}; nothing was changed\n"
    assert (state["function"], state["reason"]) == ("damaged", reason)
    assert [(answer.code, answer.lines, answer.error) for answer in answers] == [(3, [], told)] * 2
    assert tree.seen() == before


def test_no_file_is_told_and_refused(tree: Tree) -> None:
    tree.helper.unlink()

    told, applied, removed = (tree.run(verb) for verb in ("state", "apply", "remove"))

    assert (told["function"], told["reason"]) == ("missing", "the file does not exist")
    assert (told["sha256"], told["written_s"], told["stat"]) == ("", "", "")
    assert (applied.code, removed.code, removed["changed"]) == (3, 0, "no")
    assert list(tree.helper.parent.iterdir()) == []


def test_a_file_that_may_not_be_read_is_told_and_refused(public: Tree) -> None:
    public.helper.chmod(0o000)

    told, applied, removed = (
        public.run(verb, user=_other_user()) for verb in ("state", "apply", "remove")
    )

    assert (told["function"], told["reason"]) == ("damaged", "the file cannot be read")
    assert (applied.code, removed.code) == (3, 3)


def test_a_directory_that_may_not_be_written_is_refused(public: Tree) -> None:
    public.helper.parent.chmod(0o555)
    before = public.seen()

    answer = public.run("apply", user=_other_user())

    assert (answer.code, answer.lines) == (3, [])
    assert "cannot be written: fopen(" in answer.error
    assert answer.error.count("\n") == 1
    assert public.seen() == before

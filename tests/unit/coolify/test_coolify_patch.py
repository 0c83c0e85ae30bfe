"""``coolify/patch.php``: what it puts in and takes out, and on which sources it changes nothing."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coolify.patcher import HONOURS, TEXT, Tree
from tests.coolify.sources import NAME, UNPATCHED, VERSION
from tests.table import table
from tests.unit.shells import replaced

WWW_DATA = 9999
RETURN = "    return $compose_options->toArray();\n"
BEGIN = "    // pyinfra-gvisor begin"
END = "    // pyinfra-gvisor end\n"
KEYS = ("function", "block", "probe")
OURS_ARE_THERE = "if (str_contains(file_get_contents('bootstrap/helpers/docker.php'), 'begin'))"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """The newest Coolify that does not know the option."""
    return Tree(tmp_path, "v4_3_11")


@table(
    "variant, line_end", {**{name: (name, "\n") for name in UNPATCHED}, "crlf": ("v4_3_11", "\r\n")}
)
def test_a_source_is_patched_once_and_gets_its_own_bytes_back(
    tmp_path: Path, variant: str, line_end: str
) -> None:
    tree = Tree(tmp_path, variant, line_end=line_end)
    original = tree.seen()

    applied = tree.run("apply")
    patched = tree.seen()
    again = tree.run("apply")
    same = tree.seen()
    removed = tree.run("remove")

    assert [answer.code for answer in (applied, again, removed)] == [0, 0, 0]
    assert [answer["changed"] for answer in (applied, again, removed)] == ["yes", "no", "yes"]
    told, gone = ([item[key] for key in KEYS] for item in (applied, removed))
    assert (told, gone) == (["patched", "present", HONOURS], ["unpatched", "none", "[]"])
    assert (same, tree.seen().content) == (patched, original.content)
    assert patched.content.count(line_end.encode()) == patched.content.count(b"\n")
    assert len(patched.content.splitlines()) == len(original.content.splitlines()) + 5
    assert patched.names == original.names


@table(
    "variant, verb, probe",
    native=("native", "apply", HONOURS),
    native_without_us=("native", "remove", HONOURS),
    native_and_broken=("native_list", "apply", '{"runtime":["runscprobe"]}'),
)
def test_a_source_that_knows_the_option_is_left_alone(
    tmp_path: Path, variant: str, verb: str, probe: str
) -> None:
    answer = Tree(tmp_path, variant).run_without_change(verb)

    assert (answer.code, answer["changed"]) == (0, "no")
    assert (answer["function"], answer["probe"]) == ("native", probe)


def test_state_changes_nothing_and_a_source_that_honours_the_option_unseen_is_left_alone(
    tree: Tree,
) -> None:
    before = tree.seen()

    answer = tree.run_without_change("state")

    assert (answer.code, answer.error, answer["function"]) == (0, "", "unpatched")
    assert (answer["name"], answer["version"]) == (NAME, VERSION)
    assert (answer["probe"], answer["written_s"]) == ("[]", "1700000000")
    assert answer["stat"] == f"{before.mode & 0o7777:o}:{before.owner[0]}:{before.owner[1]}"
    assert (len(answer["sha256"]), answer.lines[-1]) == (64, "end")

    tree.change((RETURN, "    return options_with_runtime($compose_options->toArray());\n"))
    tree.autoload("function options_with_runtime($_) { return ['runtime' => 'runscprobe']; }")
    honoured = tree.run_without_change("apply")

    assert (honoured.code, honoured["function"], honoured["changed"]) == (0, "native", "no")
    assert honoured["reason"] == ""


@table(
    "constants, expected",
    asks=("'version' => env('COOLIFY_VERSION') ?: '4.3.11',", "4.9.1"),
    says_so_itself=("'version' => '4.0.0-beta.449',", "4.0.0-beta.449"),
    does_not_say=("'helper_version' => '1.0.15',", "4.9.1"),
)
def test_the_version_is_what_coolify_would_show(tree: Tree, constants: str, expected: str) -> None:
    tree.write("config/constants.php", f"<?php return ['coolify' => [\n{constants}\n]];\n")

    assert tree.run("state", environment={"COOLIFY_VERSION": "4.9.1"})["version"] == expected


@table(
    "old, new",
    edited=("end($pyinfra_gvisor[2])", "'runscprobe'"),
    no_longer_php=("put('runtime', ", "put('runtime' "),
    older=(BEGIN, f"{BEGIN} of old\n    $x = 1;\n//"),
)
def test_another_block_of_ours_is_replaced_or_taken_out(tree: Tree, old: str, new: str) -> None:
    original = tree.seen().content
    tree.run("apply")
    wanted = tree.seen().content
    tree.change((old, new))
    edited = tree.seen().content

    told = tree.run("state")
    applied = tree.run("apply")
    mended = tree.seen().content
    tree.helper.write_bytes(edited)
    removed = tree.run("remove")

    assert (told["function"], told["block"]) == ("patched", "other")
    assert (applied.code, applied["changed"], applied["block"]) == (0, "yes", "present")
    assert (removed.code, removed["changed"], removed["block"]) == (0, "yes", "none")
    assert (mended, tree.seen().content) == (wanted, original)


def test_a_line_that_somebody_put_behind_our_block_stays(tree: Tree) -> None:
    line = "    $compose_options->count();\n"
    tree.change((RETURN, line + RETURN))
    wanted = tree.seen().content
    tree.change((line, ""))
    tree.run("apply")
    tree.change((END, END + line))

    applied = tree.run("apply")
    removed = tree.run("remove")

    assert (applied.code, applied["changed"], applied["block"]) == (0, "yes", "present")
    assert (removed["changed"], tree.seen().content) == ("yes", wanted)


def test_a_block_that_coolify_no_longer_needs_is_taken_out(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "new", "native")
    original = tree.seen().content
    old = Tree(tmp_path / "old", "v4_3_11")
    old.run("apply")
    text = old.helper.read_text()
    block = text[text.index(BEGIN) : text.index(END) + len(END)]
    tree.change((RETURN, block + RETURN))

    answer = tree.run("apply")

    assert (answer.code, answer["changed"], answer["function"]) == (0, "yes", "native")
    assert tree.seen().content == original


def test_mode_owner_and_a_link_to_the_source_stay(tree: Tree, tmp_path: Path) -> None:
    owner = WWW_DATA if os.geteuid() == 0 else os.getuid()
    os.chown(tree.helper, owner, owner if os.geteuid() == 0 else -1)
    tree.helper.chmod(0o640)
    before = tree.seen()

    answer = tree.run("apply")
    after = tree.seen()
    tree.run("remove")
    tree.helper.symlink_to(tree.helper.rename(tmp_path / "real.txt"))
    linked = tree.run("apply")

    assert (answer.code, after.mode, after.owner) == (0, before.mode, before.owner)
    assert after.inode != before.inode  # written beside and renamed
    assert (linked.code, linked["function"]) == (0, "patched")
    assert tree.helper.is_symlink()


def test_before_the_start_the_file_is_dated_back_and_what_a_killed_run_left_is_cleared(
    tree: Tree,
) -> None:
    left, foreign = (tree.helper.parent / name for name in (".pyinfra-gvisor-0f.new", ".other.new"))
    for path in (left, foreign):
        path.write_text("")
        os.utime(path, (1_700_000_000, 1_700_000_000))
    before_s = int(time.time())

    early = int(tree.run("apply", "--before-start")["written_s"])
    tree.run("remove")
    usual = int(tree.run("apply")["written_s"])

    assert before_s - 2 <= early <= usual - 2, "for workers to come"
    assert usual >= before_s
    assert tree.seen().names == [".other.new", "docker.php"]


@table("words", verb=["bogus"], option=["state", "--before-stop"], value=["apply", "--root"])
def test_a_wrong_call_says_how_to_call_and_what_nobody_has_foreseen_is_one_line(
    tree: Tree, words: list[str]
) -> None:
    answer = tree.run_without_change(*words)
    unforeseen = tree.run("state", php=["-d", "disable_functions=proc_open"])

    assert (answer.code, answer.lines) == (2, [])
    assert answer.error == "state|apply|remove|renew [--root=DIR] [--before-start]\n"
    assert (unforeseen.code, unforeseen.lines) == (1, [])
    assert unforeseen.error == "Call to undefined function proc_open()\n"


HEADER = "function convertDockerRunToCompose(?string $custom_docker_run_options = null)\n"
FIRST_LOOP = "    foreach ($matches as $match) {\n"
NOBODY = 65534 if os.geteuid() == 0 else None  # who runs the test, unless that is root


@pytest.fixture
def public() -> Iterator[Tree]:
    """The newest Coolify that does not know the option where everybody may look at it."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        tree = Tree(root, "v4_3_11")
        tree.temporary.chmod(0o777)
        yield tree
        tree.helper.parent.chmod(0o755)


NOT_THERE = "convertDockerRunToCompose() is defined 0 times, expected once"
NOT_ONCE = "the expected return line is there {} times, or outside convertDockerRunToCompose()"
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
    "return-indented": ([(RETURN, f"    {RETURN}")], NOT_ONCE.format(0)),
    "return-twice": ([(RETURN, RETURN + RETURN)], NOT_ONCE.format(2)),
    "return-behind": (
        [(RETURN, f"    return [];\n}}\nfunction other()\n{{\n{RETURN}")],
        NOT_ONCE.format(1),
    ),
    "return-before": (
        [(RETURN, "    return [];\n"), (HEADER, f"function other()\n{{\n{RETURN}}}\n{HEADER}")],
        NOT_ONCE.format(1),
    ),
}
BLOCK_DAMAGES: dict[str, Damage] = {
    "begin-only": ([(END, "")], f"{NO_PAIR}begin"),
    "begin-twice": ([(BEGIN, f"{BEGIN}\n{BEGIN}")], f"{NO_PAIR}begin, begin, end"),
    "end-first": ([(END, ""), (BEGIN, END + BEGIN)], f"{NO_PAIR}end, begin"),
    "code-between": ([(BEGIN, "//"), (FIRST_LOOP, f"{BEGIN}\n{FIRST_LOOP}")], NOT_OURS),
    "function-between": ([(BEGIN, "//"), (END, ""), (HEADER, f"{BEGIN}\n{HEADER}{END}")], NOT_OURS),
    "return-between": ([(END, ""), (RETURN, RETURN + END)], NOT_OURS),
    "markers-changed": (
        [(BEGIN, "    //"), (END, "")],
        "some of our lines stand outside their markers",
    ),
}


@table("edits, reason", FUNCTION_DAMAGES)
def test_a_function_that_is_not_as_we_know_it_is_refused(
    tree: Tree, edits: list[tuple[str, str]], reason: str
) -> None:
    tree.change(*edits)

    told, applied, removed = map(tree.run_without_change, ("state", "apply", "remove"))

    assert told.code == 0
    assert told["function"] == ("missing" if reason == NOT_THERE else "damaged")
    assert (told["reason"], applied.code, applied.lines) == (reason, 3, [])
    assert applied.error == f"{tree.helper}: {reason}; nothing was changed\n"
    assert (removed.code, removed["changed"]) == (0, "no")  # nothing of ours is there


@table("edits, reason", BLOCK_DAMAGES)
def test_lines_of_ours_that_cannot_be_told_from_others_are_refused(
    tree: Tree, edits: list[tuple[str, str]], reason: str
) -> None:
    tree.run("apply")
    tree.change(*edits)

    state, *answers = map(tree.run_without_change, ("state", "apply", "remove"))

    told = f"{tree.helper}: {reason}; nothing was changed\n"
    assert (state["function"], state["reason"]) == ("damaged", reason)
    assert [(answer.code, answer.lines, answer.error) for answer in answers] == [(3, [], told)] * 2


def test_no_file_is_told_and_refused(tree: Tree) -> None:
    tree.helper.unlink()

    told, applied, removed = (tree.run(verb) for verb in ("state", "apply", "remove"))

    assert (told["function"], told["reason"]) == ("missing", "the file does not exist")
    assert (told["sha256"], told["written_s"], told["stat"]) == ("", "", "")
    assert (applied.code, removed.code, removed["changed"]) == (3, 0, "no")
    assert list(tree.helper.parent.iterdir()) == []


def test_a_directory_that_may_not_be_written_and_a_file_that_may_not_be_read_are_refused(
    public: Tree,
) -> None:
    public.helper.parent.chmod(0o555)
    unwritable = public.run_without_change("apply", user=NOBODY)
    public.helper.chmod(0o000)
    told, applied, removed = (
        public.run(verb, user=NOBODY) for verb in ("state", "apply", "remove")
    )

    assert (unwritable.code, unwritable.lines) == (3, [])
    assert "cannot be written: fopen(" in unwritable.error
    assert unwritable.error.count("\n") == 1
    assert (told["function"], told["reason"]) == ("damaged", "the file cannot be read")
    assert (applied.code, removed.code) == (3, 3)


def test_what_php_refuses_is_not_put_in(tree: Tree) -> None:
    function = tree.helper.read_text().removeprefix("<?php")
    tree.helper.write_text(tree.helper.read_text() + "}\n")
    loads = "require_once __DIR__.'/../bootstrap/helpers/docker.php';\n"
    autoload = (tree.root / "vendor/autoload.php").read_text()
    tree.write("vendor/autoload.php", replaced(autoload, {loads: function}))

    answer = tree.run_without_change("apply")

    assert (answer.code, answer.lines) == (4, [])
    assert answer.error.startswith(f"{tree.helper}: php -l: ")
    assert answer.error.endswith("; nothing was changed\n")


def test_a_coolify_that_does_not_run_is_not_touched(tree: Tree) -> None:
    tree.autoload("throw new LogicException('no such class');")

    answer = tree.run_without_change("apply")

    assert (answer.code, answer.lines) == (4, [])
    assert (
        "the function fails without our lines too: LogicException: no such class; nothing was"
        in answer.error
    )


@table(
    "does, reason",
    throws=("throw new Exception('not with me');", "Exception: not with me"),
    dies=("posix_kill(getmypid(), 9);", "PHP ended with status "),
    answers_nothing=("echo 'x'; exit(0);", "x"),
    answers_without_it=("echo 'probe []'; exit(0);", "it answers []"),
)
def test_a_source_that_fails_with_our_lines_is_put_back(tree: Tree, does: str, reason: str) -> None:
    tree.autoload(f"{OURS_ARE_THERE} {{ {does} }}")

    answer = tree.run_without_change("apply", restores=True)

    assert (answer.code, answer.lines) == (4, [])
    assert f"the function fails with our lines: {reason}" in answer.error
    assert answer.error.endswith("; the file was restored\n")


def test_a_coolify_that_hangs_with_our_lines_is_ended_and_put_back(tree: Tree) -> None:
    hangs = "{ file_put_contents('asked', getmypid()); sleep(1000); }"
    tree.autoload(f"{OURS_ARE_THERE} {hangs}")
    text = replaced(TEXT, {"PROBE_S = 20": "PROBE_S = 1"})

    answer = tree.run_without_change("apply", restores=True, text=text)

    assert answer.code == 4
    assert "fails with our lines: no answer within 1 s; the file was restored" in answer.error
    assert not Path("/proc", (tree.root / "asked").read_text()).exists()


def test_what_cannot_be_put_back_is_not_said_to_be(tree: Tree) -> None:
    changes = "file_put_contents('bootstrap/helpers/docker.php', '// x', FILE_APPEND);"
    tree.autoload(f"{OURS_ARE_THERE} {{ {changes} throw new Exception('no'); }}")

    answer = tree.run("apply")

    assert (answer.code, answer.lines) == (1, [])
    assert answer.error.endswith(
        "the function fails with our lines, and the file cannot be restored: "
        "another process has changed it\n"
    )
    assert tree.seen().names == ["docker.php"]

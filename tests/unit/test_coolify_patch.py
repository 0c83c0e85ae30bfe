"""``coolify/patch.php``: what it puts in, and that it takes out no more than that."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.coolify.patcher import HONOURS, Tree
from tests.coolify.sources import SOURCES, UNPATCHED, VERSION

WWW_DATA = 9999
RETURN = "    return $compose_options->toArray();\n"
BEGIN = "    // pyinfra-gvisor begin"
END = "    // pyinfra-gvisor end\n"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """The newest Coolify that does not know the option."""
    return Tree(tmp_path, "v4_3_11")


@pytest.mark.parametrize("line_end", [pytest.param("\n", id="lf"), pytest.param("\r\n", id="crlf")])
@pytest.mark.parametrize("variant", [pytest.param(name, id=name) for name in UNPATCHED])
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
    assert (applied["function"], applied["block"], applied["probe"]) == (
        "patched",
        "present",
        HONOURS,
    )
    assert (removed["function"], removed["block"], removed["probe"]) == ("unpatched", "none", "[]")
    assert same == patched
    assert tree.seen().content == original.content
    assert patched.content.count(line_end.encode()) == patched.content.count(b"\n")
    assert len(patched.content.splitlines()) == len(original.content.splitlines()) + 5
    assert patched.names == original.names


@pytest.mark.parametrize("verb", ["apply", "remove", "state"])
@pytest.mark.parametrize(
    ("variant", "probe"),
    [
        pytest.param("native", HONOURS, id="native"),
        pytest.param("native_list", '{"runtime":["runscprobe"]}', id="native-and-broken"),
    ],
)
def test_a_source_that_knows_the_option_is_left_alone(
    tmp_path: Path, variant: str, probe: str, verb: str
) -> None:
    tree = Tree(tmp_path, variant)
    before = tree.seen()

    answer = tree.run(verb)

    assert (answer.code, answer["function"], answer["probe"]) == (0, "native", probe)
    assert answer["changed"] in ("no", "")
    assert tree.seen() == before


def test_a_source_that_honours_the_option_unseen_is_left_alone(tree: Tree) -> None:
    tree.change(RETURN, "    return options_with_runtime($compose_options->toArray());\n")
    tree.write(
        "vendor/autoload.php",
        (tree.root / "vendor/autoload.php").read_text()
        + "function options_with_runtime($options) { return ['runtime' => 'runscprobe']; }\n",
    )
    before = tree.seen()

    answer = tree.run("apply")

    assert (answer.code, answer["function"], answer["changed"]) == (0, "native", "no")
    assert answer["reason"] == ""
    assert tree.seen() == before


def test_state_changes_nothing_and_tells_what_there_is(tree: Tree) -> None:
    before = tree.seen()

    answer = tree.run("state")

    assert (answer.code, answer.error) == (0, "")
    assert tree.seen() == before
    assert answer["function"] == "unpatched"
    assert answer["name"] == SOURCES["v4_3_11"].function
    assert answer["version"] == VERSION
    assert answer["probe"] == "[]"
    assert answer["written_s"] == "1700000000"
    assert answer["stat"] == f"{before.mode & 0o7777:o}:{before.owner[0]}:{before.owner[1]}"
    assert len(answer["sha256"]) == 64
    assert answer.lines[-1] == "end"


@pytest.mark.parametrize(
    ("constants", "expected"),
    [
        pytest.param("'version' => env('COOLIFY_VERSION') ?: '4.3.11',", "4.9.1", id="asks"),
        pytest.param("'version' => '4.0.0-beta.449',", "4.0.0-beta.449", id="says-so-itself"),
        pytest.param("'helper_version' => '1.0.15',", "4.9.1", id="does-not-say"),
    ],
)
def test_the_version_is_what_coolify_itself_would_show(
    tree: Tree, constants: str, expected: str
) -> None:
    tree.write("config/constants.php", f"<?php return ['coolify' => [\n{constants}\n]];\n")

    answer = tree.run("state", environment={"COOLIFY_VERSION": "4.9.1"})

    assert answer["version"] == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("end($pyinfra_gvisor[2])", "'runscprobe'", id="edited"),
        pytest.param("put('runtime', ", "put('runtime' ", id="no-longer-php"),
        pytest.param(BEGIN, f"{BEGIN} of old\n    $x = 1;\n//", id="older"),
    ],
)
def test_another_block_of_ours_is_replaced(tree: Tree, old: str, new: str) -> None:
    tree.run("apply")
    wanted = tree.seen().content
    tree.change(old, new)

    told = tree.run("state")
    applied = tree.run("apply")

    assert (told["function"], told["block"]) == ("patched", "other")
    assert (applied.code, applied["changed"], applied["block"]) == (0, "yes", "present")
    assert tree.seen().content == wanted


def test_another_block_of_ours_is_taken_out(tree: Tree) -> None:
    original = tree.seen().content
    tree.run("apply")
    tree.change("end($pyinfra_gvisor[2])", "''")

    answer = tree.run("remove")

    assert (answer.code, answer["changed"], answer["block"]) == (0, "yes", "none")
    assert tree.seen().content == original


def test_a_line_that_somebody_put_behind_our_block_stays(tree: Tree) -> None:
    line = "    $compose_options->count();\n"
    tree.change(RETURN, line + RETURN)
    wanted = tree.seen().content
    tree.change(line, "")
    tree.run("apply")
    tree.change(END, END + line)

    applied = tree.run("apply")
    removed = tree.run("remove")

    assert (applied.code, applied["changed"], applied["block"]) == (0, "yes", "present")
    assert removed["changed"] == "yes"
    assert tree.seen().content == wanted


def test_a_block_that_coolify_no_longer_needs_is_taken_out(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "new", "native")
    original = tree.seen().content
    old = Tree(tmp_path / "old", "v4_3_11")
    old.run("apply")
    text = old.helper.read_text()
    block = text[text.index(BEGIN) : text.index(END) + len(END)]
    tree.change(RETURN, block + RETURN)

    answer = tree.run("apply")

    assert (answer.code, answer["changed"], answer["function"]) == (0, "yes", "native")
    assert tree.seen().content == original


def test_mode_and_owner_stay(tree: Tree) -> None:
    owner = WWW_DATA if os.geteuid() == 0 else os.getuid()
    os.chown(tree.helper, owner, owner if os.geteuid() == 0 else -1)
    tree.helper.chmod(0o640)
    before = tree.seen()

    answer = tree.run("apply")

    after = tree.seen()
    assert answer.code == 0
    assert (after.mode, after.owner) == (before.mode, before.owner)
    assert after.inode != before.inode  # written beside and renamed


def test_a_link_to_the_source_stays_a_link(tree: Tree, tmp_path: Path) -> None:
    real = tree.helper.rename(tmp_path / "real.txt")
    tree.helper.symlink_to(real)

    answer = tree.run("apply")

    assert (answer.code, answer["function"]) == (0, "patched")
    assert tree.helper.is_symlink()


def test_before_the_start_the_file_is_dated_back_for_workers_to_come(tree: Tree) -> None:
    before_s = int(time.time())

    early = int(tree.run("apply", "--before-start")["written_s"])
    tree.run("remove")
    usual = int(tree.run("apply")["written_s"])

    assert before_s - 2 <= early <= usual - 2
    assert usual >= before_s


def test_what_a_killed_run_has_left_is_cleared_away(tree: Tree) -> None:
    left, foreign = (tree.helper.parent / name for name in (".pyinfra-gvisor-0f.new", ".other.new"))
    for path in (left, foreign):
        path.write_text("")
        os.utime(path, (1_700_000_000, 1_700_000_000))

    tree.run("apply")

    assert tree.seen().names == [".other.new", "docker.php"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["bogus"], id="verb"),
        pytest.param(["state", "--before-stop"], id="option"),
        pytest.param(["apply", "--root"], id="value"),
    ],
)
def test_a_wrong_call_says_how_to_call(tree: Tree, words: list[str]) -> None:
    before = tree.seen()

    answer = tree.run(*words)

    assert (answer.code, answer.lines) == (2, [])
    assert answer.error == "state|apply|remove|renew [--root=DIR] [--before-start]\n"
    assert tree.seen() == before

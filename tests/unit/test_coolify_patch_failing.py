"""``coolify/patch.php`` where a source with our lines does not work: the old one is put back."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.coolify.patcher import TEXT, Tree
from tests.unit.shells import replaced

DOES_NOTHING = """new class extends Illuminate\\Support\\Collection {
        public function put($key, $value)
        {
            return $key === 'runtime' ? $this : parent::put($key, $value);
        }
    }"""
LONG_AGO = (1_700_000_000, 1_700_000_000)
OURS_ARE_THERE = "if (str_contains(file_get_contents('bootstrap/helpers/docker.php'), 'begin'))"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """The newest Coolify that does not know the option."""
    return Tree(tmp_path, "v4_3_11")


def test_what_php_refuses_is_not_put_in(tree: Tree) -> None:
    function = tree.helper.read_text().removeprefix("<?php")
    tree.helper.write_text(tree.helper.read_text() + "}\n")
    loads = "require_once __DIR__.'/../bootstrap/helpers/docker.php';\n"
    autoload = (tree.root / "vendor/autoload.php").read_text()
    tree.write("vendor/autoload.php", replaced(autoload, {loads: function}))
    before = tree.seen()

    answer = tree.run("apply")

    assert (answer.code, answer.lines) == (4, [])
    assert answer.error.startswith(f"{tree.helper}: php -l: ")
    assert answer.error.endswith("; nothing was changed\n")
    assert tree.seen() == before


def test_a_coolify_that_does_not_run_is_not_touched(tree: Tree) -> None:
    tree.autoload("throw new LogicException('no such class');")
    before = tree.seen()

    answer = tree.run("apply")

    assert (answer.code, answer.lines) == (4, [])
    assert (
        "the function fails without our lines too: LogicException: no such class; nothing was"
        in answer.error
    )
    assert tree.seen() == before


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        pytest.param("throw new Exception('not with me');", "Exception: not with me", id="throws"),
        pytest.param("posix_kill(getmypid(), 9);", "PHP ended with status ", id="dies"),
        pytest.param("echo 'x'; exit(0);", "x", id="answers-nothing"),
    ],
)
def test_a_source_that_does_not_load_with_our_lines_is_put_back(
    tree: Tree, does: str, reason: str
) -> None:
    tree.autoload(f"{OURS_ARE_THERE} {{ {does} }}")
    before = tree.seen()

    answer = tree.run("apply")

    assert (answer.code, answer.lines) == (4, [])
    assert f"the function fails with our lines: {reason}" in answer.error
    assert answer.error.endswith("; the file was restored\n")
    assert replace(tree.seen(), inode=before.inode) == before


def test_a_source_in_which_our_lines_do_nothing_is_put_back(tree: Tree) -> None:
    tree.change("collect([]);\n    preg", f"{DOES_NOTHING};\n    preg")
    os.utime(tree.helper, LONG_AGO)
    before = tree.seen()

    answer = tree.run("apply")

    assert (answer.code, answer.lines) == (4, [])
    assert "the function fails with our lines: it answers []; the file was restored" in answer.error
    assert replace(tree.seen(), inode=before.inode) == before


def test_a_coolify_that_hangs_with_our_lines_is_ended_and_put_back(tree: Tree) -> None:
    hangs = "{ file_put_contents('asked', getmypid()); sleep(1000); }"
    tree.autoload(f"{OURS_ARE_THERE} {hangs}")
    before = tree.seen()

    answer = tree.run("apply", text=replaced(TEXT, {"PROBE_S = 20": "PROBE_S = 1"}))

    assert answer.code == 4
    assert "fails with our lines: no answer within 1 s; the file was restored" in answer.error
    assert tree.seen().content == before.content
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


def test_what_nobody_has_foreseen_is_one_line(tree: Tree) -> None:
    answer = tree.run("state", php=["-d", "disable_functions=proc_open"])

    assert (answer.code, answer.lines) == (1, [])
    assert answer.error == "Call to undefined function proc_open()\n"

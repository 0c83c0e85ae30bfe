"""``coolify/patch.php`` and Horizon, whose processes keep the code that they have read."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.coolify.patcher import Tree
from tests.table import table

START_TIMEOUT_S = 20

# A process of Horizon's notes its number and lives; "keep" is a deployment that runs. What is asked
# to terminate the master sends a signal and does not wait, as Horizon's own command.
ARTISAN = """<?php
$is_master = preg_match('/^(start:)?horizon$/', $argv[1]);
if ($argv !== ['artisan', 'horizon:terminate']) {
    $note = __DIR__.($is_master ? '/master' : '/other');
    file_put_contents("$note.new", (string) getmypid());
    rename("$note.new", $note);
    sleep(1000);
}
file_put_contents(__DIR__.'/terminated', 'x', FILE_APPEND);
if (is_file(__DIR__.'/redis-is-down')) {
    fwrite(STDERR, "Connection refused\\n");
    exit(1);
}
is_file(__DIR__.'/keep') || posix_kill((int) file_get_contents(__DIR__.'/master'), SIGTERM);
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A Coolify with an artisan."""
    tree = Tree(tmp_path, "v4_3_11")
    tree.write("artisan", ARTISAN)
    return tree


@pytest.fixture
def start(tree: Tree) -> Iterator[Start]:
    """Starts a process of artisan's that lives until the test ends; returns once it runs."""
    with ExitStack() as stack:

        def begin(
            *words: str, root: Path = tree.root, cwd: Path = tree.root, program: str = "php"
        ) -> subprocess.Popen[bytes]:
            words = words or ("artisan", "horizon")
            noted = root / ("master" if words[-1].endswith("horizon") else "other")
            noted.unlink(missing_ok=True)
            process = subprocess.Popen([program, *words], cwd=cwd, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            until_s = time.monotonic() + START_TIMEOUT_S
            while program == "php" and not noted.exists():
                assert time.monotonic() < until_s, "artisan does not start"
                time.sleep(0.01)
            return process

        yield begin


def _terminated(tree: Tree) -> int:
    """How often Horizon was asked to end."""
    path = tree.root / "terminated"
    return len(path.read_text()) if path.exists() else 0


@table("before", unpatched=["state"], patched_early=["apply", "--before-start"])
def test_a_worker_that_has_read_the_file_as_it_is_is_left_alone(
    tree: Tree, start: Start, before: list[str]
) -> None:
    tree.run(*before)
    before_s = time.time()
    worker = start()

    answer = tree.run("renew")

    pid, started_s, command = answer["worker"].split(" ", 2)
    assert (answer.code, answer["asked"], answer.all("stale")) == (0, "no", [])
    assert (int(pid), command) == (worker.pid, "php artisan horizon")
    assert before_s - 1 < float(started_s) < time.time() + 1
    assert (_terminated(tree), answer.lines[-1]) == (0, "end")


def test_a_worker_from_before_the_patch_is_asked_to_end_and_does(tree: Tree, start: Start) -> None:
    worker = start()

    applied = tree.run("apply")
    renewed = tree.run("renew")

    assert (applied.all("stale"), applied["asked_s"]) == ([str(worker.pid)], "")
    assert (renewed.code, renewed["asked"]) == (0, "yes")
    assert worker.wait(timeout=START_TIMEOUT_S) == -15
    after = tree.run("state")
    assert (after.all("worker"), after.all("stale"), after["asked_s"]) == ([], [], "")
    assert _terminated(tree) == 1


def test_a_worker_that_ends_a_deployment_first_is_asked_once(tree: Tree, start: Start) -> None:
    tree.write("keep", "")
    worker = start()
    tree.run("apply")
    before_s = int(time.time())

    first, second, told = (tree.run(verb) for verb in ("renew", "renew", "state"))

    assert ([first["asked"], second["asked"]], _terminated(tree)) == (["yes", "no"], 1)
    assert worker.poll() is None
    for answer in (first, second, told):
        assert answer.all("stale") == [str(worker.pid)]
        assert before_s <= int(answer["asked_s"]) <= time.time()


def test_a_worker_that_has_begun_since_is_asked_too(tree: Tree, start: Start) -> None:
    start()
    tree.run("apply")
    tree.run("renew")
    worker = start()
    os.utime(tree.helper)

    answer = tree.run("renew")

    assert (answer["asked"], worker.wait(timeout=START_TIMEOUT_S)) == ("yes", -15)
    assert _terminated(tree) == 2


@table(
    "words",
    master=["artisan", "horizon"],
    old_master=["artisan", "start:horizon"],
    worker=["artisan", "horizon:work", "redis", "--name=default"],
    php_options=["-d", "memory_limit=1G", "artisan", "horizon:supervisor"],
    by_path=["{root}/artisan", "horizon"],
)
def test_every_process_of_horizons_is_found(tree: Tree, start: Start, words: list[str]) -> None:
    asked = [word.format(root=tree.root) for word in words]
    worker = start(*asked)

    (found,) = tree.run("state").all("worker")

    assert found.startswith(f"{worker.pid} ")
    assert found.split(" ", 2)[2] == " ".join(["php", *asked])[:80]


def test_other_processes_are_none_of_horizons(tree: Tree, start: Start, tmp_path: Path) -> None:
    other = tmp_path / "other-site"
    other.mkdir()
    (other / "artisan").write_text(ARTISAN)
    start("artisan", "schedule:work")
    start("artisan", "horizon:terminate", "--wait")
    start("-f", "artisan", "horizon", program="tail")
    start("artisan", "horizon", root=other, cwd=other)
    start(f"{other}/artisan", "horizon", root=other)

    answer = tree.run("state")

    assert (answer.code, answer.all("worker")) == (0, [])


def test_a_horizon_that_cannot_be_asked_is_told_and_asked_again(tree: Tree, start: Start) -> None:
    down = tree.write("redis-is-down", "")
    worker = start()
    tree.run("apply")

    failed = tree.run("renew")
    down.unlink()
    again = tree.run("renew")

    assert (failed.code, failed.lines) == (4, [])
    assert failed.error == "php artisan horizon:terminate: Connection refused\n"
    assert (again["asked"], worker.wait(timeout=START_TIMEOUT_S)) == ("yes", -15)


def test_the_note_follows_no_link(tree: Tree, start: Start, tmp_path: Path) -> None:
    tree.write("keep", "")
    start()
    sum_ = tree.run("apply")["sha256"]
    victim = tmp_path / "victim"
    victim.write_text(f"{time.time() + 1000:.2f}")
    told = victim.read_text()
    note = tree.temporary / f"pyinfra-gvisor-{sum_[:16]}"
    note.symlink_to(victim)

    answer = tree.run("renew")

    assert answer["asked"] == "yes"  # what the link leads to was not believed
    assert victim.read_text() == told
    assert note.is_file()
    assert not note.is_symlink()
    assert [path.name for path in tree.temporary.iterdir()] == [note.name]


def test_without_horizon_nobody_is_asked(tree: Tree) -> None:
    tree.run("apply")

    answer = tree.run("renew")

    assert (answer.code, answer["asked"], _terminated(tree)) == (0, "no", 0)
    assert list(tree.temporary.iterdir()) == []

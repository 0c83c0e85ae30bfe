"""What runs in Coolify's container: the entry script, and Horizon's processes beside the patch."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyinfra_gvisor.coolify.files import entry_text
from tests.coolify.patcher import TEXT, Tree
from tests.table import table
from tests.unit.shells import replaced, stub, toolbox

APPLETS = ("timeout", "cat", "tr", "cut")
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"]}
if shutil.which("busybox"):  # what Alpine has
    SHELLS["busybox"] = ["busybox", "sh"]

FEAR = (
    "pyinfra-gvisor: apps may run directly on the host kernel, "
    "without the runtime that they ask for: "
)
TOLD = 'probe {"runtime":"runscprobe"}\nend'

# As the image's entry point sources: a list of what is to come on standard input, and "set -eu".
SOURCING = """set -eu
cd {directory}
set -- 'first word' second
value=kept
trap 'echo at the end' EXIT
{before}
look() {{
    printf '%s\\n' "$-" "$*" "$PWD" "$value"
    set | grep -v -e '^_=' -e '^BASH' -e '^PIPESTATUS=' -e '^LINENO='
    trap
}}
look > {directory}/before
. {directory}/entry.sh
echo "status $?"
look > {directory}/after
read -r next
echo "next $next"
"""


@dataclass
class Container:
    """A shell, programs in its PATH, and the patcher's place."""

    root: Path
    shell: list[str]
    path: Path

    @property
    def patch(self) -> Path:
        """Where the entry script looks for the patcher."""
        return self.root / "patch.php"

    def php(self, text: str) -> None:
        """A php that does this."""
        stub(self.path, "php", text)

    def start(
        self, changes: Mapping[str, str] | None = None, *, before: str = "", limit_s: int = 30
    ) -> subprocess.CompletedProcess[str]:
        """The entry script sourced; ``before`` runs in the shell that sources it."""
        text = replaced(
            entry_text(),
            {
                "/opt/pyinfra-gvisor/patch.php": self.patch,
                "limit_s=30": f"limit_s={limit_s}",
                "limit_s + 5": "limit_s + 1",
                **(changes or {}),
            },
        )
        (self.root / "entry.sh").write_text(text)
        return subprocess.run(
            [*self.shell, "-c", SOURCING.format(directory=self.root, before=before)],
            check=False,
            input="99-own.sh\n",
            capture_output=True,
            text=True,
            env={"PATH": str(self.path), "HOME": "/nonexistent"},
            timeout=60,
        )

    def expect_as_it_was(self, ran: subprocess.CompletedProcess[str]) -> None:
        """Nothing of the sourcing shell is another, and it went on."""
        assert (ran.returncode, ran.stdout) == (0, "status 0\nnext 99-own.sh\nat the end\n")
        before, after = (self.root / name for name in ("before", "after"))
        assert before.read_text() == after.read_text()
        assert "kept" in before.read_text()


@pytest.fixture(params=[*SHELLS.values()], ids=[*SHELLS])
def container(tmp_path: Path, request: pytest.FixtureRequest) -> Container:
    """Containers whose shells differ: what a shell remembers, and how it ends by errors."""
    words = request.param
    path = toolbox(tmp_path / "bin", without=APPLETS)
    program = shutil.which(words[0])
    assert program, f"{words[0]} is not installed here"
    for name in APPLETS:  # busybox' own where it is the shell
        own = program if words[0] == "busybox" else shutil.which(name)
        assert own, f"{name} is not installed here"
        (path / name).symlink_to(own)
    found = Container(tmp_path, [program, *words[1:]], path)
    found.patch.write_text(TEXT)
    found.php(f"printf 'changed yes\\n%s\\n' '{TOLD}'")
    return found


@table(
    "php, told",
    broken_native=(
        "printf 'changed no\\nprobe []\\nend\\n'",
        f"{FEAR}Coolify knows --runtime, but does not pass it on as one string",
    ),
    refused=(
        "echo 'docker.php: two returns; nothing was changed' >&2; exit 3",
        f"{FEAR}docker.php: two returns; nothing was changed (with 3)",
    ),
    silent=("exit 255", f"{FEAR}the patch gave no reason (with 255)"),
    many_lines=(
        "printf 'Fatal error: a\\nStack trace:\\n#0\\n'; exit 255",
        f"{FEAR}Fatal error: a Stack trace: #0 (with 255)",
    ),
    killed=("kill -9 $$", f"{FEAR}the patch took more than 30 s"),
    reads_what_is_not_its_own=(
        "cat > /dev/null; exit 1",
        f"{FEAR}the patch gave no reason (with 1)",
    ),
)
def test_whatever_php_does_coolify_starts(container: Container, php: str, told: str) -> None:
    container.php(php)

    ran = container.start()

    container.expect_as_it_was(ran)
    assert ran.stderr == f"{told}\n"


@table(
    "php",
    ignores_its_end="trap '' TERM; exec sleep 1000",
    leaves_somebody_with_the_pipe="sleep 4 & sleep 4",
)
def test_a_php_that_hangs_keeps_no_coolify_from_starting(container: Container, php: str) -> None:
    container.php(php)

    ran = container.start(limit_s=1)

    container.expect_as_it_was(ran)
    assert ran.stderr.splitlines()[-1] == f"{FEAR}the patch took more than 1 s"


@pytest.mark.parametrize("lost", ["php", "timeout", "patch.php"])
def test_without_a_program_or_the_patcher_nothing_is_run(container: Container, lost: str) -> None:
    container.php(f"touch {container.root}/ran")
    (container.patch if lost == "patch.php" else container.path / lost).unlink()

    ran = container.start()

    container.expect_as_it_was(ran)
    is_patcher, why = lost == "patch.php", f"{lost} is not installed in this container"
    assert ran.stderr == f"{FEAR}{f'{container.patch} does not exist' if is_patcher else why}\n"
    assert not (container.root / "ran").exists()


@table(
    "before",
    nobody_to_tell="exec 2>&-",
    no_globs_no_clobber="set -fC",
    another_separator="IFS=e",
    term_is_ignored="trap '' TERM",
    variables_of_the_same_names="patch=mine limit_s=mine told=mine",
    functions_of_these_names="php() { exit 9; }; timeout() { exit 9; }",
)
def test_a_shell_that_is_set_otherwise_stays_so(container: Container, before: str) -> None:
    container.expect_as_it_was(container.start(before=before))


def test_the_true_patcher_is_run(container: Container) -> None:
    tree = Tree(container.root / "html", "v4_3_11")
    (container.path / "php").unlink()
    (container.path / "php").symlink_to(str(shutil.which("php")))

    here = {"apply --before-start": f"apply --before-start --root={tree.root}"}
    first = container.start(here)
    second = container.start(here)

    container.expect_as_it_was(second)
    assert first.stderr == "pyinfra-gvisor: Coolify passes --runtime on to Docker from now on\n"
    assert second.stderr == "pyinfra-gvisor: Coolify passes --runtime on to Docker already\n"
    assert b"pyinfra-gvisor begin" in tree.seen().content


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


def test_other_processes_are_none_of_horizons_and_without_it_nobody_is_asked(
    tree: Tree, start: Start, tmp_path: Path
) -> None:
    other = tmp_path / "other-site"
    other.mkdir()
    (other / "artisan").write_text(ARTISAN)
    start("artisan", "schedule:work")
    start("artisan", "horizon:terminate", "--wait")
    start("-f", "artisan", "horizon", program="tail")
    start("artisan", "horizon", root=other, cwd=other)
    start(f"{other}/artisan", "horizon", root=other)
    asked = _terminated(tree)

    answer = tree.run("state")
    tree.run("apply")
    renewed = tree.run("renew")

    assert (answer.code, answer.all("worker")) == (0, [])
    assert (renewed.code, renewed["asked"], _terminated(tree) - asked) == (0, "no", 0)
    assert list(tree.temporary.iterdir()) == []


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

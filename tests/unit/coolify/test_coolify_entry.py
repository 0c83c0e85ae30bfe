"""``coolify/entry.sh``: whatever happens in it, the shell that sources it goes on as it was."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
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

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
WENT_ON = "status 0\nnext 99-own.sh\nat the end\n"


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
        assert (ran.returncode, ran.stdout) == (0, WENT_ON)
        before, after = (self.root / name for name in ("before", "after"))
        assert before.read_text() == after.read_text()
        assert "kept" in before.read_text()


def container_of(root: Path, words: list[str]) -> Container:
    """A container with this shell, whose php and patcher put the option in."""
    path = toolbox(root / "bin", without=APPLETS)
    program = shutil.which(words[0])
    assert program, f"{words[0]} is not installed here"
    for name in APPLETS:  # busybox' own where it is the shell
        own = program if words[0] == "busybox" else shutil.which(name)
        assert own, f"{name} is not installed here"
        (path / name).symlink_to(own)
    found = Container(root, [program, *words[1:]], path)
    found.patch.write_text(TEXT)
    found.php(f"printf 'changed yes\\n%s\\n' '{TOLD}'")
    return found


@pytest.fixture(params=[pytest.param(words, id=name) for name, words in SHELLS.items()])
def any_container(tmp_path: Path, request: pytest.FixtureRequest) -> Container:
    """Containers whose shells differ: what a shell remembers, and how it ends by errors."""
    return container_of(tmp_path, request.param)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    """A container with the shell and programs of Coolify's image, if they are here."""
    return container_of(tmp_path, [*SHELLS.values()][-1])


def test_a_coolify_that_is_patched_is_told_in_one_line(any_container: Container) -> None:
    asked = any_container.root / "asked"
    any_container.php(f"echo \"$*\" > {asked}; printf 'changed yes\\n{TOLD}\\n'")

    ran = any_container.start()

    any_container.expect_as_it_was(ran)
    assert ran.stderr == "pyinfra-gvisor: Coolify passes --runtime on to Docker from now on\n"
    assert asked.read_text() == f"{any_container.patch} apply --before-start\n"


@pytest.mark.parametrize(
    ("php", "told"),
    [
        pytest.param(
            f"printf 'changed no\\n{TOLD}\\n'",
            "pyinfra-gvisor: Coolify passes --runtime on to Docker already",
            id="nothing-to-do",
        ),
        pytest.param(
            "printf 'changed no\\nprobe []\\nend\\n'",
            f"{FEAR}Coolify knows --runtime, but does not pass it on as one string",
            id="broken-native",
        ),
        pytest.param(
            "echo 'docker.php: two returns; nothing was changed' >&2; exit 3",
            f"{FEAR}docker.php: two returns; nothing was changed (with 3)",
            id="refused",
        ),
        pytest.param("exit 255", f"{FEAR}the patch gave no reason (with 255)", id="silent"),
        pytest.param(
            "printf 'Fatal error: a\\nStack trace:\\n#0\\n'; exit 255",
            f"{FEAR}Fatal error: a Stack trace: #0 (with 255)",
            id="many-lines",
        ),
        pytest.param("kill -9 $$", f"{FEAR}the patch took more than 30 s", id="killed"),
        pytest.param(
            "cat > /dev/null; exit 1",
            f"{FEAR}the patch gave no reason (with 1)",
            id="reads-what-is-not-its-own",
        ),
    ],
)
def test_whatever_php_does_coolify_starts(any_container: Container, php: str, told: str) -> None:
    any_container.php(php)

    ran = any_container.start()

    any_container.expect_as_it_was(ran)
    assert ran.stderr == f"{told}\n"


@pytest.mark.parametrize(
    "php",
    [
        pytest.param("trap '' TERM; exec sleep 1000", id="ignores-its-end"),
        pytest.param("sleep 4 & sleep 4", id="leaves-somebody-with-the-pipe"),
    ],
)
def test_a_php_that_hangs_does_not_keep_coolify_from_starting(
    container: Container, php: str
) -> None:
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


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("exec 2>&-", id="nobody-to-tell"),
        pytest.param("set -fC", id="no-globs-no-clobber"),
        pytest.param("IFS=e", id="another-separator"),
        pytest.param("trap '' TERM", id="term-is-ignored"),
        pytest.param("patch=mine limit_s=mine told=mine", id="variables-of-the-same-names"),
        pytest.param("php() { exit 9; }; timeout() { exit 9; }", id="functions-of-these-names"),
    ],
)
def test_a_shell_that_is_set_otherwise_stays_so(any_container: Container, before: str) -> None:
    ran = any_container.start(before=before)

    any_container.expect_as_it_was(ran)


def test_the_true_patcher_is_run(container: Container) -> None:
    tree = Tree(container.root / "html", "v4_3_11")
    (container.path / "php").unlink()
    php = shutil.which("php")
    assert php
    (container.path / "php").symlink_to(php)

    here = {"apply --before-start": f"apply --before-start --root={tree.root}"}
    first = container.start(here)
    second = container.start(here)

    container.expect_as_it_was(second)
    assert first.stderr == "pyinfra-gvisor: Coolify passes --runtime on to Docker from now on\n"
    assert second.stderr == "pyinfra-gvisor: Coolify passes --runtime on to Docker already\n"
    assert b"pyinfra-gvisor begin" in tree.seen().content

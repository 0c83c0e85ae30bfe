"""What this checkout holds, and environments to try it in."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Both would bring the tester's own modules into an environment that is to be without them.
LEAKS = ("PYTHONPATH", "VIRTUAL_ENV")

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION: str = PYPROJECT["project"]["version"]
DEPENDENCIES: list[str] = PYPROJECT["project"]["dependencies"]
LAB: list[str] = PYPROJECT["project"]["optional-dependencies"]["lab"]


def run(*command: str | Path, cwd: Path = ROOT, expect: int = 0) -> str:
    """Both streams of a command, which has to end with the exit code ``expect``."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if key not in LEAKS},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == expect, f"{command}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def files(*folders: str) -> list[Path]:
    """The files that a clone would have, below ``ROOT``, of these folders or of all: each once."""
    return [path for path in _listed(*folders) if (ROOT / path).is_file()]


def packaged() -> dict[str, Path]:
    """Each file of the package by its path there, and where it lies: links are followed."""
    package = Path("pyinfra_gvisor")
    links = [path for path in _listed(str(package)) if (ROOT / path).is_symlink()]
    homes = {link: (ROOT / link).resolve().relative_to(ROOT) for link in links}
    return {
        str(place / path.relative_to(home)): path
        for place, home in {package: package, **homes}.items()
        for path in files(str(home))
    }


def _listed(*folders: str) -> list[Path]:
    # A clone made by another user (CI) is "dubious" to git, which then lists nothing.
    git = ("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z")
    listed = run(*git, "--cached", "--others", "--exclude-standard", "--", *folders)
    return [Path(name) for name in sorted(set(listed.split("\0"))) if name]


def copy_to(target: Path) -> Path:
    """Copy what ``git clone`` would bring, with what is not committed yet; returns ``target``."""
    for path in (path for path in _listed() if (ROOT / path).exists()):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target / path, follow_symlinks=False)
    return target


def without_links(source: Path) -> Path:
    """Turn links into files that name their targets, as pip does with a zip of the source."""
    for link in [path for path in source.rglob("*") if path.is_symlink()]:
        target = link.readlink()
        link.unlink()
        link.write_text(str(target))
    return source


def built_wheel(source: Path, into: Path) -> Path:
    """Return the wheel of a copy, built through the sdist: setuptools leaves files there."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", into, source)
    return next(into.glob("*.whl"))


@dataclass(frozen=True)
class Environment:
    """
    A virtual environment that holds exactly some distributions and what these require.

    They are linked, file by file, from the environment that runs the tests: nothing is downloaded,
    and of the dev extra nothing is in reach but what was asked for.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, requirements: Iterable[str] = DEPENDENCIES) -> "Environment":
        venv.create(path, symlinks=True)
        environment = cls(path)
        for found in _closure(requirements):
            environment._link(found)
        return environment

    @property
    def python(self) -> Path:
        return self.path / "bin/python"

    @property
    def site_packages(self) -> Path:
        return next(self.path.glob("lib/python3*/site-packages"))

    def pip(self, *arguments: str | Path) -> str:
        return run(sys.executable, "-m", "pip", "--python", self.python, *arguments)

    def _link(self, found: Distribution) -> None:
        for file in found.files or ():
            target = Path(str(found.locate_file(file))).resolve()
            # ".." leads to a program in bin/, whose first line names the other environment.
            if ".." not in file.parts and target.exists():
                link = self.site_packages / file
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)


def _closure(requirements: Iterable[str]) -> Iterator[Distribution]:
    wanted, seen = [Requirement(text) for text in requirements], set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or not _applies(requirement):
            continue
        seen.add(name)
        found = distribution(requirement.name)
        wanted += [Requirement(text) for text in found.requires or ()]
        yield found


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})

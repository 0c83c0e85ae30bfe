"""``releases/install.sh`` with a test's own directory of releases, and a server to fetch from."""

import bz2
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.facts.source import question
from tests.unit.programs import program
from tests.unit.releases.file_server import FileServer, Served
from tests.unit.shells import replaced, run, stub, toolbox

RELEASE = "20260928.0"
RUNSC = program(f"runsc version release-{RELEASE}\nspec: 1.2.1\n") + bytes(200_000)
MEMBERS = {
    "runsc": RUNSC,
    "containerd-shim-runsc-v1": b"#!/bin/sh\n",
    "gvisor-bin/gvisor_sentry": b"#!/bin/sh\n" + b"s" * 1000,
}
PATH = "/gvisor.tar.bz2"
TOOLS = ("bzip2", "cmp", "comm", "df", "mountpoint", "od", "rmdir", "sha512sum", "tar", "xargs")


def archive(members: Mapping[str, bytes] = MEMBERS, *odd: tarfile.TarInfo) -> bytes:
    """``gvisor.tar.bz2`` with these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            made.addfile(member, io.BytesIO(content))
        for member in odd:
            made.addfile(member)
    return bz2.compress(buffer.getvalue())


@dataclass
class Machine:
    """A node's release directory, and the programs that are in its PATH."""

    root: Path
    server: FileServer
    tool: str = "curl"

    @property
    def releases(self) -> Path:
        """Where releases go."""
        return self.root / "gvisor" / "releases"

    @property
    def home(self) -> Path:
        """The release's directory."""
        return self.releases / RELEASE

    def install(
        self, *files: str, source: str = "url", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """One run of the script; ``files`` are its arguments."""
        path = self.root / "bin"
        if not path.exists():
            toolbox(path, *TOOLS, self.tool)
            stub(path, "chown", ":")  # tests need not be root
        text = script(
            *("base/holder", "releases/fetch", "base/fetch_packages"),
            *(f"releases/{name}" for name in ("unpack", "manifest", "install")),
            **{
                "host": "node-1",
                "release": RELEASE,
                "arch": "x86_64",
                "source": source,
                "fresh": "no",
                "shown": f"http://m{PATH}",
                "sidecars": "yes",
                "timeout_s": "2",
                "releases_dir": str(self.releases),
                "environment_file": str(self.root / "environment"),
                **variables,
            },
        )
        changes = {"/run/pyinfra-gvisor": self.root / "run", "    sleep 1\n": ""}
        return run(replaced(text, changes), *files, path=path, timeout_s=60)

    def ask(self, *paths: str) -> list[str]:
        """What the node says if it is asked whether it can fetch these paths."""
        path = self.root / "asking"
        if not path.exists():
            toolbox(path, "tail", self.tool)
        return run(question([*map(self.url, paths)]), path=path, timeout_s=60).stdout.splitlines()

    def url(self, path: str) -> str:
        """Where the server has a path, with a password."""
        return f"http://me:secret@127.0.0.1:{self.server.server_port}{path}"

    def fetch(self, body: bytes | Served | None = None, pin: str = "", **variables: str) -> str:
        """A run that gets the archive from the server; all that it said."""
        served = body if isinstance(body, Served) else Served(archive() if body is None else body)
        self.server.files[PATH] = served
        url = self.url(PATH)
        pin = pin or hashlib.sha512(served.content).hexdigest()
        ran = self.install("gvisor.tar.bz2", pin, url, f"http://m{PATH}", **variables)
        assert "secret" not in ran.stdout + ran.stderr
        assert ran.returncode in (0, 1, -9), ran.stderr
        return ran.stdout if ran.returncode == 0 else ran.stderr

    def manifest(self) -> dict[str, object]:
        """What was written down."""
        text = (self.home / "manifest.json").read_text()
        assert text.count("\n") == 1
        found: dict[str, object] = json.loads(text)
        return found

    def is_whole(self) -> bool:
        """Whether all is as in the archive, its manifest fits, and nothing else is there."""
        look = r"find . ! -type d ! -path ./manifest.json -printf '%P %y %m %U:%G %s %T@ %C@\n'"
        lines = run(f"cd '{self.home}' && {look} | LC_ALL=C sort").stdout.splitlines()
        there = {
            str(path.relative_to(self.home)): path.read_bytes()
            for path in self.home.rglob("*")
            if path.is_file() and path.name != "manifest.json"
        }
        return there == MEMBERS and self.manifest()["stat"] == lines and self.is_clean()

    def is_clean(self) -> bool:
        """Whether nothing but releases is left."""
        left = [path.name for path in self.releases.iterdir()] if self.releases.exists() else []
        return all(not name.startswith(".") for name in left)

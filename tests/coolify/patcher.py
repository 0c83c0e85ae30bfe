"""``coolify/patch.php`` run on a tree that has what it looks at of Coolify's."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.coolify.sources import HELPER, lay_out

TEXT = files("pyinfra_gvisor.coolify").joinpath("patch.php").read_text(encoding="utf-8")
HONOURS = '{"runtime":"runscprobe"}'
TIMEOUT_S = 60
LONG_AGO = (1_700_000_000, 1_700_000_000)


@dataclass(frozen=True)
class Answer:
    """What one run told; ``lines`` are those that it printed."""

    code: int
    lines: list[str]
    error: str

    def __getitem__(self, key: str) -> str:
        """The value of a key, empty if it was not told."""
        return next((value for value in self.all(key)), "")

    def all(self, key: str) -> list[str]:
        """Every value of a key."""
        return [line[len(key) + 1 :] for line in self.lines if line.startswith(f"{key} ")]


@dataclass(frozen=True)
class Seen:
    """All of a directory that a change of the file in it would show in."""

    content: bytes
    inode: int
    mtime_ns: int
    mode: int
    owner: tuple[int, int]
    names: list[str]


class Tree:
    """A tree of Coolify's at ``root``; the function's file is ``helper``."""

    def __init__(self, root: Path, variant: str, *, line_end: str = "\n") -> None:
        self.root = root
        self.helper = lay_out(root, variant)
        if line_end != "\n":
            self.helper.write_bytes(self.helper.read_bytes().replace(b"\n", line_end.encode()))
        self.temporary = root / "tmp"
        self.temporary.mkdir()
        os.utime(self.helper, LONG_AGO)

    def run(
        self,
        verb: str,
        *options: str,
        text: str = TEXT,
        php: Sequence[str] = (),
        user: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Answer:
        """
        The program, handed to PHP as ``docker exec`` does it.

        + text: another program in its place
        + php: options of PHP itself
        + user: who runs it, None for who runs the test
        """
        ran = subprocess.run(
            ["php", *php, "--", verb, f"--root={self.root}", *options],
            check=False,
            input=text.encode(),
            capture_output=True,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(self.temporary), **(environment or {})},
            cwd="/",
            timeout=TIMEOUT_S,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        return Answer(ran.returncode, ran.stdout.decode().splitlines(), ran.stderr.decode())

    def run_without_change(
        self, verb: str, *words: str, restores: bool = False, **options: Any
    ) -> Answer:
        """The same where nothing may be another then, but for the inode of a file put back."""
        before = self.seen()
        answer = self.run(verb, *words, **options)
        after = self.seen()
        assert after == (replace(before, inode=after.inode) if restores else before)
        return answer

    def seen(self) -> Seen:
        """The file and its directory as they are."""
        status = self.helper.stat()
        return Seen(
            self.helper.read_bytes(),
            status.st_ino,
            status.st_mtime_ns,
            status.st_mode,
            (status.st_uid, status.st_gid),
            sorted(os.listdir(self.helper.parent)),  # noqa: PTH208 - names, not paths
        )

    def write(self, name: str, text: str) -> Path:
        """Another file of the tree."""
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return path

    def autoload(self, lines: str) -> None:
        """Have these lines run before the function's file is read, whoever loads Coolify."""
        text = (self.root / "vendor/autoload.php").read_text(encoding="utf-8")
        self.write("vendor/autoload.php", text.replace("<?php\n", f"<?php\n{lines}\n"))

    def change(self, *edits: tuple[str, str]) -> None:
        """The function's file with each text replaced by another; it has to be there once."""
        text = self.helper.read_bytes().decode()
        for old, new in edits:
            assert text.count(old) == 1, f"{HELPER} holds it {text.count(old)} times: {old}"
            text = text.replace(old, new)
        self.helper.write_bytes(text.encode())
        os.utime(self.helper, LONG_AGO)

"""Cut a version: its number, its part of the changelog, a commit and a tag."""

from __future__ import annotations

import re
import subprocess
from datetime import date
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem

UMASK = 0o022  # a wheel has the modes of the checkout that it is built from
_UNRELEASED = "## [Unreleased]\n"


def git(root: Path, *words: str) -> str:
    """Return what git prints. Raises ``Problem`` if it fails."""
    ran = subprocess.run(
        ("git", *words), cwd=root, capture_output=True, text=True, check=False, umask=UMASK
    )
    if ran.returncode:
        raise Problem(f"git {words[0]}: {ran.stderr.strip()}")
    return ran.stdout.strip()


def cut(root: Path, version: str, day: date) -> None:
    """
    Write the version and its date, commit them, and tag the commit as ``v`` and the version.

    + root: a clean checkout
    + version: such as ``0.2.0``

    Raises ``Problem`` before the first change if something was not committed, if the tag exists, or
    if the changelog has nothing to release.
    """
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version):
        raise Problem("not a version", got=version, todo="write three numbers, such as 0.2.0")
    if changed := git(root, "status", "--porcelain"):
        raise Problem("the checkout has changes", got=changed, todo="commit or remove them")
    if git(root, "tag", "--list", f"v{version}"):
        raise Problem("this version exists", got=f"v{version}", todo="choose the next one")
    project, changelog = root / "pyproject.toml", root / "CHANGELOG.md"
    texts = {
        project: _numbered(project.read_text(encoding="utf-8"), version),
        changelog: _dated(changelog.read_text(encoding="utf-8"), version, day),
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    git(root, "commit", "--quiet", "-m", f"Release {version}", *map(str, texts))
    git(root, "tag", "--annotate", f"v{version}", "-m", f"pyinfra-gvisor {version}")


def _numbered(text: str, version: str) -> str:
    found, count = re.subn(r'(?m)^version = "[^"]*"$', f'version = "{version}"', text)
    if count != 1:
        raise Problem("pyproject.toml does not have one version", got=count)
    return found


def _dated(text: str, version: str, day: date) -> str:
    before, found, rest = text.partition(_UNRELEASED)
    if not found or not rest.partition("\n## [")[0].strip():
        todo = "write what is new below [Unreleased]"
        raise Problem("CHANGELOG.md has nothing to release", todo=todo)
    return f"{before}{_UNRELEASED}\n## [{version}] - {day}\n{rest}"

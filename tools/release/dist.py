"""
Build what is published of a commit: wheel, source distribution, zipapp, docs, SBOM, sums.

Two builds of one commit are the same to the byte: times are those of the commit, as
https://reproducible-builds.org/specs/source-date-epoch/ describes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem
from tools.release.cut import UMASK, git

SUMS = "SHA256SUMS"
NAMESPACE = "file"  # of the signature: ssh-keygen(1), -Y sign


def build(root: Path, into: Path, *, signing_key: Path | None = None) -> list[Path]:
    """
    Build all files of the commit that is checked out, and return their paths.

    + root: a checkout without changes
    + into: an empty or new directory
    + signing_key: a private key of OpenSSH, or the public key of one that the agent has. None for
      no signature

    Raises ``Problem`` if the checkout has changes, or if a program fails.
    """
    if git(root, "status", "--porcelain"):
        raise Problem("the checkout has changes", todo="commit or remove them")
    if into.exists() and any(into.iterdir()):
        raise Problem(f"{into} is not empty", todo="give a new directory")
    into.mkdir(parents=True, exist_ok=True)
    into = into.resolve()
    epoch_s = int(git(root, "log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory() as made:
        source = Path(made, "source")
        git(root, "worktree", "add", "--quiet", "--detach", str(source))
        try:
            _build(source, into, epoch_s)
        finally:
            git(root, "worktree", "remove", "--force", str(source))
    _write_sums(into)
    if signing_key:
        _run(into, epoch_s, "ssh-keygen", "-q", "-Y", "sign", "-f", str(signing_key.resolve()),
             "-n", NAMESPACE, SUMS)  # fmt: skip
    return sorted(into.iterdir())


def _build(source: Path, into: Path, epoch_s: int) -> None:
    """Build from a clean copy of the commit."""
    python, version = sys.executable, _version(source)
    _run(source, epoch_s, python, "-m", "build", "--no-isolation", "--outdir", str(into))
    for path in into.glob("*.tar.gz"):
        _rewrite(path, epoch_s)
    site = source / "site"
    _run(source, epoch_s, python, "-m", "mkdocs", "build", "--quiet", "--strict",
         "--site-dir", str(site))  # fmt: skip
    _pack(into / f"pyinfra_gvisor-{version}-docs.tar.gz", site, epoch_s)
    with tempfile.TemporaryDirectory() as made:
        python = install(source, next(into.glob("*.whl")), made, epoch_s)
        bom = into / f"pyinfra_gvisor-{version}.cdx.json"
        _run(source, epoch_s, sys.executable, "-m", "cyclonedx_py", "environment",
             "--output-reproducible", "--pyproject", "pyproject.toml", "--mc-type", "application",
             "--output-file", str(bom), python)  # fmt: skip
        write_zipapp(
            source, Path(made), into / f"pyinfra_gvisor-{version}-{zipapp_tag()}.pyz", epoch_s
        )


def zipapp_tag() -> str:
    """Return for which Python and processor a zipapp is that this machine builds."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}"


def _version(source: Path) -> str:
    found: str = tomllib.loads((source / "pyproject.toml").read_text())["project"]["version"]
    return found


def _run(directory: Path, epoch_s: int, *command: str) -> None:
    given = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch_s), "NO_MKDOCS_2_WARNING": "1"}
    if (directory / "pyproject.toml").exists():
        given["DOCS_VERSION"] = f"Version {_version(directory)}"
    ran = subprocess.run(
        command, cwd=directory, env=given, capture_output=True, text=True, check=False, umask=UMASK
    )
    if ran.returncode:
        raise Problem(f"{command[0]} failed", got=(ran.stdout + ran.stderr)[-300:])


def _rewrite(path: Path, epoch_s: int) -> None:
    """Write an archive again, without what differs between two builds of one source."""
    with tarfile.open(path) as old:
        found = [(item, old.extractfile(item)) for item in old.getmembers()]
        contents = [(item, stream.read() if stream else b"") for item, stream in found]
    _write_tar(path, contents, epoch_s)


def _pack(path: Path, directory: Path, epoch_s: int) -> None:
    """Write the files of a directory as an archive."""
    contents = []
    for file in sorted(item for item in directory.rglob("*") if item.is_file()):
        item = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{file.relative_to(directory)}")
        contents.append((item, _plain(file, epoch_s)))
    _write_tar(path, contents, epoch_s)


def _plain(file: Path, epoch_s: int) -> bytes:
    """Return a file of the site; a packed one is packed again, as it has the time of the build."""
    content = file.read_bytes()
    if file.suffix != ".gz":
        return content
    return gzip.compress(gzip.decompress(content), mtime=epoch_s)


def _write_tar(path: Path, contents: Iterable[tuple[tarfile.TarInfo, bytes]], epoch_s: int) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for item, content in sorted(contents, key=lambda pair: pair[0].name):
            item.size, item.mtime, item.uid, item.gid = len(content), epoch_s, 0, 0
            item.uname = item.gname = ""
            item.mode = 0o755 if item.isdir() or item.mode & 0o111 else 0o644
            item.pax_headers = {}
            archive.addfile(item, io.BytesIO(content))
    path.write_bytes(gzip.compress(raw.getvalue(), mtime=epoch_s))


def install(source: Path, wheel: Path, into: str, epoch_s: int) -> str:
    """
    Install the wheel with its dependencies as they were tested; return the path of Python.

    + source: a checkout
    + into: the virtual environment, which is made
    + epoch_s: the time of what is built, in seconds since 1970
    """
    _run(source, epoch_s, sys.executable, "-m", "venv", "--without-pip", into)
    python = f"{into}/bin/python"
    _run(source, epoch_s, sys.executable, "-m", "pip", "--python", python, "install", "-q",
         "--no-compile", "--constraint", ".ci/constraints.txt", str(wheel))  # fmt: skip
    return python


def write_zipapp(source: Path, installed: Path, zipapp: Path, epoch_s: int) -> None:
    """
    Write one file that has all: Python runs it, and unpacks it at its first start.

    + source: a checkout
    + installed: the virtual environment that ``install`` has filled
    + zipapp: the file
    + epoch_s: the time of its contents, in seconds since 1970

    It lacks what tells where the wheel was installed from.
    """
    [site_packages] = installed.glob("lib/python*/site-packages")
    for name in ("direct_url.json", "RECORD"):
        for path in site_packages.glob(f"*.dist-info/{name}"):
            path.unlink()
    _run(source, epoch_s, sys.executable, "-m", "shiv", "--site-packages", str(site_packages),
         "--console-script", "pyinfra-gvisor", "--extend-pythonpath", "--reproducible",
         "--python", "/usr/bin/python3", "--output-file", str(zipapp))  # fmt: skip


def _write_sums(into: Path) -> None:
    """Write the checksums, as ``sha256sum`` has them."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(into.iterdir())
    ]
    (into / SUMS).write_text("".join(lines))

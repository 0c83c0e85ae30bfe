"""Bring a release to a node: the node downloads it, or the controller uploads it."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pyinfra import host, logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.output import format_text
from pyinfra.connectors.ssh import SSHException

from pyinfra_gvisor.base.columns import is_terminal
from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.facts import deadline
from pyinfra_gvisor.releases.sources import Fetch, ReleaseFile, shown_url
from pyinfra_gvisor.run_support.changes import recorded
from pyinfra_gvisor.run_support.connector_arguments import connector_arguments
from pyinfra_gvisor.run_support.ending import because
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR

SHOWN_EVERY_S = 5.0  # between two lines about an upload: in between pyinfra shows its spinner

_PARTS = (
    "base/holder",
    "releases/fetch",
    "base/fetch_packages",
    "releases/unpack",
    "releases/manifest",
    "releases/install",
)


def install(
    fetch: Fetch, arch: str, *, damaged: bool, fresh: bool = False
) -> Generator[PyinfraCommand, None, None]:
    """
    Yield the commands that install the release on the host of the current operation.

    + fetch: the files and their sources
    + arch: the node's architecture
    + damaged: the release is installed and its files were changed; a repair may need no download
    + fresh: get the files even if the installed release is unchanged
    """
    job = _Job(fetch, arch, damaged, fresh, connector_arguments())
    if fetch.kind != "file":
        yield job.command(host, fetch.kind, fetch.files)
        return
    yield FunctionCommand(_upload_and_install, (job,), {})


@dataclass(frozen=True)
class _Job:
    fetch: Fetch
    arch: str
    damaged: bool
    fresh: bool
    arguments: Mapping[str, Any]  # such as _sudo: commands run by hand do not get them from pyinfra

    def run(self, host: Host, source: str, files: tuple[ReleaseFile, ...]) -> bool:
        """
        Run the script, say its messages, and return True if it succeeded.

        With ``source`` "none" it repairs only what needs no file, and says no error.
        """
        ok, output = host.run_shell_command(self.command(host, source, files), **self.arguments)
        told = self.damaged or self.fresh or host.state.config.DIFF
        for line in output.stdout_lines if ok and told else ():
            host.log(line)
        for line in () if ok or source == "none" else output.stderr_lines:
            host.log(line, logger.error)
        return bool(ok)

    def command(self, host: Host, source: str, files: tuple[ReleaseFile, ...]) -> StringCommand:
        """Return the command that runs the script on a node."""
        fetch = self.fetch
        text = script(
            *_PARTS,
            host=host.name,
            release=fetch.release,
            arch=self.arch,
            source=source,
            fresh="yes" if self.fresh else "no",
            shown=fetch.origin,
            sidecars="yes" if fetch.sidecars else "no",
            timeout_s=fetch.timeout_s,
            releases_dir=RELEASES_DIR,
            repository=fetch.repository,
            key=fetch.key,
            key_shown=shown_url(fetch.key),
        )
        shown = {file.name: shown_url(file.location) for file in fetch.files}
        words = [
            QuoteString(word)
            for file in files
            for word in (file.name, file.sha512, file.location, shown[file.name])
        ]
        text = recorded(f"gvisor.release: install {fetch.release}", text)
        kind = StringCommand if source in ("file", "none") else deadline.Download
        return kind("sh", "-c", QuoteString(text), "sh", *words)


def _upload_and_install(state: State, host: Host, job: _Job) -> bool:
    if job.damaged and not job.fresh and job.run(host, "none", ()):
        return True
    # The login user uploads to the temporary directory; the script, as root, copies from there.
    uploads = {file: host.get_temp_filename(file.location) for file in job.fetch.files}
    try:
        for file, remote in uploads.items():
            _upload(host, Path(file.location), remote)
        files = tuple(file._replace(location=remote) for file, remote in uploads.items())
        return job.run(host, "file", files)
    except (OSError, EOFError, SSHException) as error:
        why = str(error) or type(error).__name__
        what = Problem("the upload failed", got=why, todo="nothing was changed; run again")
        text = what.at("gvisor.release", job.fetch.release, host.name)
        host.log(format_text(text, "red"), logger.error)
        because(host, str(what))
        return False
    finally:
        host.run_shell_command(StringCommand("rm", "-f", *map(QuoteString, uploads.values())))


def _upload(host: Host, path: Path, remote: str) -> None:
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        if not host.put_file(Progress(file, size_bytes, host, path.name), remote):
            raise OSError(f"{path.name} is not on the node afterwards")


class Progress:
    """
    A file whose upload may take as long as there is progress.

    On a terminal it says how much of it was read, each tenth that takes long.
    """

    def __init__(self, file: IO[bytes], size_bytes: int, host: Host, title: str) -> None:
        self._file, self._size_bytes, self._host, self._title = file, size_bytes, host, title
        self._tenths, self._said_s = 0, time.monotonic()

    def read(self, size: int = -1) -> bytes:
        """Do as a file does."""
        piece = self._file.read(size)
        deadline.progressed(self._host)
        if self._size_bytes:
            self._show(self._file.tell() * 10 // self._size_bytes)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        """Do as a file does: another attempt begins at the start."""
        self._tenths = 0
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Do as a file does."""
        return self._file.tell()

    def _show(self, tenths: int) -> None:
        now_s = time.monotonic()
        if tenths > self._tenths and now_s - self._said_s >= SHOWN_EVERY_S and is_terminal():
            self._tenths, self._said_s = tenths, now_s
            self._host.log(bar(self._title, tenths, self._size_bytes))


def bar(title: str, tenths: int, size_bytes: int) -> str:
    """Return how far an upload is: ``upload gvisor.tar.bz2 [#####-----] 50 % of 165 MB``."""
    done = "#" * tenths + "-" * (10 - tenths)
    return f"upload {cut(title)} [{done}] {tenths * 10} % of {round(size_bytes / 1e6)} MB"

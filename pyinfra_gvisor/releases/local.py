"""Release files on the controller: check that they exist and have the pinned checksums."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases.sources import Archive, Fetch, ReleaseFile


def planned(archive: Archive, version: str, arch: str) -> Fetch:
    """
    Return the files to download for a release, with a directory on the controller resolved.

    Raises ``Problem`` if ``version`` is not a release, if a sha512 is unknown, or if a file on the
    controller is missing, unreadable or has another checksum.
    """
    if archive.source.startswith("/") and Path(archive.source).is_dir():
        archive = archive.below(archive.source)
    fetch = archive.fetch(version, arch)
    for file in fetch.files if fetch.kind == "file" else ():
        _check(file)
    return fetch


def _check(file: ReleaseFile) -> None:
    if not Path(file.location).is_file():
        raise Problem(
            "no such file on the controller", got=file.location, todo="check gvisor_source"
        )
    try:
        found = Path(file.location).stat()
        digest = _sha512(file.location, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise Problem(
            f"cannot be read on the controller: {error.strerror}",
            got=file.location,
            todo="check the file's permissions",
        ) from None
    if digest != file.sha512:
        what = f"sha512 of {file.location} is {digest}, expected {file.sha512}"
        raise Problem(what, todo="download the file again, or correct gvisor_sha512")


@lru_cache(maxsize=64)
def _sha512(path: str, _size_bytes: int, _changed_ns: int) -> str:
    """Return a file's sha512, computed once for all hosts: an archive has 165 MB."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha512").hexdigest()

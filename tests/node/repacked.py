"""Today's release in an archive that a node unpacks in a second: bzip2 takes five of CPU."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.lab import lab_arch
from tools.lab.cache import Cache


def repacked(released: Mapping[str, Any], cache: Cache) -> dict[str, Any]:
    """
    The settings of a release, with the same bytes packed by gzip; tar sees by itself which it is.

    + released: settings that name a release's archive on this machine, and its sum
    """
    if "gvisor_sha512" not in released:  # Debian's package
        return dict(released)
    arch = lab_arch(os.environ)
    place = {"release": released["gvisor_release"], "arch": arch, "file": "gvisor.tar.bz2"}
    archive = Path(str(released["gvisor_source"]).format(**place))
    below = cache.root / "repacked" / released["gvisor_sha512"][arch][:16]
    made = below.joinpath(*archive.parts[1:])  # keeps lab-build-… in the path
    with cache.lock("repacked"):
        if not made.is_file():
            _repack(archive, made)
    with made.open("rb") as file:
        sum_ = hashlib.file_digest(file, "sha512").hexdigest()
    return {**released, "gvisor_source": str(made), "gvisor_sha512": {arch: sum_}}


def _repack(archive: Path, made: Path) -> None:
    made.parent.mkdir(parents=True, exist_ok=True)
    beside = made.with_name(f".{made.name}.{os.getpid()}")
    with (
        bz2.open(archive) as source,
        beside.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as target,
    ):
        shutil.copyfileobj(source, target, 1 << 20)
    beside.replace(made)

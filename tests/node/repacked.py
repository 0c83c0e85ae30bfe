"""Today's release in an archive that a node unpacks at once: bzip2 takes five seconds of CPU."""

import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.lab import lab_arch
from tools.lab.build import digest
from tools.lab.cache import Cache

_UNPACK = {"bzip2": ("bzip2", "-dc"), "zstd": ("zstd", "-dcq")}
# The archive has the same program twice, further apart than a window without --long.
_PACK = ("zstd", "-q", "-1", "--long=27", "-o")


def repacked(released: Mapping[str, Any], cache: Cache) -> dict[str, Any]:
    """
    The settings of a release, with the same bytes packed by zstd; tar sees by itself which it is.

    + released: settings that name a release's archive on this machine, and its sum
    """
    if "gvisor_sha512" not in released:  # Debian's package
        return dict(released)
    arch = lab_arch(os.environ)
    place = {"release": released["gvisor_release"], "arch": arch, "file": "gvisor.tar.bz2"}
    archive = Path(str(released["gvisor_source"]).format(**place))
    below = cache.root / "repacked" / f"{released['gvisor_sha512'][arch][:16]}.zst"
    made = below.joinpath(*archive.parts[1:])  # keeps lab-build-… in the path
    with cache.lock("repacked"):
        if not made.is_file():
            made.parent.mkdir(parents=True, exist_ok=True)
            beside = made.with_name(f".{made.name}.{os.getpid()}")
            with _unpacked(archive, "bzip2") as plain:
                pack(plain, beside)
            beside.replace(made)
    sums = {arch: digest(made, "sha512")}
    return {**released, "gvisor_source": str(made), "gvisor_sha512": sums}


def pack(plain: Any, path: Path) -> None:
    """Write what a file yields to ``path``, packed by zstd."""
    subprocess.run([*_PACK, str(path)], stdin=plain, check=True)


def members_of(archive: Path) -> dict[str, bytes]:
    """Return the files in an archive that was packed here, by name."""
    with _unpacked(archive, "zstd") as plain, tarfile.open(fileobj=plain, mode="r|") as opened:
        found = {item.name: file.read() for item in opened if (file := opened.extractfile(item))}
        plain.read()  # or zstd ends by a signal
    return found


@contextmanager
def _unpacked(archive: Path, by: str) -> Iterator[Any]:
    with subprocess.Popen([*_UNPACK[by], str(archive)], stdout=subprocess.PIPE) as unpacking:
        yield unpacking.stdout
    assert unpacking.returncode == 0, archive

"""Choose the nodes' runsc: built here, an official archive, or Debian's old package."""

import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra_gvisor.releases import printed_release
from pyinfra_gvisor.releases.lock import known
from tools.lab import parts
from tools.lab.build import Tell, digest
from tools.lab.cache import Cache
from tools.lab.spec import LabError, lab_arch

SETTING = "GVISOR_LAB_RUNSC"
DEBIAN_RELEASE = "20240729.0"
_RUN_TIMEOUT_S = 30


@dataclass(frozen=True)
class Runsc:
    """The runsc that nodes install: settings of this package, and a description."""

    settings: Mapping[str, Any]
    what: str

    @property
    def release(self) -> str:
        """Return the release that this runsc reports."""
        return str(self.settings["gvisor_release"])


def chosen(environment: Mapping[str, str], *, lab: str, cache: Cache, tell: Tell) -> Runsc:
    """
    Return the runsc of ``GVISOR_LAB_RUNSC``: ``build``, ``debian`` or an archive's absolute path.

    A build is for the architecture in ``GVISOR_LAB_ARCH``. If ``GVISOR_LAB_RUNSC`` is unset, build
    one. If that fails, warn and use Debian's, until the lab is removed. Raise ``LabError`` if the
    requested runsc is not available.
    """
    arch, fallen_back = lab_arch(environment), cache.lab(lab) / "debian-runsc"
    asked = environment.get(SETTING) or ("debian" if fallen_back.exists() else "")
    if asked == "debian":
        return debian()
    if asked.startswith("/"):
        return official(Path(asked), arch)
    if asked not in {"", "build"}:
        todo = "write build, debian, or the absolute path of gVisor's gvisor.tar.bz2"
        raise LabError(f"lab: {SETTING}: unknown value", got=asked, todo=todo)
    try:
        return built(arch, cache=cache, tell=tell)
    except LabError as error:
        if asked == "build":
            raise
        tell(f"WARNING: {error}")
        old = f"Debian's runsc {DEBIAN_RELEASE}, which has known escapes"
        tell(f"WARNING: the {parts.GVISOR} is not available; the nodes get {old}")
        fallen_back.touch()
        return debian()


def built(arch: str, *, cache: Cache, tell: Tell) -> Runsc:
    """Return the lab's own build. Raise ``LabError`` if it cannot be built."""
    home = parts.take(parts.GVISOR, arch=arch, cache=cache, tell=tell)
    settings = {
        "gvisor_release": parts.GVISOR.release,
        "gvisor_source": f"{home}/{parts.LAYOUT}",
        "gvisor_sha512": {arch: digest(parts.release_archive(home, arch=arch), "sha512")},
    }
    return Runsc(settings, str(parts.GVISOR))


def official(path: Path, arch: str) -> Runsc:
    """
    Return the runsc in one of gVisor's archives.

    Raise ``LabError`` if the archive has no runsc, or not the checksum in the lock.
    """
    try:
        release, sum_ = _release_in(path), digest(path, "sha512")
    except (OSError, EOFError, tarfile.TarError, KeyError, subprocess.SubprocessError) as error:
        what = f"lab: {SETTING}: expected an archive that contains runsc"
        raise LabError(what, got=path, because=error) from error
    pinned = known(release, arch).get("gvisor.tar.bz2", sum_)
    if sum_ != pinned:
        what = f"lab: {SETTING}: sha512 of {path} is {sum_}, expected {pinned}"
        raise LabError(what, todo="download the archive again")
    given = {"gvisor_release": release, "gvisor_source": str(path), "gvisor_sha512": {arch: sum_}}
    return Runsc(given, str(path))


def debian() -> Runsc:
    """Return Debian's package, which nodes install from their own mirror."""
    settings = {
        "gvisor_release": DEBIAN_RELEASE,
        "gvisor_source": "debian",
        "gvisor_accept_risk": "throwaway lab nodes that run no stranger's code",
    }
    return Runsc(settings, "Debian's package runsc")


def _release_in(archive: Path) -> str:
    with tempfile.TemporaryDirectory() as directory, tarfile.open(archive) as opened:
        program = Path(directory) / "runsc"
        # Not extract(): it needs a filter against links, which Python 3.11.2 does not have.
        packed = opened.extractfile("runsc")
        program.write_bytes(packed.read() if packed else b"")
        program.chmod(0o755)
        ran = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=_RUN_TIMEOUT_S,
            check=True,
        )
    release = printed_release(ran.stdout)
    if release is None:
        raise LabError(
            f"lab: {SETTING}: runsc in the archive reports no release",
            got=ran.stdout.split("\n")[0],
        )
    return str(release)

"""Where a release comes from, and what its files must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyinfra_gvisor.releases.lock import known

# The bucket's layout since August 2026, google/gvisor#13718.
ARCHIVE = "gvisor.tar.bz2"
OFFICIAL_URL = (
    "https://storage.googleapis.com/gvisor/releases/release/{release}/{arch}/gvisor.tar.bz2"
)


@dataclass(frozen=True)
class Archive:
    """
    Where a release comes from and what its archive must be.

    ``source`` is ``official``, ``debian``, a URL or an absolute path on the controller; the last
    two may hold ``{release}`` and ``{arch}``. ``sha512`` is by architecture; where it is empty, the
    values that this package knows count.
    """

    source: str = "official"
    sha512: Mapping[str, str] = field(default_factory=dict)

    def location(self, release: str, arch: str) -> str:
        """The URL or the path of the archive; nothing for Debian's package."""
        if self.source == "debian":
            return ""
        template = OFFICIAL_URL if self.source == "official" else self.source
        return template.replace("{release}", release).replace("{arch}", arch)

    def checksum(self, release: str, arch: str) -> str | None:
        """The sha512 that the archive must have, or None if nobody named one."""
        return self.sha512.get(arch) if self.sha512 else known(release, arch).get(ARCHIVE)

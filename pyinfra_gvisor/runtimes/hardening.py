"""The flags that ``hardening: "strict"`` adds to a runtime."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra_gvisor.releases import Release


@dataclass(frozen=True)
class Stricter:
    """A flag of runsc, the first release with that flag, and whether older releases are allowed."""

    flag: str
    since: Release
    optional: bool = False

    @property
    def name(self) -> str:
        """The flag without its value."""
        return self.flag.lstrip("-").partition("=")[0]


# The first releases with these commits of google/gvisor, runsc/config/flags.go: dcd532e2e of
# 2020-09-15, f9638850c of 2023-03-02, a1456472b of 2026-07-22. The last flag is off by default in
# that commit; a build of 2026-09-05 checks by default (tried).
STRICT = (
    Stricter("--oci-seccomp", Release(20200921, 0)),
    Stricter("--directfs=false", Release(20230306, 0)),
    Stricter("--sidecar-release-enforcement-policy=ALWAYS", Release(20260727, 0), optional=True),
)
STRICT_SINCE = max(item.since for item in STRICT if not item.optional)


def strict_flags(release: Release) -> list[str]:
    """Return those of these flags that a release has."""
    return [item.flag for item in STRICT if release >= item.since]

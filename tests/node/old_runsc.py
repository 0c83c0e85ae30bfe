"""
A gVisor of 2024, as Debian carries it, and what still needs it.

+ known escapes: a release that has them is refused, and every output repeats the accepted risk
+ the loose layout: two files and no sidecars; runsc itself is the program of a sandbox
+ the upgrade from it: ``old-sandbox`` of a lived-in node runs from it, in the old form
+ Debian's package as a source
"""

from pathlib import Path

from tests.node.archives import SHIM, renamed
from tools.lab import LabNode
from tools.lab.runsc import DEBIAN_RELEASE

OLD = {
    "gvisor_release": DEBIAN_RELEASE,
    "gvisor_source": "debian",
    "gvisor_accept_risk": "throwaway test nodes",
}
"""The settings for Debian 13's package."""

OLD_DEBIAN_12 = {**OLD, "gvisor_release": "20221219.0"}
"""The settings for Debian 12's package."""


def loose_files(lived_in: LabNode, release: str, directory: Path) -> dict[str, Path]:
    """Make ``release`` as releases were until August 2026: two files, by name."""
    runsc = lived_in.read("/usr/local/bin/runsc")
    members = {
        "runsc": renamed(runsc, f"0.0~{DEBIAN_RELEASE}", f"0.0~{release}"),
        "containerd-shim-runsc-v1": SHIM,
    }
    found = {name: directory / f"{release}-{name}" for name in members}
    for name, path in found.items():
        path.write_bytes(members[name])
    return found

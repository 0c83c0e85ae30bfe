"""Install one release by ``gvisor.release`` only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.node.audits import sh
from tests.node.running import Fleet, Outcome
from tools.lab import LabNode

RELEASES_DIR = "/opt/gvisor/releases"

_DEPLOY = """
from pyinfra import host
from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.settings import load_settings

settings, problems = load_settings(host.data.dict())
if settings is None:
    raise SystemExit(str(problems))
gvisor.release(version=settings.release, archive=settings.archive, name="Install")
"""

# What the fact reads, by the same find; the manifest is compared with it here once more.
_STAT = r"""
cd "$1" && find . ! -type d ! -path ./manifest.json \
    -printf '%P %y %m %U:%G %s %T@ %C@\n' | LC_ALL=C sort
"""
_SUMS = "cd \"$1\" && find . -type f ! -path ./manifest.json -printf '%P\\n' | xargs sha256sum"


@dataclass(frozen=True)
class Place:
    """A node and a release that the node's Docker does not use."""

    fleet: Fleet
    name: str
    release: str
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def node(self) -> LabNode:
        """Return the node."""
        return self.fleet.nodes[self.name]

    @property
    def home(self) -> str:
        """Return the release's directory."""
        return f"{RELEASES_DIR}/{self.release}"

    def install(self, **data: Any) -> Outcome:
        """Install the release; ``gvisor_source`` and others are given."""
        deploy = self.fleet.directory / "install.py"
        deploy.write_text(_DEPLOY)
        risk = {"gvisor_accept_risk": "throwaway test nodes"}
        settings = {"gvisor_release": self.release, **risk, **self.data, **data}
        return self.fleet.run(self.name, deploy=deploy, data=settings)

    def sh(self, command: str) -> str:
        """Run a command in the release's directory, which must succeed; return its output."""
        return sh(self.node, f"cd {self.home} && {command}")

    def manifest(self) -> dict[str, Any]:
        """Return the manifest."""
        found: dict[str, Any] = json.loads(self.sh("cat manifest.json"))
        return found

    def is_whole(self) -> bool:
        """Return True if files, checksums and manifest agree, and runsc reports the release."""
        manifest = self.manifest()
        stat = self.node.exec("sh", "-c", _STAT, "sh", self.home).stdout.splitlines()
        lines = self.node.exec("sh", "-c", _SUMS, "sh", self.home).stdout.splitlines()
        sums = {line.split("  ")[1]: line.split("  ")[0] for line in lines}
        printed = self.sh("./runsc --version")
        return (
            manifest["stat"] == stat
            and manifest["members"] == sums
            and self.release in printed
            and self.leftovers() == ""
        )

    def leftovers(self) -> str:
        """Return what a run must not leave: uploads and half-unpacked files."""
        look = f"ls -A {RELEASES_DIR} 2>/dev/null | grep '^\\.'; ls /tmp | grep pyinfra"
        return self.node.exec("sh", "-c", look).stdout

    def remove(self) -> None:
        """Remove the release."""
        self.node.exec("rm", "-rf", self.home)

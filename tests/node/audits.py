"""What the tests of the audit share: a run of it, and what it wrote."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.node import parse_node, state_script
from tests.node.containers import must
from tests.node.running import CURRENT, Fleet, Outcome
from tests.node.seeing import processes
from tools.lab import LabNode

LABELS = ("--label", "coolify.managed=true", "--label", "coolify.type=application")
WAIVERS = {
    "container-host-path": "containers of these tests run the node's own programs",
    "egress-not-declared": "the firewall has tests of its own",
    "kernel-not-declared": "the kernel has tests of its own",
    "engine-vulnerable": "the lab has Docker of every year, to show that all of them are held",
    "known-old": "these tests are run for as long as there is this version",
}


def sh(node: LabNode, script: str, *arguments: str) -> str:
    """Run a script, which must succeed; return its output."""
    return must(node, "sh", "-c", script, "sh", *arguments)


def of_before(node: LabNode, release: str) -> set[str]:
    """Return the finding in a lived-in node: a container from before us still runs unchanged."""
    pid = processes(node).get("old-sandbox")
    ours = f"/opt/gvisor/releases/{release}/gvisor-bin/gvisor_sentry"
    runs = node.exec("readlink", f"/proc/{pid}/exe").stdout.strip() if pid else ours
    return {"container-old-release old-sandbox"} if runs != ours else set()


def verdicts(node: LabNode) -> dict[str, tuple[str, str, str | None]]:
    """Return for each running container its state, the reason, and its sandbox's release."""
    output = sh(node, state_script()).rstrip("\n").split("\n")
    return {
        item.name: (item.verdict.state, item.verdict.why, item.verdict.release)
        for item in parse_node(output).containers
    }


@dataclass(frozen=True)
class Audit:
    """A run of ``deploys/audit.py`` on one node."""

    outcome: Outcome
    report: Mapping[str, Any]

    @property
    def found(self) -> dict[str, Mapping[str, Any]]:
        """Return the findings that are not waived, by ``rule subject``."""
        return {
            f"{item['id']} {item['subject']}": item
            for item in self.report["findings"]
            if item["waived"] is None
        }

    @property
    def waived(self) -> dict[str, str]:
        """Return the reasons of waived findings, by ``rule subject``."""
        return {
            f"{item['id']} {item['subject']}": item["waived"]
            for item in self.report["findings"]
            if item["waived"] is not None
        }

    def container(self, name: str) -> Mapping[str, Any]:
        """Return the report's entry for a running container."""
        found: Mapping[str, Any] = next(
            item for item in self.report["containers"] if item["name"] == name
        )
        return found


def settings(**others: Any) -> dict[str, Any]:
    """Return the main job's settings with others, which are given without their prefix."""
    given = {f"gvisor_{key}": value for key, value in others.items()}
    return {**CURRENT, "gvisor_waivers": WAIVERS, **given}


def audit(fleet: Fleet, name: str, **others: Any) -> Audit:
    """Run an audit of the node ``name``; ``others`` are settings without their prefix."""
    directory = fleet.directory / "reports"
    data = settings(report_dir=str(directory), **others)
    outcome = fleet.run(name, deploy="deploys/audit.py", data=data)
    path = directory / "hosts" / f"{name}.json"
    assert path.exists(), outcome.text
    return Audit(outcome, json.loads(path.read_text()))

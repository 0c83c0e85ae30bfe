"""A fleet of Coolify's run nodes that goes over to gVisor by default, and what happens there."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.node.audits import WAIVERS, Audit, sh
from tests.node.dispatching import IMAGE, KINDS, Ground, in_sandbox
from tests.node.egress_nodes import at_once
from tests.node.platform_flow import (
    ALLOWED,
    HELPER,
    UUID,
    Platform,
    Seen,
    commit,
    have_images,
    image_id,
)
from tests.node.platform_imitators import (
    ALLOWED_ONE,
    IMITATORS,
    Came,
    Imitator,
    poison,
    start_all,
    tempt,
)
from tests.node.running import PROVEN, WITH_ROWS, Outcome

Ended = subprocess.CompletedProcess[str]

REASON = "the platform of these tests"
BEFORE = "shop-before"  # a container from before
REFUSED_LATER = "backup-before"  # one from before, with a mount of the node
STAGES = {kind: "sandbox-all" if kind == "docker-29" else "sandbox" for kind in KINDS}
RUNC_IS_RUNC = tuple(kind for kind in KINDS if STAGES[kind] == "sandbox")
KEPT = "kept:1"
_BEFORE = f"""
docker rm -f {BEFORE} {REFUSED_LATER}
docker run -d --name {BEFORE} {IMAGE} sleep infinity
docker run -d --name {REFUSED_LATER} -v /var/backups:/backup {IMAGE} sleep infinity
docker volume create -o type=none -o o=bind -o device=/var/backups volume-before
docker network create -d macvlan -o parent=eth0 network-before
"""
_AWAY = f"""
docker ps -aq | xargs -r docker rm -f
docker volume ls -q | xargs -r docker volume rm
docker network rm network-before
rm -rf {ALLOWED} /data/coolify /etc/platform-*
"""


@dataclass(frozen=True)
class Story:
    """
    What was said and seen, by node where there is one for each.

    + before: whether an app was in gVisor before the switch
    + accepted: by the command that accepts the platform
    + planned: by a dry run of the switch
    + imitators: what became of each; ``by_name``: the same of those that ask for runc, which the
      nodes of a stage share
    + allowed: the container that asks only for what it may have
    + poisoned: what was told after an app had taken the helper's tag
    + deployed: after a deployment; ``meanwhile``: while a new helper is refused; ``again``: after
      it was accepted
    + refused: what Docker said of the new helper, and what it left
    + found: the audit with an unknown helper and a container from before; ``clean``: in the end
    """

    before: Mapping[str, bool]
    accepted: Ended
    planned: Outcome
    switched: Outcome
    imitators: Mapping[str, Mapping[str, Came]]
    by_name: Mapping[str, Mapping[str, Came]]
    allowed: Mapping[str, Came]
    poisoned: Mapping[str, Mapping[str, str]]
    deployed: Mapping[str, Seen]
    meanwhile: Mapping[str, Seen]
    refused: Mapping[str, tuple[str, str]]
    found: Mapping[str, Audit]
    accepted_new: Ended
    again: Mapping[str, Seen]
    clean: Mapping[str, Audit]


@dataclass(frozen=True)
class Team:
    """Who operates the fleet."""

    ground: Ground
    directory: Path

    @property
    def reports(self) -> Path:
        """Return where audits write."""
        return self.directory / "reports"

    @property
    def data(self) -> dict[str, Any]:
        """Return the settings of all nodes, but for the stage of each."""
        return {
            **PROVEN,
            "gvisor_infrastructure": str(self.directory / "infrastructure.json"),
            "gvisor_seal": {"binds": [ALLOWED]},
            "gvisor_waivers": WAIVERS,
            "gvisor_report_dir": str(self.reports),
        }

    def accept(self, *things: str, **others: Any) -> Ended:
        """Accept images or containers with the command."""
        by_host = {name: {**stage, **others} for name, stage in self.stages.items()}
        return self.ground.fleet.accept(KINDS, things, self.data, by_host, reason=REASON)

    @property
    def stages(self) -> dict[str, dict[str, str]]:
        """Return the setting that is not the same on each node."""
        return {name: {"gvisor_default": stage} for name, stage in STAGES.items()}

    def run(self, *flags: str, deploy: str = "deploys/gvisor.py") -> Outcome:
        """Run a deploy on all nodes."""
        return self.ground.fleet.run(
            *KINDS,
            deploy=deploy,
            flags=flags or ("-y",),
            data=self.data,
            by_host=self.stages,
        )

    def audit(self) -> dict[str, Audit]:
        """Return the audit of each node."""
        outcome = self.run(deploy="deploys/audit.py")
        files = {name: self.reports / "hosts" / f"{name}.json" for name in KINDS}
        return {name: Audit(outcome, json.loads(file.read_text())) for name, file in files.items()}


def tell(ground: Ground, directory: Path) -> Story:
    """Tell the story on all nodes at the same time."""
    team = Team(ground, directory)
    on = {name: Platform(ground, name) for name in KINDS}
    ground.deploy(*KINDS, default="off", seal=None)
    have_images(ground)
    before = at_once(lambda name: _before(on[name]), KINDS)
    ids = at_once(lambda name: image_id(ground.nodes[name], HELPER), KINDS)
    accepted = team.accept("coolify-proxy", *ids.values(), gvisor_default="off")
    planned = team.run("--dry")
    switched = team.run(*WITH_ROWS)
    attacked = at_once(lambda name: _attack(on[name]), KINDS)
    deployed = at_once(lambda name: _deploy(on[name]), KINDS)
    updated = at_once(lambda name: _update(on[name]), KINDS)
    found = team.audit()
    named = {name: _named_in(said) for name, (said, _, _) in updated.items()}
    accepted_new = team.accept(*named.values())
    again = at_once(lambda name: _again(on[name]), KINDS)
    clean = team.audit()
    return Story(
        before,
        accepted,
        planned,
        switched,
        imitators={name: one.imitators for name, one in attacked.items()},
        by_name={name: one.by_name for name, one in attacked.items()},
        allowed={name: one.allowed for name, one in attacked.items()},
        poisoned={name: one.poisoned for name, one in attacked.items()},
        deployed=deployed,
        meanwhile={name: seen for name, (_, _, seen) in updated.items()},
        refused={name: (said, left) for name, (said, left, _) in updated.items()},
        found=found,
        accepted_new=accepted_new,
        again=again,
        clean=clean,
    )


def clear(ground: Ground) -> None:
    """Remove all containers, and let the next test deploy its own settings."""
    at_once(lambda name: sh(ground.nodes[name], _AWAY), KINDS)
    ground.known.clear()


def _before(platform: Platform) -> bool:
    sh(platform.node, _BEFORE)
    platform.start_proxy()
    return in_sandbox(platform.node, BEFORE)


@dataclass(frozen=True)
class _Attacked:
    imitators: Mapping[str, Came]
    by_name: Mapping[str, Came]
    allowed: Came
    poisoned: Mapping[str, str]


def _attack(platform: Platform) -> _Attacked:
    node = platform.node
    sh(node, f"docker rm -f coolify-proxy {REFUSED_LATER}")
    assert platform.run_helper().code == 0
    tempt(node)
    held = start_all(node, {**IMITATORS, "": ALLOWED_ONE})
    by_name = start_all(node, _asking_for_runc(platform.name), "--runtime", "runc")
    sh(node, f"docker tag {HELPER} {KEPT}")  # containerd's store forgets an image without a name
    poisoned = poison(platform)
    sh(node, f"docker tag {KEPT} {HELPER}; docker rmi {KEPT}")
    allowed = held.pop("")
    return _Attacked(held, by_name, allowed, poisoned)


def _asking_for_runc(name: str) -> dict[str, Imitator]:
    """
    Return a part of the imitators, so that all nodes of a stage together have each.

    The last node has the first one: on lab nodes with 20.10 no privileged container starts.
    """
    kinds = [kind for kind, stage in reversed(STAGES.items()) if stage == STAGES[name]]
    return dict([*IMITATORS.items()][kinds.index(name) :: len(kinds)])


def _deploy(platform: Platform) -> Seen:
    platform.start_proxy()
    platform.deploy_apps()
    seen = platform.look()
    platform.stop_helper()
    return seen


def _update(platform: Platform) -> tuple[str, str, Seen]:
    node = platform.node
    commit(node, HELPER, HELPER, "LABEL version=1.0.16")
    ran = platform.run_helper()
    left = sh(node, f"docker ps -aq --filter name={UUID}")
    return ran.stderr if ran.code else "", left, platform.look()


def _named_in(said: str) -> str:
    found = re.search(r"pyinfra-gvisor accept (sha256:[0-9a-f]{64})", said)
    return found[1] if found else ""


def _again(platform: Platform) -> Seen:
    sh(platform.node, f"docker rm -f {BEFORE}")
    platform.deploy_apps()
    return platform.look()

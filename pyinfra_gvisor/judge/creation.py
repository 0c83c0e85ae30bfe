"""Where a container runs that Docker creates, by its bundle and by Docker's files about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyinfra_gvisor.judge import build_steps
from pyinfra_gvisor.judge.asked import Asked, NodePaths
from pyinfra_gvisor.judge.container import Container
from pyinfra_gvisor.judge.docker_files import (
    Undecided,
    data_root,
    read_container,
    read_object,
)
from pyinfra_gvisor.judge.infrastructure import decide
from pyinfra_gvisor.judge.rules import Rules, policy_in_force
from pyinfra_gvisor.judge.seal import Violations, violations

_SHOWN = 5  # reasons in a message


@dataclass(frozen=True)
class Creation:
    """
    What is decided about a container that is created.

    + where: ``runc`` or ``sandbox``
    + container: None for a build step
    + root: Docker's data root
    + violations: what is to be stripped, and the addresses to check before the start; None if
      nothing was compared with a seal
    """

    where: str
    container: Container | None = None
    root: str = ""
    violations: Violations | None = None


def decide_creation(bundle: str, identity: str, rules: Rules, paths: NodePaths) -> Creation:
    """
    Return where a container runs.

    + bundle: the directory of its ``config.json``

    Raises ``Undecided`` if it must not start; the message says why, and what to do.
    """
    spec = read_object(f"{bundle}/config.json")
    if rules.seal is not None and re.search("/buildkit/executor/[^/]+$", bundle):
        if refused := build_steps.violations(rules.seal, spec):
            what = f"a build step in a sandbox may not have: {'; '.join(refused)}"
            raise Undecided(f"{what}. Build without these options, or allow them in gvisor_seal")
        return Creation("sandbox")
    path = (spec.get("root") or {}).get("path")
    if not path:
        raise Undecided(f"{bundle}/config.json is not complete")
    root = data_root(path, identity)
    if root is None:
        raise Undecided(f"Docker's files about this container were not found above {path}")
    container = read_container(root, identity)
    where, why = _chosen(container, rules)
    if where == "runc" or rules.seal is None:
        return Creation(where, container, root)
    policy = rules.policy
    if policy is None and container.mounts:
        policy = policy_in_force(paths.daemon_json)
    found = violations(Asked(container, root, rules.seal, spec, policy, paths))
    if found.refused:
        raise Undecided(refusal(found.refused, why))
    return Creation("sandbox", container, root, found)


def _chosen(container: Container, rules: Rules) -> tuple[str, str]:
    if rules.policy is None:
        return "sandbox", ""
    found = decide(container, rules.policy)
    if found.where == "refused":
        todo = "The operator must check the image, then run on the controller"
        # In quotes: Docker writes more after it.
        raise Undecided(f"{found.why}. {todo} 'pyinfra-gvisor accept {found.accept}'")
    return found.where, found.why


def refusal(refused: tuple[str, ...], why: str) -> str:
    """
    Return what to say about a container that is refused.

    + why: why it is not infrastructure; empty if nothing compared it
    """
    more = len(refused) - _SHOWN
    shown = (*refused[:_SHOWN], f"and {more} more") if more > 0 else refused
    imitates = f". The container is {why}" if why.startswith("not the accepted ") else ""
    todo = "Recreate the container without these options, or allow them in gvisor_seal"
    return f"a sandbox may not have: {'; '.join(shown)}{imitates}. {todo}"

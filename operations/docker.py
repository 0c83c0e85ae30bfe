"""Docker Engine: have it, and have keys in its daemon.json."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from difflib import unified_diff
from typing import Literal

from pyinfra import host, state
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.output import format_text

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.json_text import Json
from pyinfra_gvisor.node import DAEMON_JSON, Node
from pyinfra_gvisor.operations.telling import refusal, tell
from pyinfra_gvisor.plan import Plan, plan_daemon_json
from pyinfra_gvisor.preflight import engine_problem
from pyinfra_gvisor.scripts import script
from pyinfra_gvisor.story import plan_lines
from pyinfra_gvisor.transaction import transaction

# https://docs.docker.com/engine/install/debian/ and /ubuntu/: the same key for both, its sha256
# found equal in more than ten unrelated public repositories.
DOCKER_CE = "https://download.docker.com/linux"
DOCKER_CE_KEY_SHA256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"


@operation()
def engine(
    flavour: Literal["present", "debian", "docker-ce"] = "present",
) -> Generator[PyinfraCommand, None, None]:
    """
    Have Docker Engine and compose on the node; an engine that is there is left as it is.

    + flavour: ``debian`` installs ``docker.io``, ``docker-ce`` installs from Docker's own apt
      repository with its key pinned, ``present`` fails the host if there is no Docker
    """
    node = read_node(host)
    problem = None if node is None else engine_problem(node, flavour)
    if node is None or problem:
        yield from refusal("docker.engine", "docker", problem, unreadable=node is None)
        return
    if node.info is not None:
        host.noop(f"Docker {node.info.server_version} is there")
        return
    tell(f"install Docker, {flavour}")
    forget_node(host)
    text = script(
        "install_docker",
        host=host.name,
        flavour=flavour,
        repository=DOCKER_CE,
        distribution=node.distribution,
        codename=node.distribution_codename,
        key_sha256=DOCKER_CE_KEY_SHA256,
    )
    yield StringCommand("sh", "-c", QuoteString(text))


@operation()
def daemon_json(
    wanted: Mapping[str, Json],
    *,
    if_absent: Mapping[str, Json] | None = None,
    timeout_s: int = 60,
    wait_s: int = 300,
) -> Generator[PyinfraCommand, None, None]:
    """
    Have these keys in daemon.json and in force, and leave every other key byte for byte as it is.

    + wanted: keys to own, with their values; of an object, its entries. Keys owned earlier and not
      wanted any more go back to what they were
    + if_absent: keys to set only where the node has none of its own
    + timeout_s: seconds within which dockerd must be as declared, else the old file is put back
    + wait_s: seconds that a restart waits for containers that it would end (``--rm``)

    Applied with the least force that does it: nothing, reload, or restart with live-restore made
    live first. A node has one record of what is ours: call this once for a node, with every key.

    .. code:: python

        docker.daemon_json(wanted={"registry-mirrors": ["https://mirror.example"]})
    """
    node = read_node(host)
    if node is None:
        yield from refusal("docker.daemon_json", DAEMON_JSON, None, unreadable=True)
        return
    try:
        plan = plan_daemon_json(node, wanted, if_absent=if_absent)
    except Problem as problem:
        yield from refusal("docker.daemon_json", DAEMON_JSON, problem)
        return
    if not plan.changes:
        host.noop(f"{DAEMON_JSON} and the running dockerd are as declared")
        return
    _tell(plan, node, wait_s)
    forget_node(host)
    text = transaction(plan, node, host=host.name, timeout_s=timeout_s, wait_s=wait_s)
    yield StringCommand("sh", "-c", QuoteString(script("detach")), _stdin=text)


def _tell(plan: Plan, node: Node, wait_s: int) -> None:
    for line in plan_lines(plan, node, wait_s=wait_s):
        tell(line)
    if state.config.DIFF and plan.before != plan.after:
        for line in _diff(plan):
            tell(line)


def _diff(plan: Plan) -> list[str]:
    before, after = (text or "" for text in (plan.before, plan.after))
    lines = unified_diff(
        before.splitlines(),
        after.splitlines(),
        DAEMON_JSON if plan.before is not None else "/dev/null",
        DAEMON_JSON if plan.after is not None else "/dev/null",
        lineterm="",
    )
    colours = {"+": "green", "-": "red"}
    return [format_text(line, colours[line[0]]) if line[0] in colours else line for line in lines]

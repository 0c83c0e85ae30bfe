"""Docker Engine: install it, and set keys in its daemon.json."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from functools import partial
from typing import Literal

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.generations import choose, plan_generation, undone
from pyinfra_gvisor.daemon_json.plan import Plan, Restart, plan_around_users, plan_daemon_json
from pyinfra_gvisor.facts.generations import Generations
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR, Node
from pyinfra_gvisor.planning.preflight import engine_problem, rights_problem
from pyinfra_gvisor.run_support.changes import by
from pyinfra_gvisor.run_support.converge import Commands, on_node, refuse
from pyinfra_gvisor.run_support.messages import refusal, tell
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.run_support.transactions import Patience, carry_out, end_interrupted

# https://docs.docker.com/engine/install/debian/ and /ubuntu/: both have the same key. More than ten
# unrelated public repositories have the same sha256.
DOCKER_CE = "https://download.docker.com/linux"
DOCKER_CE_KEY_SHA256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"


@operation()
def engine(
    flavour: Literal["present", "debian", "docker-ce"] = "present",
) -> Commands:
    """
    Install Docker Engine and compose, unless the node has an engine.

    + flavour: ``debian`` installs ``docker.io``, ``docker-ce`` installs from Docker's own apt
      repository with its key pinned, ``present`` fails the host if there is no Docker

    An interrupted change of daemon.json is ended first, because dockerd may be down after it.
    """
    yield from on_node("docker.engine", "docker", partial(_installed, flavour=flavour))


def _installed(node: Node, *, flavour: Literal["present", "debian", "docker-ce"]) -> Commands:
    refuse(engine_problem(node, flavour))
    if node.pending:
        yield from on_node("docker.engine", DAEMON_JSON, end_interrupted)
        return
    if node.info is not None:
        host.noop(f"Docker {node.info.server_version} is installed")
        return
    tell(f"install Docker, {flavour}")
    forget_node(host)
    text = script(
        "node/record_change",
        "node/install_docker",
        state_dir=STATE_DIR,
        by=by(),
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
    owner: str,
    if_absent: Mapping[str, Json] | None = None,
    spare_ports: bool = False,
    keep_running: bool | Collection[str] = False,
    restart: Restart = "auto",
    restart_units: Collection[str] = (),
    timeout_s: int = 60,
    wait_s: int = 300,
) -> Commands:
    """
    Set these keys in daemon.json and apply them. Every byte of other keys stays the same.

    + wanted: keys to own, with their values; of an object, only its entries. Keys that this owner
      had earlier and does not declare any more get the value from before again
    + owner: a name for whoever declares the keys; two owners of one key must declare the same value
    + if_absent: keys to set only if the node's file does not have them
    + spare_ports: leave ``userland-proxy`` as it is if clients need docker-proxy
    + keep_running: keep a runtime that is not declared any more while a container, running or
      stopped, needs it; otherwise the host fails and nothing is changed. Names: only for these
    + restart: ``auto`` restarts dockerd if a key takes effect only then, ``reload`` writes such a
      key without a restart, ``never`` fails the host and changes nothing
    + restart_units: units of systemd with a docker client, such as a ``docker run`` in the
      foreground, that a restart may end with their containers; others refuse a restart
    + timeout_s: seconds within which dockerd must run as declared; if not, the old file is restored
    + wait_s: seconds that a restart waits for ``--rm`` containers, because it would end them

    The change is applied with the least force: nothing, a reload, or a restart with live-restore
    switched on first.

    .. code:: python

        docker.daemon_json(wanted={"registry-mirrors": ["https://mirror.example"]}, owner="mirrors")
    """
    planning = partial(plan_daemon_json, wanted=wanted, if_absent=if_absent, owner=owner)
    planning = partial(planning, spare_ports=spare_ports)
    planning = partial(planning, restart=restart, restart_units=restart_units)
    yield from _changed(planning, Patience(timeout_s, wait_s), keep_running=keep_running)


def _changed(
    planning: Callable[..., Plan], patience: Patience, *, keep_running: bool | Collection[str]
) -> Commands:
    """End an interrupted change, then plan the change and apply it."""
    try:
        node = yield from _settled(_changeable())
        if node is None:
            yield from refusal("docker.daemon_json", DAEMON_JSON, None, unreadable=True)
            return
        plan = plan_around_users(partial(planning, node), asking(host), keep_running=keep_running)
    except Problem as problem:
        yield from refusal("docker.daemon_json", DAEMON_JSON, problem)
        return
    yield from carry_out(plan, node, patience)


def _settled(node: Node | None) -> Generator[PyinfraCommand, None, Node | None]:
    """
    End an interrupted change. Return the node after that, None if it cannot be read.

    Raises ``Problem`` if the change cannot be ended.
    """
    if node is None or not node.pending:
        return node
    yield from end_interrupted(node)
    return read_node(host)


def _changeable() -> Node | None:
    """Return the node, None if it cannot be read. Raises ``Problem`` if the user is not root."""
    node = read_node(host)
    if node and (problem := rights_problem(node)):  # our records look lost to others
        raise problem
    return node


@operation()
def generation(
    number: int | None = None,
    *,
    keep_running: bool | Collection[str] = False,
    restart: Restart = "auto",
    restart_units: Collection[str] = (),
    timeout_s: int = 60,
    wait_s: int = 300,
) -> Commands:
    """
    Roll back every key of ours in daemon.json to its value before an earlier change.

    + number: the generation's number, as the run of that change printed it; None for the newest
    + keep_running: as for ``docker.daemon_json``
    + restart: as for ``docker.daemon_json``
    + restart_units: as for ``docker.daemon_json``
    + timeout_s: as for ``docker.daemon_json``
    + wait_s: as for ``docker.daemon_json``

    Later changes by others in the file stay. The entries of runtimes name the release of that time
    again, so new containers use that release. A second run changes nothing.
    """
    try:
        before = host.get_fact(Generations) if (now := _changeable()) and now.pending else None
        node = yield from _settled(now)
        kept = None if node is None else host.get_fact(Generations)
        if node is None or kept is None:
            yield from refusal("docker.generation", DAEMON_JSON, None, unreadable=True)
            return
        if undone(before or (), kept, number):
            return
        chosen = choose(kept, node, number)
        planned = partial(plan_generation, node, chosen, restart=restart)
        planned = partial(planned, restart_units=restart_units)
        plan = plan_around_users(planned, asking(host), keep_running=keep_running)
    except Problem as problem:
        yield from refusal("docker.generation", DAEMON_JSON, problem)
        return
    tell(f"generation {chosen.number}: {chosen.story}")
    yield from carry_out(plan, node, Patience(timeout_s, wait_s))

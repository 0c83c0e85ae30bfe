"""From one release to the next: proven before a runtime uses it. Unused releases are removed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pyinfra import host, state
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.plan import Plan, Restart
from pyinfra_gvisor.facts.node import forget_node, read_node, read_once
from pyinfra_gvisor.facts.release_users import ReleaseUsers
from pyinfra_gvisor.node import DAEMON_JSON, Node
from pyinfra_gvisor.planning.canary import canaries, plan_canaries
from pyinfra_gvisor.planning.collection import old_releases, on_other_releases, plan_collection
from pyinfra_gvisor.run_support.changes import recorded
from pyinfra_gvisor.run_support.converge import Commands, on_node
from pyinfra_gvisor.run_support.look import look_at
from pyinfra_gvisor.run_support.messages import refusal, say, tell, tell_detail
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.run_support.transactions import Patience, carry_out
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR

if TYPE_CHECKING:
    from pyinfra_gvisor.run_support.evidence import Claim


@operation()
def canary(
    version: str,
    *,
    profiles: Mapping[str, Runtime],
    risks: Sequence[str] = (),
    image: str | None = None,
    timeout_s: int = 60,
    wait_s: int = 300,
    restart: Restart = "auto",
    restart_units: Collection[str] = (),
    rows: bool = False,
) -> Commands:
    """
    Prove a release under temporary runtime names before runtimes in use are switched to it.

    + version: the release that the runtimes are to be switched to
    + profiles: the runtimes by name. A runtime that dockerd does not know yet is not tried
    + risks: accepted risks, which are repeated below the outcome
    + image: as for ``gvisor.proof``
    + timeout_s: as for ``docker.daemon_json``
    + wait_s: as for ``docker.daemon_json``
    + restart: as for ``docker.daemon_json``
    + restart_units: as for ``docker.daemon_json``
    + rows: as for ``gvisor.proof``

    ``runsc`` is tried as ``runsccanary``. dockerd is reloaded to add and remove this name, or
    restarted if it loses something at a reload. Fails the host if a check fails.
    """
    from pyinfra_gvisor.run_support.evidence import Claim  # noqa: PLC0415 - takes long

    def body(node: Node) -> Commands:
        if node.pending or not (due := canaries(node, version, profiles)):  # pending: ended before
            return host.noop("no registered runtime changes its release")
        claim = Claim(version, due, tuple(risks), image, rows=rows)
        planning = partial(plan_canaries, restart=restart, restart_units=restart_units)
        patience = Patience(timeout_s, wait_s)
        if failed := (yield from _tried(node, claim, patience, planning)):
            yield from refusal("upgrade.canary", f"runsc {version}", _unswitched(failed))

    yield from on_node("upgrade.canary", DAEMON_JSON, body)


def _unswitched(failed: Problem) -> Problem:
    what = f"{failed.what}; no runtime was switched to it"
    made = failed.what.startswith("not proven")
    todo = "fix the failed checks above, or use another release" if made else failed.todo
    return Problem(what, todo=todo)


def _tried(
    node: Node, claim: Claim, patience: Patience, planning: Callable[..., Plan]
) -> Generator[PyinfraCommand, None, Problem | None]:
    """Register temporary runtimes, prove them, remove them. Return what failed, None if nothing."""
    from pyinfra_gvisor.run_support.evidence import Trial, try_out  # noqa: PLC0415

    trial, version, due = Trial(node, claim), claim.release, claim.runtimes
    plan = planning(node, version, due)
    if plan.leaving:  # a reload now would take them from who uses them
        missing = ", ".join(plan.leaving)
        tell(f"daemon.json lacks {missing}: this run adds the entry first, then proves it")
        host.noop("no release is tried until daemon.json is as declared")
        return None
    tell_detail(f"prove runsc {version} as {', '.join(due)} before a runtime is switched to it")
    yield from carry_out(plan, node, patience)
    yield try_out(trial)
    if not state.is_executing:
        return None
    now = read_node(host)
    if now is None:
        raise Problem("the node's state cannot be read any more", todo="see above, then run again")
    yield from carry_out(planning(now, version, {}), now, patience)
    return trial.failed


@operation()
def collection(version: str, *, keep: int = 2) -> Commands:
    """
    Remove old releases that nothing needs, and say which containers run on an old one.

    + version: the current release, which always stays
    + keep: how many releases stay, used or not, including ``version``

    A release stays while a process, a container, a runtime or a generation needs it.
    """
    yield from on_node(
        "upgrade.collection", version, partial(_collected, version=version, keep=keep)
    )


def _collected(node: Node, *, version: str, keep: int) -> Commands:
    if state.is_executing or look_at(host):
        _say_other_releases(node, version)
    old = old_releases(node, version, keep)
    users = read_once(host, ReleaseUsers) if old else ()
    if users is None:
        yield from refusal("upgrade.collection", version, None, unreadable=True)
        return
    found = plan_collection(node, old, frozenset(users))
    if not found.going:
        kept = f", {', '.join(found.kept)} still needed" if found.kept else ""
        host.noop(f"no release is to be removed{kept}")
        return
    for path in found.going:
        is_release = path.startswith(f"{RELEASES_DIR}/")
        (tell if is_release else tell_detail)(f"remove {path}, which nothing needs")
    forget_node(host)
    text = recorded(
        "upgrade.collection: remove releases", script("releases/users", "releases/collect")
    )
    yield StringCommand("sh", "-c", QuoteString(text), "sh", *map(QuoteString, found.going))


def _say_other_releases(node: Node, version: str) -> None:
    for release, names in on_other_releases(node, version).items():
        say(f"running on runsc {release} until their next restart: {', '.join(names)}")

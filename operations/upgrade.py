"""From one release to another: proven before anything uses it, and tidied up behind it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

from pyinfra import host, state
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.node import forget_node, read_node, read_once
from pyinfra_gvisor.facts.release_users import ReleaseUsers
from pyinfra_gvisor.node import DAEMON_JSON, Node
from pyinfra_gvisor.operations.telling import refusal, tell
from pyinfra_gvisor.operations.transactions import Patience, carry_out
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.scripts import script
from pyinfra_gvisor.upgrade.canary import canaries, plan_canaries
from pyinfra_gvisor.upgrade.collection import behind, old_releases, plan_collection

if TYPE_CHECKING:
    from pyinfra_gvisor.operations.evidence import Claim


@operation()
def canary(
    version: str,
    *,
    profiles: Mapping[str, Runtime],
    risks: Sequence[str] = (),
    image: str | None = None,
    timeout_s: int = 60,
    wait_s: int = 300,
) -> Generator[PyinfraCommand, None, None]:
    """
    Prove a release under temporary runtime names before runtimes in use are switched to it.

    + version: the release that the runtimes are to be switched to
    + profiles: the runtimes by name; those that nobody can use yet are left out
    + risks: accepted risks, to be repeated under the outcome
    + image: as for ``gvisor.proof``
    + timeout_s: as for ``docker.daemon_json``
    + wait_s: as there

    ``runsc`` is tried as ``runsccanary``, which dockerd learns and forgets by reload whatever comes
    out; if this is killed, with the next change. Fails the host if anything is not proven.
    """
    node = read_node(host)
    if node is None:
        yield from refusal("upgrade.canary", version, None, unreadable=True)
        return
    due = {} if node.pending else canaries(node, version, profiles)  # it is ended before
    if not due:
        host.noop("no runtime that is in use is to be switched")
        return
    from pyinfra_gvisor.operations.evidence import Claim  # noqa: PLC0415 - takes long

    claim, patience = Claim(version, due, tuple(risks), image), Patience(timeout_s, wait_s)
    try:
        failed = yield from _tried(node, claim, patience)
    except Problem as problem:
        yield from refusal("upgrade.canary", DAEMON_JSON, problem)
        return
    if failed:
        yield from refusal("upgrade.canary", f"runsc {version}", _unswitched(failed))


def _unswitched(failed: Problem) -> Problem:
    what = f"{failed.what}; no runtime was switched to it"
    made = failed.what.startswith("not proven")
    todo = "use another release, or see above why probes failed" if made else failed.todo
    return Problem(what, todo=todo)


def _tried(
    node: Node, claim: Claim, patience: Patience
) -> Generator[PyinfraCommand, None, Problem | None]:
    """Registered, probed, and taken away again whatever the probe showed. Return what failed."""
    from pyinfra_gvisor.operations.evidence import Trial, try_out  # noqa: PLC0415

    trial, version, due = Trial(node, claim), claim.release, claim.runtimes
    plan = plan_canaries(node, version, due)
    if plan.leaving:  # a reload now would take them from who uses them
        missing = ", ".join(plan.leaving)
        tell(f"{missing} is missing from daemon.json, which comes first; proven after that")
        host.noop("nothing is tried before")
        return None
    tell(f"prove runsc {version} as {', '.join(due)} before what is in use is switched to it")
    yield from carry_out(plan, node, patience)
    yield try_out(trial)
    if not state.is_executing:
        return None
    now = read_node(host)
    if now is None:
        raise Problem("cannot be read any more", todo="see above, and run again")
    yield from carry_out(plan_canaries(now, version, {}), now, patience)
    return trial.failed


@operation()
def collection(version: str, *, keep: int = 2) -> Generator[PyinfraCommand, None, None]:
    """
    Have no old release on the node that nothing needs, and say what still runs on one.

    + version: the release that stays whatever it is used for
    + keep: how many releases stay, used or not, ``version`` included

    A release stays while a process, a container, a runtime or a generation to go back to needs it.
    """
    node = read_node(host)
    if node is None:
        yield from refusal("upgrade.collection", version, None, unreadable=True)
        return
    if state.is_executing:
        _say_behind(node, version)
    old = old_releases(node, version, keep)
    users = read_once(host, ReleaseUsers) if old else frozenset()
    if users is None:
        yield from refusal("upgrade.collection", version, None, unreadable=True)
        return
    found = plan_collection(node, old, users)
    if not found.going:
        kept = f", {', '.join(found.kept)} still needed" if found.kept else ""
        host.noop(f"no release is to be removed{kept}")
        return
    for path in found.going:
        tell(f"remove {path}, which nothing needs")
    forget_node(host)
    text = script("release_users", "collect_releases")
    yield StringCommand("sh", "-c", QuoteString(text), "sh", *map(QuoteString, found.going))


def _say_behind(node: Node, version: str) -> None:
    for release, names in behind(node, version).items():
        host.log(f"still on runsc {release}, until they are started anew: {', '.join(names)}")

"""Move running containers into gVisor, one at a time, with a way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyinfra import host, logger
from pyinfra import state as run_state
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand, operation
from pyinfra.api.output import format_text

from pyinfra_gvisor.apps.outlook import outlooks
from pyinfra_gvisor.apps.seen import Apps
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.daemon_json.transaction import detached
from pyinfra_gvisor.facts.apps import RunningApps
from pyinfra_gvisor.facts.asking import get, why_unread
from pyinfra_gvisor.facts.deadline import given_up
from pyinfra_gvisor.facts.moves import MovableContainers
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.moves.planned import Planned, Wanted, check_node, planned
from pyinfra_gvisor.moves.script import mover_script, told
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.report.moves import Move, Moves
from pyinfra_gvisor.report.outlooks import AppOutlooks
from pyinfra_gvisor.run_support.connector_arguments import connector_arguments
from pyinfra_gvisor.run_support.converge import Commands, on_node
from pyinfra_gvisor.run_support.ending import because
from pyinfra_gvisor.run_support.messages import tell
from pyinfra_gvisor.run_support.probing import shown
from pyinfra_gvisor.run_support.reports import ends_after_plan
from pyinfra_gvisor.run_support.results import tell_result
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.trials.asked import SHORTEST_S, Asked, asked_trial, find_app
from pyinfra_gvisor.trials.judged import trial
from pyinfra_gvisor.trials.script import limit_s, trial_script

_TRIED_S = 5  # what fails later goes back


@dataclass(frozen=True)
class _Work:
    """
    What is to be done on a host.

    + trials: by the id of a container, of those that are stopped before the new one runs
    + arguments: how commands of the operation run
    """

    plan: Sequence[Planned]
    asked: Wanted
    trials: Mapping[str, Asked]
    node: Node
    settings: Settings
    arguments: dict[str, Any]


@operation(is_idempotent=False)
def apps(asked: Wanted, *, settings: Settings) -> Commands:
    """
    Recreate running containers so that they run in gVisor.

    + asked: which, and how
    + settings: what is declared for the host

    What is stopped for it is tried first, and left if the trial fails. Each old container is kept
    until the new one does what the old one did, and runs again if it does not.

    Fails the host if one of them went back. What was interrupted is ended first.
    """

    def body(node: Node) -> Commands:
        check_node(node, settings)
        looks = _looks()
        if unfinished := [item["unfinished"] for item in looks if "unfinished" in item]:
            tell(f"a move was interrupted, and is ended first: {', '.join(unfinished)}")
            follower, stdin = detached(mover_script("resume"))
            yield StringCommand("sh", "-c", QuoteString(follower), _stdin=stdin)
            looks = _looks()
        outlook, found = _apps(node, settings)
        plan = planned(asked, outlook, found, looks)
        seen = Moves(host=host.name, moves=tuple(item.move for item in plan))
        is_plan = ends_after_plan(host.state)
        if is_plan or (run_state.is_executing and not seen.to_do):
            tell_result(host, seen)
        for item in () if is_plan or not seen.to_do else plan:
            tell(item.move.line)
        if not seen.to_do:
            host.noop("no container of this node is to be moved")
            return
        forget_node(host)
        trials = _trials(plan, asked, outlook, found)
        work = _Work(plan, asked, trials, node, settings, connector_arguments())
        yield FunctionCommand(_move_all, (work,), {})

    yield from on_node("move.apps", "containers", body, partial(read_node, settings=settings))


def _looks() -> list[dict[str, Any]]:
    """Return what the node says of its containers. Raises ``Problem`` if it says nothing."""
    looks = get(host, MovableContainers)
    if looks is None:
        what = "it is not known what can be moved"
        todo = "run pyinfra-gvisor doctor; a move needs python3 3.10 or later on the node"
        raise why_unread(host) or Problem(what, todo=todo)
    return looks


def _apps(node: Node, settings: Settings) -> tuple[AppOutlooks, Apps]:
    """Return what is known of the apps in gVisor. Raises ``Problem`` if they cannot be read."""
    found = get(host, RunningApps)
    if found is None:
        what = "running containers cannot be read"
        raise why_unread(host) or Problem(what, todo="run pyinfra-gvisor doctor")
    return outlooks(host.name, node, settings, found), found


def _trials(
    plan: Sequence[Planned], asked: Wanted, outlook: AppOutlooks, found: Apps
) -> dict[str, Asked]:
    """Return the trials before a move, by the id of a container."""
    seconds = min(max(asked.watch_s, SHORTEST_S), _TRIED_S)
    return {
        item.id: asked_trial(find_app(item.id, found), outlook, seconds, control=False)
        for item in plan
        if item.move.where == "next" and not item.move.gapless and not asked.failing
    }


def _move_all(state: State, host: Host, work: _Work) -> bool:
    """Move one app after another, and stop after so many that went back."""
    moves = [item.move for item in work.plan]
    problem = None
    for number, item in enumerate(work.plan):
        if item.move.where != "next":
            continue
        if sum(move.where == "back" for move in moves) >= work.asked.max_failed:
            break
        try:
            moves[number] = _tried(host, item, work) or _moved(host, item, work)
        except Problem as found:
            problem = found
            break
        host.log(moves[number].line)
    stopped = any(move.where == "next" for move in moves)
    tell_result(host, Moves(host=host.name, moves=tuple(moves), stopped=stopped))
    if problem is not None:
        host.log(format_text(problem.at("move.apps", "node", host.name), "red"), logger.error)
        because(host, str(problem))
    back = [move.title for move in moves if move.where == "back"]
    if back:
        because(host, f"back under runc: {', '.join(back)}")
    return problem is None and not back


def _tried(host: Host, item: Planned, work: _Work) -> Move | None:
    """Return an app as it is left because its trial fails; None if that does not speak against."""
    asked = work.trials.get(item.id)
    if asked is None:
        return None
    script = trial_script(asked, work.node, work.settings)
    read = partial(trial, asked=asked)
    try:
        seen = shown(host, script, limit_s(asked.seconds), read, work.arguments)
    except Problem as problem:
        if given_up(host):
            raise
        why = f"it could not be tried: {problem.what}"
    else:
        if seen.verdict != "fails here":
            return None
        why = f"its trial fails: {'; '.join(seen.why)}"
    return item.move.model_copy(update={"where": "left", "why": f"{why}. Or add --failing"})


def _moved(host: Host, item: Planned, work: _Work) -> Move:
    """Return where an app is after its move. Raises ``Problem`` if that is not known."""
    words = ("move", item.id)
    text = mover_script(*words, watch_s=work.asked.watch_s, leave=work.asked.leave_writes)
    follower, stdin = detached(text)
    command = StringCommand("sh", "-c", QuoteString(follower))
    ok, output = host.run_shell_command(command, **{**work.arguments, "_stdin": stdin})
    if why := given_up(host):
        raise why
    said = output.stderr_lines[-1] if output.stderr_lines else ""
    try:
        lines = told(output.stdout_lines)
    except ValueError as error:
        said = said or str(error)
        what = "it is not known where the app is"
        raise Problem(what, got=said, todo="run again: that ends what was begun") from None
    ended = next((line for line in reversed(lines) if line["id"] == item.id), None)
    if not ok or ended is None:
        todo = "run again: that ends what was begun"
        raise Problem("the move did not end", got=said or None, todo=todo)
    return item.move.model_copy(
        update={
            "where": ended["where"],
            "why": ended.get("why", ""),
            "away_s": ended.get("away_s"),
            "told": tuple(ended.get("lines") or ended.get("warnings") or ()),
        }
    )

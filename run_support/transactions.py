"""The daemon.json transaction in pyinfra: print the plan, then apply it with a detached script."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from pyinfra import host, logger, state
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.redaction import shown_json
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.key_table import Force
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.records import mending
from pyinfra_gvisor.daemon_json.render_plan import (
    interrupted_line,
    kept_lines,
    noted,
    plan_lines,
    spared_line,
    touched_lines,
    unapplied_lines,
)
from pyinfra_gvisor.daemon_json.transaction import detached, resumption, transaction
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR, Node
from pyinfra_gvisor.run_support.changes import by
from pyinfra_gvisor.run_support.ending import is_applied, is_restart_pending, restarts_docker
from pyinfra_gvisor.run_support.messages import shows_details, tell, tell_detail, tell_diff


@dataclass(frozen=True)
class Patience:
    """
    Timeouts of a transaction, in seconds.

    ``timeout_s``: within this time dockerd must run as declared. ``wait_s``: how long a restart
    waits for ``--rm`` containers.
    """

    timeout_s: int = 60
    wait_s: int = 300


def carry_out(plan: Plan, node: Node, patience: Patience) -> Generator[PyinfraCommand, None, None]:
    """Apply the plan with one command; with none if the node already is as planned."""
    for line in unapplied_lines(plan):
        tell(f"{DAEMON_JSON} on {host.name}: {line}", logger.warning)
    if plan.postponed:
        is_restart_pending(host)
    if plan.spared:
        tell(spared_line(plan, whole=shows_details()))
    for line in kept_lines(plan):
        tell(line)
    if not plan.changes:
        yield from _mend_records(node)
        host.noop(f"{DAEMON_JSON} and the running dockerd are as declared")
        return
    if plan.action is Force.RESTART:
        restarts_docker(host)
    _tell_plan(plan, node, patience)
    if plan.before != plan.after and not plan.temporary:
        tell_diff(DAEMON_JSON, plan.before, plan.after, shown=shown_json)
    yield from _mend_records(node)  # while a run is only prepared, nothing after this is said
    forget_node(host)
    text = transaction(
        replace(plan, rollout=str(host.data.get("rollout_id") or "")),
        node,
        host=host.name,
        timeout_s=patience.timeout_s,
        wait_s=patience.wait_s,
    )
    yield _detached(f"{script(by=by())}{text}")
    found = read_node(host) if state.is_executing else None
    if found:
        is_applied(host, found)
    if found and noted(found):
        tell(f"{DAEMON_JSON}: {noted(found)}", logger.warning)


def _mend_records(node: Node) -> Generator[PyinfraCommand, None, None]:
    """Make the two copies of our record equal if one of them is missing, damaged or different."""
    found = mending(node)
    if found is None:
        return
    tell(f"{found.why} from {found.source}")
    forget_node(host)
    text = script(
        "base/copy_record", state_dir=STATE_DIR, source_file=found.source, target_file=found.target
    )
    yield StringCommand("sh", "-c", QuoteString(text))


def _tell_plan(plan: Plan, node: Node, patience: Patience) -> None:
    """Print what the transaction does: everything in a plan, else only whom it affects."""
    if plan.temporary:
        for reason in plan.reasons:
            tell_detail(f"{DAEMON_JSON}, temporarily: {reason}")
        return
    lines = plan_lines if shows_details() else touched_lines
    for line in lines(plan, node, wait_s=patience.wait_s):
        tell(line)


def end_interrupted(node: Node) -> Generator[PyinfraCommand, None, None]:
    """
    Finish or undo an interrupted change, if there is one, before anything else is decided.

    While operations are only prepared, nothing runs, so the rest of the plan is a forecast.

    Raises ``Problem`` if the interrupted change could not be ended.
    """
    if not node.pending:
        return
    tell(f"{DAEMON_JSON}: an earlier change was interrupted; this run finishes or undoes it first")
    restarts_docker(host)  # it may
    forget_node(host)
    yield _detached(resumption())
    if not state.is_executing:
        return
    found = read_node(host)
    if found is None or found.pending:
        raise Problem(
            "an earlier change was interrupted and could not be finished or undone",
            todo="read the node's output above, and run again",
        )
    host.log(interrupted_line(found))


def _detached(text: str) -> StringCommand:
    follower, stdin = detached(text)
    return StringCommand("sh", "-c", QuoteString(follower), _stdin=stdin)

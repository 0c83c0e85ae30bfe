"""The daemon.json transaction as pyinfra runs it: said beforehand, and carried out detached."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from pyinfra import host, logger, state
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.records import mending
from pyinfra_gvisor.daemon_json.story import (
    interrupted_line,
    kept_lines,
    noted,
    owed_lines,
    plan_lines,
    spared_line,
)
from pyinfra_gvisor.daemon_json.transaction import detached, resumption, transaction
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR, Node
from pyinfra_gvisor.operations.telling import tell, tell_diff
from pyinfra_gvisor.redaction import shown_json
from pyinfra_gvisor.scripts import script


@dataclass(frozen=True)
class Patience:
    """Seconds until dockerd must be as declared, and to wait for ``--rm`` containers."""

    timeout_s: int = 60
    wait_s: int = 300


def carry_out(plan: Plan, node: Node, patience: Patience) -> Generator[PyinfraCommand, None, None]:
    """The plan as one command, or nothing if the node is as planned already."""
    yield from _mend_records(node)
    for line in owed_lines(plan):
        tell(f"{DAEMON_JSON} on {host.name}: {line}", logger.warning)
    if plan.spared:
        tell(spared_line(plan))
    for line in kept_lines(plan):
        tell(line)
    if not plan.changes:
        host.noop(f"{DAEMON_JSON} and the running dockerd are as declared")
        return
    for line in _told(plan, node, patience):
        tell(line)
    if plan.before != plan.after and not plan.temporary:
        tell_diff(DAEMON_JSON, plan.before, plan.after, shown=shown_json)
    forget_node(host)
    yield _detached(
        transaction(
            plan, node, host=host.name, timeout_s=patience.timeout_s, wait_s=patience.wait_s
        )
    )
    found = read_node(host) if state.is_executing and plan.action is Force.RESTART else None
    if found and noted(found):
        tell(f"{DAEMON_JSON}: {noted(found)}", logger.warning)


def _mend_records(node: Node) -> Generator[PyinfraCommand, None, None]:
    """Have two equal copies of the record of what is ours, whichever of them was lost."""
    found = mending(node)
    if found is None:
        return
    tell(f"{found.why} from {found.source}")
    forget_node(host)
    text = script(
        "copy_record", state_dir=STATE_DIR, source_file=found.source, target_file=found.target
    )
    yield StringCommand("sh", "-c", QuoteString(text))


def _told(plan: Plan, node: Node, patience: Patience) -> list[str]:
    if plan.temporary:
        return [f"{DAEMON_JSON}, temporarily: {reason}" for reason in plan.reasons]
    return list(plan_lines(plan, node, wait_s=patience.wait_s))


def end_interrupted(node: Node) -> Generator[PyinfraCommand, None, None]:
    """
    End an earlier change that was interrupted, if there is one, before anything else is decided.

    While operations are only prepared nothing is run, so that what follows is a forecast then.

    Raises ``Problem`` if the earlier change could not be ended.
    """
    if not node.pending:
        return
    tell(f"{DAEMON_JSON}: an earlier change was interrupted; it is finished or undone first")
    forget_node(host)
    yield _detached(resumption())
    if not state.is_executing:
        return
    found = read_node(host)
    if found is None or found.pending:
        raise Problem(
            "an earlier change is interrupted and could not be ended",
            todo="see what the node said above, and run again",
        )
    host.log(interrupted_line(found))


def _detached(text: str) -> StringCommand:
    follower, stdin = detached(text)
    return StringCommand("sh", "-c", QuoteString(follower), _stdin=stdin)

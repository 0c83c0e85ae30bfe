"""Rules on probation: loaded, and kept only if this controller still gets in anew."""

from __future__ import annotations

from typing import Any

from paramiko import SSHException
from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.base import BaseConnector

from pyinfra_gvisor.node_files import NodeFile
from pyinfra_gvisor.operations.by_hand import connector_arguments
from pyinfra_gvisor.operations.sending import sent
from pyinfra_gvisor.parts.egress.files import CANDIDATE, RULES
from pyinfra_gvisor.parts.plan import PartPlan
from pyinfra_gvisor.scripts import script

OPERATION = "egress.rules"


def try_rules(plan: PartPlan, *, confirm_s: int) -> FunctionCommand:
    """The command that loads the plan's rules, comes back anew and confirms them."""
    return FunctionCommand(_try_rules, (plan, confirm_s, connector_arguments()), {})


def _try_rules(
    state: State, host: Host, plan: PartPlan, confirm_s: int, arguments: dict[str, Any]
) -> bool:
    rules = next(item for item in plan.files if item.path == RULES)
    needed = [item for item in plan.files if item.path.endswith(".sh")]
    candidate = NodeFile(CANDIDATE, rules.mode, rules.text)
    loading = sent(OPERATION, "egress_try", files=[candidate, *needed], confirm_s=confirm_s)
    if not _said(host, *_run(host, loading, arguments)):
        return False
    try:
        # The rules let a connection live that they know; only a new one shows that there can be.
        fresh = host.connector_cls(state, host)
        fresh.connect()
    except ConnectError as error:
        _take_back(host, f"no new connection under the new rules ({error})", confirm_s, arguments)
        return False
    beside = [item for item in plan.files if item.path != RULES]
    confirming = sent(OPERATION, "egress_confirm", files=beside)
    confirmed = _said(host, *_run(fresh, confirming, arguments))
    fresh.disconnect()
    if not confirmed:
        _take_back(host, "the new rules could not be confirmed", confirm_s, arguments)
    return confirmed


def _take_back(host: Host, why: str, confirm_s: int, arguments: dict[str, Any]) -> None:
    """Over the connection from before, if it lives; else the node does it by itself."""
    text = script("egress_undo")
    ok, _ = _run(host, StringCommand("sh", "-c", QuoteString(text)), arguments)
    left = f"the node takes back what is not confirmed within {confirm_s} s"
    how = "they were taken back" if ok else left
    host.log(f"{OPERATION}: {RULES} on {host.name}: {why}; {how}", logger.error)


def _run(
    by: Host | BaseConnector, command: StringCommand, arguments: dict[str, Any]
) -> tuple[bool, list[str]]:
    """Whether it succeeded, and the end of what it said; a connection may be gone by then."""
    try:
        ok, output = by.run_shell_command(command, **arguments)
    except (OSError, EOFError, SSHException) as error:
        todo = "what is not confirmed the node takes back by itself"
        return False, [f"the connection broke off ({str(error) or type(error).__name__}); {todo}"]
    return ok, output.stderr_lines[-5:]


def _said(host: Host, ok: bool, lines: list[str]) -> bool:
    for line in () if ok else lines:
        host.log(line, logger.error)
    return ok

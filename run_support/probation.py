"""Load firewall rules, and keep them only if this controller can open a new connection."""

from __future__ import annotations

from typing import Any

from paramiko import SSHException
from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.output import format_text
from pyinfra.connectors.base import BaseConnector

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.facts.deadline import limit_connector
from pyinfra_gvisor.parts.egress.files import CANDIDATE, RULES
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.run_support.connector_arguments import connector_arguments
from pyinfra_gvisor.run_support.ending import because
from pyinfra_gvisor.run_support.run_script import run_script

OPERATION = "egress.rules"


def try_rules(plan: PartPlan, *, confirm_s: int) -> FunctionCommand:
    """Return the command that loads the plan's rules and confirms them over a new connection."""
    return FunctionCommand(_try_rules, (plan, confirm_s, connector_arguments()), {})


def _try_rules(
    state: State, host: Host, plan: PartPlan, confirm_s: int, arguments: dict[str, Any]
) -> bool:
    rules = next(item for item in plan.files if item.path == RULES)
    needed = [item for item in plan.files if item.path.endswith(".sh")]
    candidate = NodeFile(CANDIDATE, rules.mode, rules.text)
    loading = run_script(
        OPERATION,
        "parts/egress/try",
        change="apply",
        files=[candidate, *needed],
        confirm_s=confirm_s,
    )
    if not _said(host, *_run(host, loading, arguments)):
        return False
    try:
        # The rules accept established connections: only a new connection shows that SSH works.
        fresh = host.connector_cls(state, host)
        limit_connector(host, fresh)
        fresh.connect()
    except ConnectError as error:
        _take_back(
            host, f"a new connection failed under the new rules ({error})", confirm_s, arguments
        )
        return False
    beside = [item for item in plan.files if item.path != RULES]
    confirming = run_script(OPERATION, "parts/egress/confirm", files=beside)
    confirmed = _said(host, *_run(fresh, confirming, arguments))
    fresh.disconnect()
    if not confirmed:
        _take_back(host, "confirming the new rules failed", confirm_s, arguments)
    return confirmed


def _take_back(host: Host, why: str, confirm_s: int, arguments: dict[str, Any]) -> None:
    """Roll back over the existing SSH connection if it is alive; otherwise the node does it."""
    text = script("parts/egress/undo")
    ok, _ = _run(host, StringCommand("sh", "-c", QuoteString(text)), arguments)
    left = f"the node rolls back rules that are not confirmed within {confirm_s} s"
    how = "the previous rules are active again" if ok else left
    text = f"{OPERATION}: {RULES} on {host.name}: {why}; {how}"
    host.log(format_text(text, "red"), logger.error)
    because(host, f"{why}; {how}")


def _run(
    by: Host | BaseConnector, command: StringCommand, arguments: dict[str, Any]
) -> tuple[bool, list[str]]:
    """Return whether the command succeeded, and its last error lines; the connection may break."""
    try:
        ok, output = by.run_shell_command(command, **arguments)
    except (OSError, EOFError, SSHException) as error:
        todo = "the node rolls back rules that are not confirmed"
        return False, [f"the connection broke ({str(error) or type(error).__name__}); {todo}"]
    return ok, output.stderr_lines[-5:]


def _said(host: Host, ok: bool, lines: list[str]) -> bool:
    for line in () if ok else lines:
        host.log(line, logger.error)
    return ok

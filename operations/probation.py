"""Rules on probation: loaded, and kept only if this controller still gets in anew."""

from __future__ import annotations

from typing import Any

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.exceptions import ConnectError

from pyinfra_gvisor.egress.files import CANDIDATE, RULES
from pyinfra_gvisor.egress.plan import EgressPlan
from pyinfra_gvisor.node_files import NodeFile
from pyinfra_gvisor.operations.by_hand import connector_arguments
from pyinfra_gvisor.scripts import script


def try_rules(plan: EgressPlan, *, confirm_s: int) -> FunctionCommand:
    """The command that loads the plan's rules, comes back anew and confirms them."""
    return FunctionCommand(_try_rules, (plan, confirm_s, connector_arguments()), {})


def _try_rules(
    state: State, host: Host, plan: EgressPlan, confirm_s: int, arguments: dict[str, Any]
) -> bool:
    rules = next(item for item in plan.files if item.path == RULES)
    needed = [item for item in plan.files if item.path.endswith(".sh")]
    candidate = NodeFile(CANDIDATE, rules.mode, rules.text)
    loading = _command("egress_try", [candidate, *needed], host=host.name, confirm_s=confirm_s)
    if not _said(host, *host.run_shell_command(loading, **arguments)):
        return False
    try:
        # The rules let a connection live that they know; only a new one shows that there can be.
        fresh = host.connector_cls(state, host)
        fresh.connect()
    except ConnectError as error:
        _take_back(host, f"no new connection under the new rules ({error})", confirm_s, arguments)
        return False
    confirming = _command("egress_confirm", plan.files, host=host.name)
    confirmed = _said(host, *fresh.run_shell_command(confirming, **arguments))
    fresh.disconnect()
    if not confirmed:
        _take_back(host, "the new rules could not be confirmed", confirm_s, arguments)
    return confirmed


def _take_back(host: Host, why: str, confirm_s: int, arguments: dict[str, Any]) -> None:
    """Over the connection from before, if it lives; else the node does it by itself."""
    text = script("egress_undo")
    ok, _ = host.run_shell_command(StringCommand("sh", "-c", QuoteString(text)), **arguments)
    how = "they were taken back" if ok else f"the node takes them back within {confirm_s} s"
    host.log(f"egress.rules: {RULES} on {host.name}: {why}; {how}", logger.error)


def _command(name: str, items: Any, **variables: str | int) -> StringCommand:
    words = [word for item in items for word in item.words]
    text = script("put_files", name, **variables)
    return StringCommand("sh", "-c", QuoteString(text), "sh", *map(QuoteString, words))


def _said(host: Host, ok: bool, output: Any) -> bool:
    for line in () if ok else output.stderr_lines[-5:]:
        host.log(line, logger.error)
    return ok

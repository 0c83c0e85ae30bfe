"""Run a script with containers of ours on a node, and tell what its lines show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.output import format_text

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.facts.deadline import given_up
from pyinfra_gvisor.proof.proof_errors import why_unmade
from pyinfra_gvisor.proof.script import within_script
from pyinfra_gvisor.report.host_result import HostResult
from pyinfra_gvisor.run_support.connector_arguments import connector_arguments
from pyinfra_gvisor.run_support.ending import because
from pyinfra_gvisor.run_support.results import tell_result

_T = TypeVar("_T", bound=HostResult)
Read = Callable[[str, Sequence[str]], _T]


def probe(operation: str, script: str, limit_s: int, read: Read[_T]) -> FunctionCommand:
    """
    Return the command that runs a script on the current host, and fails it if nothing is shown.

    + operation: the operation's name, for messages
    + script: one that comes after ``proof/containers.sh``
    + limit_s: seconds that it may take on a node whose Docker answers at once
    + read: returns what the lines show of the host of this name; raises ``ValueError``
    """
    return FunctionCommand(_probe, (operation, script, limit_s, read, connector_arguments()), {})


def _probe(state: State, host: Host, operation: str, *given: Any) -> bool:
    problem = _told(host, *given)
    if problem is None:
        return True
    host.log(format_text(problem.at(operation, "node", host.name), "red"), logger.error)
    because(host, str(problem))
    return False


def _told(
    host: Host, script: str, limit_s: int, read: Read[_T], arguments: dict[str, Any]
) -> Problem | None:
    """Run the script and tell what it shows; return why that cannot be done."""
    try:
        tell_result(host, shown(host, script, limit_s, read, arguments))
    except Problem as problem:
        return problem
    return None


def shown(host: Host, script: str, limit_s: int, read: Read[_T], arguments: dict[str, Any]) -> _T:
    """
    Return what a script shows, as ``probe`` has it. Raises ``Problem`` if it shows nothing.

    + arguments: ``connector_arguments()`` of the operation
    """
    within = QuoteString(within_script(limit_s))
    command = StringCommand("sh", "-c", within, "sh", QuoteString(script))
    ok, output = host.run_shell_command(command, **arguments)
    if why := given_up(host) or why_unmade(output.stdout_lines, output.stderr_lines, (), ok=ok):
        raise why
    try:
        return read(host.name, output.stdout_lines)
    except ValueError as error:
        raise Problem(f"could not be made: {error}", todo="run again") from None

"""The measurement of a node as pyinfra runs it: do the work there, judge and tell it here."""

from __future__ import annotations

from typing import Any

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.output import format_text

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.costs.measured import costs
from pyinfra_gvisor.costs.script import limit_s, measure_script
from pyinfra_gvisor.facts.deadline import given_up
from pyinfra_gvisor.proof.proof_errors import why_unmade
from pyinfra_gvisor.proof.script import within_script
from pyinfra_gvisor.run_support.connector_arguments import connector_arguments
from pyinfra_gvisor.run_support.ending import because
from pyinfra_gvisor.run_support.results import tell_result
from pyinfra_gvisor.settings import Settings


def measure(settings: Settings) -> FunctionCommand:
    """Return the command that measures the current host, and fails it if nothing was measured."""
    return FunctionCommand(_measure, (settings, connector_arguments()), {})


def _measure(state: State, host: Host, settings: Settings, arguments: dict[str, Any]) -> bool:
    within, text = within_script(limit_s(settings)), measure_script(settings)
    command = StringCommand("sh", "-c", QuoteString(within), "sh", QuoteString(text))
    ok, output = host.run_shell_command(command, **arguments)
    problem = given_up(host) or why_unmade(output.stdout_lines, output.stderr_lines, (), ok=ok)
    if problem is None:
        try:
            tell_result(host, costs(host.name, output.stdout_lines, settings.runtimes))
        except ValueError as error:
            problem = Problem(f"could not be made: {error}", todo="run again")
    if problem is None:
        return True
    host.log(format_text(problem.at("measure.costs", "node", host.name), "red"), logger.error)
    because(host, str(problem))
    return False

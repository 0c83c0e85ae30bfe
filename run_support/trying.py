"""The trial of a container as pyinfra runs it: run it on the node, judge and tell it here."""

from __future__ import annotations

from typing import Any

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.output import format_text

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.facts.deadline import given_up
from pyinfra_gvisor.proof.proof_errors import why_unmade
from pyinfra_gvisor.proof.script import within_script
from pyinfra_gvisor.run_support.connector_arguments import connector_arguments
from pyinfra_gvisor.run_support.ending import because
from pyinfra_gvisor.run_support.results import tell_result
from pyinfra_gvisor.trials.asked import Asked
from pyinfra_gvisor.trials.judged import trial
from pyinfra_gvisor.trials.script import limit_s


def try_app(asked: Asked, script: str) -> FunctionCommand:
    """
    Return the command that tries a container of the current host, and fails it if that did not end.

    + script: ``trials.script.trial_script``
    """
    return FunctionCommand(_try, (asked, script, connector_arguments()), {})


def _try(state: State, host: Host, asked: Asked, script: str, arguments: dict[str, Any]) -> bool:
    within = within_script(limit_s(asked.seconds))
    command = StringCommand("sh", "-c", QuoteString(within), "sh", QuoteString(script))
    ok, output = host.run_shell_command(command, **arguments)
    problem = given_up(host) or why_unmade(output.stdout_lines, output.stderr_lines, (), ok=ok)
    if problem is None:
        try:
            tell_result(host, trial(host.name, output.stdout_lines, asked))
        except ValueError as error:
            problem = Problem(f"could not be made: {error}", todo="run again")
    if problem is None:
        return True
    host.log(format_text(problem.at("trial.container", "node", host.name), "red"), logger.error)
    because(host, str(problem))
    return False

"""The apps of Coolify's servers as pyinfra sets them: looked at once, and set by the controller."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand

from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.apps import Choice, Survey, carry_out, plan_lines, survey
from pyinfra_gvisor.coolify.files import OWED
from pyinfra_gvisor.coolify.token import read_token
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.operations.by_hand import connector_arguments
from pyinfra_gvisor.scripts import encoded, script
from pyinfra_gvisor.settings import Settings

_MEMORY = "pyinfra_gvisor.coolify"


@dataclass(frozen=True)
class Apps:
    """Apps as they were found, and how to reach them."""

    api: Api
    choice: Choice
    found: Survey

    @property
    def lines(self) -> list[str]:
        """App by app what would be set, and what has to be by hand."""
        return plan_lines(self.found, self.choice)


def look(host: Host, settings: Settings) -> Apps:
    """
    The apps of the chosen servers, asked for once in a run: it may take minutes.

    Raises ``Problem`` if Coolify does not tell.
    """
    kept: Apps | None = host.connector_data.get(_MEMORY)
    if kept is None:
        token = read_token(os.environ, settings.coolify_token_file)
        api, choice = Api(str(settings.coolify_url), token), choice_of(settings)
        kept = host.connector_data[_MEMORY] = Apps(api, choice, survey(api, choice))
    return kept


def choice_of(settings: Settings) -> Choice:
    """What the settings say about apps."""
    return Choice(
        runtime=settings.coolify_runtime,
        servers=settings.coolify_servers,
        exempt=settings.coolify_exempt,
        redeploy=settings.coolify_redeploy,
        redeploy_timeout_s=settings.coolify_redeploy_timeout_s,
    )


def set_apps(apps: Apps, owed: frozenset[str]) -> FunctionCommand:
    """The command that sets them and deploys anew what is to be; ``owed``: left from earlier."""
    return FunctionCommand(_set, (apps, owed, connector_arguments()), {})


def _set(
    state: State, host: Host, apps: Apps, owed: frozenset[str], arguments: dict[str, Any]
) -> bool:
    host.connector_data.pop(_MEMORY, None)  # from here on it is another
    try:
        outcome = carry_out(
            apps.api,
            apps.found,
            apps.choice,
            owed=owed,
            keep_owed=lambda uuids: _keep_owed(host, uuids, arguments),
            tell=host.log,
        )
    except Problem as problem:
        host.log(problem.at("coolify.apps", apps.api.url, host.name), logger.error)
        return False
    return outcome.ok


def _keep_owed(host: Host, uuids: frozenset[str], arguments: dict[str, Any]) -> None:
    """Write down, on the control host, which apps are still to be deployed anew."""
    directory, _, record = OWED.rpartition("/")
    content = "".join(f"{uuid}\n" for uuid in sorted(uuids))
    text = script("write_record", state_dir=directory, record=record, content_b64=encoded(content))
    ok, output = host.run_shell_command(StringCommand("sh", "-c", QuoteString(text)), **arguments)
    if not ok:
        said = output.stderr_lines[-1] if output.stderr_lines else None
        raise Problem(f"{OWED} cannot be written", got=said, todo="see that the host has room")

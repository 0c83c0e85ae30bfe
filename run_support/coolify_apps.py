"""Read the apps of Coolify's servers once, and set their options from the controller."""

from __future__ import annotations

import os
from typing import Any

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.apps import Choice
from pyinfra_gvisor.coolify.files import REDEPLOYS
from pyinfra_gvisor.coolify.token import read_token
from pyinfra_gvisor.platforms.coolify_apps import CoolifyApps, read_apps
from pyinfra_gvisor.run_support.connector_arguments import connector_arguments
from pyinfra_gvisor.settings import Settings

_MEMORY = "pyinfra_gvisor.coolify"


def look(host: Host, settings: Settings) -> CoolifyApps:
    """
    Return the apps of the chosen servers. They are read once in a run: it may take minutes.

    Raises ``Problem`` if Coolify does not answer.
    """
    kept: CoolifyApps | None = host.connector_data.get(_MEMORY)
    if kept is None:
        token = read_token(os.environ, settings.coolify_token_file)
        kept = read_apps(Api(str(settings.coolify_url), token), choice_of(settings))
        host.connector_data[_MEMORY] = kept
    return kept


def choice_of(settings: Settings) -> Choice:
    """Return what the settings declare about apps."""
    return Choice(
        runtime=settings.coolify_runtime,
        servers=settings.coolify_servers,
        exempt=settings.coolify_exempt,
        redeploy=settings.coolify_redeploy,
        redeploy_timeout_s=settings.coolify_redeploy_timeout_s,
    )


def set_apps(apps: CoolifyApps, redeploys: frozenset[str]) -> FunctionCommand:
    """
    Return the command that sets the apps, and redeploys them if declared.

    + redeploys: uuids of apps that an earlier run should have redeployed but did not
    """
    return FunctionCommand(_set, (apps, redeploys, connector_arguments()), {})


def _set(
    state: State,
    host: Host,
    apps: CoolifyApps,
    redeploys: frozenset[str],
    arguments: dict[str, Any],
) -> bool:
    host.connector_data.pop(_MEMORY, None)  # The apps change from here on.
    try:
        outcome = apps.ask(
            redeploys, lambda uuids: _keep_redeploys(host, uuids, arguments), host.log
        )
    except Problem as problem:
        host.log(problem.at("coolify.apps", apps.api.url, host.name), logger.error)
        return False
    return outcome.ok


def _keep_redeploys(host: Host, uuids: frozenset[str], arguments: dict[str, Any]) -> None:
    """Record on the control host which apps are still to be redeployed."""
    directory, _, record = REDEPLOYS.rpartition("/")
    content = "".join(f"{uuid}\n" for uuid in sorted(uuids))
    text = script(
        "base/write_record", state_dir=directory, record=record, content_b64=encoded(content)
    )
    ok, output = host.run_shell_command(StringCommand("sh", "-c", QuoteString(text)), **arguments)
    if not ok:
        said = output.stderr_lines[-1] if output.stderr_lines else None
        todo = "free some disk space on the control host"
        raise Problem(f"{REDEPLOYS} cannot be written", got=said, todo=todo)

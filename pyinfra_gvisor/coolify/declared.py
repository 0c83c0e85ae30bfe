"""Read Coolify's apps for an audit, which compares them with their containers. Sets nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.declared_apps import DeclaredApp, DeclaredApps
from pyinfra_gvisor.coolify.models import Application
from pyinfra_gvisor.coolify.options import runtime_of
from pyinfra_gvisor.coolify.token import read_token


def ask(url: str, environment: Mapping[str, str], token_file: str | None) -> DeclaredApps:
    """
    Return the apps of the Coolify at ``url``, or why they could not be read.

    + environment: may contain the token, as ``COOLIFY_TOKEN``
    + token_file: a file that contains the token; None for no file
    """
    try:
        return declared(Api(url, read_token(environment, token_file)))
    except Problem as problem:
        return DeclaredApps(error=str(problem))


def declared(api: Api) -> DeclaredApps:
    """
    Return all apps by the number in the labels of their containers.

    Only the list of a server's resources contains that number, not the list of applications. Raises
    ``Problem`` if Coolify does not answer.
    """
    known = {app.uuid: app for app in api.applications()}
    return DeclaredApps(
        {
            str(item.id): _app(known[item.uuid])
            for server in api.servers()
            for item in api.resources(server.uuid)
            if item.type == "application" and item.uuid in known
        }
    )


def _app(app: Application) -> DeclaredApp:
    return DeclaredApp(
        uuid=app.uuid,
        name=app.name,
        runtime=runtime_of(app.custom_docker_run_options),
        by_options=app.build_pack != "dockercompose",
    )

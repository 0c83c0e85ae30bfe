"""Why a run on Coolify's control host would be refused, before its first change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.control_host import ControlHost
from pyinfra_gvisor.coolify.files import COMPOSE, CONTAINER
from pyinfra_gvisor.coolify.plan import plan_option, plan_persistence
from pyinfra_gvisor.coolify.settings import CoolifySettings
from pyinfra_gvisor.coolify.token import read_token


def refusals(
    found: ControlHost, settings: CoolifySettings, environment: Mapping[str, str]
) -> Iterator[tuple[str, str, Problem]]:
    """
    Yield each reason with the operation that would refuse, and the subject of the reason.

    + environment: of this process; it may have the token of Coolify's API
    """
    present = settings.coolify
    try:
        plan_option(found, present=present)
    except Problem as problem:  # the files depend on the same function
        yield "coolify.runtime_option", CONTAINER, problem
        return
    try:
        plan_persistence(found, present=present)
    except Problem as problem:
        yield "coolify.persistence", COMPOSE, problem
    if present and settings.coolify_url is not None:
        try:
            read_token(environment, settings.coolify_token_file)
        except Problem as problem:
            yield "coolify.apps", settings.coolify_url, problem

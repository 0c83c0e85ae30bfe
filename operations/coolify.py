"""Coolify's control host: that it honours ``--runtime``, goes on to, and every app asks for it."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.coolify.files import (
    COMPOSE,
    CONTAINER,
    KEEP_DIR,
    MOUNTED_DIR,
    NAME,
    SOURCE_DIR,
    patcher_text,
)
from pyinfra_gvisor.coolify.plan import PersistencePlan, plan_option, plan_persistence
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.coolify import CoolifyState
from pyinfra_gvisor.facts.node import forget_node, read_once
from pyinfra_gvisor.operations.sending import sent
from pyinfra_gvisor.operations.telling import refusal, tell
from pyinfra_gvisor.scripts import encoded, script
from pyinfra_gvisor.settings import Settings


@operation()
def runtime_option(
    present: bool = True, *, wait_s: int = 60
) -> Generator[PyinfraCommand, None, None]:
    """
    Have Coolify hand ``--runtime`` of its Custom Docker Options on to compose.

    + present: whether it is to; if not, Coolify's source is given its own bytes back
    + wait_s: seconds that Horizon has to take the new code over; running deployments end first

    Nothing is done where Coolify knows the option by itself. The new source is checked with
    ``php -l`` before it is there and asked behind it; if it does not answer as it should, the old
    one is put back. No deployment is ended. Fails the host where there is no Coolify, or one whose
    function is not as we know it.
    """
    found = read_once(host, CoolifyState)
    if found is None:
        yield from refusal("coolify.runtime_option", CONTAINER, None, unreadable=True)
        return
    try:
        plan = plan_option(found, present=present)
    except Problem as problem:
        yield from refusal("coolify.runtime_option", CONTAINER, problem)
        return
    for line in plan.lines:
        tell(line)
    if plan.action == "nothing":
        host.noop("Coolify's source is as declared")
        return
    forget_node(host)
    text = script(
        "coolify_container",
        "coolify_option",
        host=host.name,
        verb=plan.action,
        wait_s=wait_s,
        patcher_b64=encoded(patcher_text()),
    )
    yield StringCommand("sh", "-c", QuoteString(text))


@operation()
def persistence(present: bool = True) -> Generator[PyinfraCommand, None, None]:
    """
    Have the option outlive Coolify's upgrades, which create its container anew.

    + present: whether it is to; if not, nothing of ours stays, but for a mounted file that does
      nothing as long as the container needs it to start

    ``docker-compose.custom.yml`` is merged, whoever wrote it, and written only if compose takes all
    files together as it did before. Fails the host, with the lines to add by hand, where it cannot
    be merged safely.
    """
    found = read_once(host, CoolifyState)
    if found is None:
        yield from refusal("coolify.persistence", COMPOSE, None, unreadable=True)
        return
    try:
        plan = plan_persistence(found, present=present)
    except Problem as problem:
        yield from refusal("coolify.persistence", COMPOSE, problem)
        return
    if plan.action == "nothing":
        host.noop("what outlives an upgrade is as declared")
        return
    for line in plan.lines:
        tell(line)
    forget_node(host)
    yield _command(plan, found.compose.sha256)


def _command(plan: PersistencePlan, compose_sum: str) -> StringCommand:
    changed = plan.compose_after != plan.compose_before
    return sent(
        "coolify.persistence",
        "coolify_compose",
        f"coolify_{plan.action}",
        files=plan.files,
        unit=NAME,
        keep_dir=KEEP_DIR,
        mounted_dir=MOUNTED_DIR,
        source_dir=SOURCE_DIR,
        keeps_mounts="yes" if plan.keeps_mounts else "no",
        compose=COMPOSE,
        compose_sum=compose_sum or "-",
        compose_b64=encoded(plan.compose_after) if changed else "keep",
    )


@operation()
def apps(settings: Settings) -> Generator[PyinfraCommand, None, None]:
    """
    Have the apps of the chosen servers ask for the runtime in their Custom Docker Options.

    + settings: of the control host: Coolify's address, servers, runtime, exemptions, redeploys

    Every other option stays as it was, and an app is written at most once. What cannot be set by
    the API is told with the text to set by hand. With ``gvisor_coolify_redeploy = "changed"``
    running apps that were set are restarted one after the other; what a run that was killed leaves
    owed is done by the next one.
    """
    found = read_once(host, CoolifyState)
    if found is None:
        yield from refusal("coolify.apps", CONTAINER, None, unreadable=True)
        return
    # The modules cost every run that loads this file, and only those with a token need them.
    from pyinfra_gvisor.operations.coolify_apps import look, set_apps  # noqa: PLC0415

    try:
        seen = look(host, settings)
    except Problem as problem:
        yield from refusal("coolify.apps", str(settings.coolify_url), problem)
        return
    owed = found.owed if settings.coolify_redeploy == "changed" else frozenset[str]()
    for line in seen.lines:
        tell(line)
    if not seen.found.to_set and not owed:
        host.noop("every app asks for what it is to ask for")
        return
    yield set_apps(seen, owed)

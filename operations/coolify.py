"""Make Coolify honour ``--runtime``, also after upgrades, and make every app ask for it."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import Host, QuoteString, StringCommand

from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.coolify.control_host import ControlHost
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
from pyinfra_gvisor.facts.coolify import CoolifyState
from pyinfra_gvisor.facts.node import forget_node, read_once
from pyinfra_gvisor.run_support.converge import Commands, on_node
from pyinfra_gvisor.run_support.messages import tell
from pyinfra_gvisor.run_support.run_script import run_script
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.settings import Settings


@operation()
def runtime_option(present: bool = True, *, wait_s: int = 60) -> Commands:
    """
    Patch Coolify so that it passes ``--runtime`` of its Custom Docker Options on to compose.

    + present: True to patch Coolify, False to restore its source to the byte
    + wait_s: seconds to wait until Horizon runs the new code; it finishes its deployments first

    Does nothing if Coolify supports the option itself. The new source is checked with ``php -l``
    before it is written and tested afterwards; if the test fails, the old source is restored. No
    deployment is interrupted. Fails the host if there is no Coolify, or if its function is of an
    unknown version.
    """

    def body(found: ControlHost) -> Commands:
        plan = plan_option(found, present=present)
        for line in plan.lines:
            tell(line)
        if plan.action == "nothing":
            host.noop("Coolify's source is as declared")
            return
        forget_node(host)
        given = {"verb": plan.action, "wait_s": wait_s, "patcher_b64": encoded(patcher_text())}
        text = script("coolify/container", "coolify/option", host=host.name, **given)
        yield StringCommand("sh", "-c", QuoteString(text))

    yield from on_node("coolify.runtime_option", CONTAINER, body, _read)


def _read(host: Host) -> ControlHost | None:
    return read_once(host, CoolifyState)


@operation()
def persistence(present: bool = True) -> Commands:
    """
    Keep the patch after Coolify's upgrades, which recreate its container.

    + present: True to keep the patch; False to remove our files. A mounted file without effect
      stays while the container needs it to start

    Our lines are added to ``docker-compose.custom.yml``, and written only if compose still reads
    the rest of its files as before. Fails the host, with the lines to add by hand, if they cannot
    be added safely.
    """

    def body(found: ControlHost) -> Commands:
        plan = plan_persistence(found, present=present)
        if plan.action == "nothing":
            host.noop("the files that keep the patch after upgrades are as declared")
            return
        for line in plan.lines:
            tell(line)
        forget_node(host)
        yield _command(plan, found.compose.sha256)

    yield from on_node("coolify.persistence", COMPOSE, body, _read)


def _command(plan: PersistencePlan, compose_sum: str) -> StringCommand:
    changed = plan.compose_after != plan.compose_before
    return run_script(
        "coolify.persistence",
        "coolify/compose",
        f"coolify/{plan.action}",
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
def apps(settings: Settings) -> Commands:
    """
    Set ``--runtime`` in the Custom Docker Options of the apps on the chosen servers.

    + settings: of the control host: Coolify's URL, servers, runtime, exemptions, redeploys

    All other options stay as they are, and an app is written at most once. For what the API cannot
    set, the output has the text to set by hand. With ``gvisor_coolify_redeploy = "changed"``
    running apps that were set are restarted one after the other. Restarts that an interrupted run
    has left are done by the next run.
    """
    # Imported only here: only runs with a token need these modules, and loading them takes time.
    from pyinfra_gvisor.run_support.coolify_apps import look, set_apps  # noqa: PLC0415

    def body(found: ControlHost) -> Commands:
        seen = look(host, settings)
        redeploys = found.redeploys if settings.coolify_redeploy == "changed" else frozenset[str]()
        for line in seen.lines:
            tell(line)
        if not seen.found.to_set and not redeploys:
            host.noop("every app asks for its runtime")
            return
        yield set_apps(seen, redeploys)

    yield from on_node("coolify.apps", str(settings.coolify_url), body, _read)

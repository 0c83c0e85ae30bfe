"""Both ends of an app: what Coolify was told to ask for, and what its container got."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pyinfra_gvisor.audit.rules import Audited, Rule, Running, Seen
from pyinfra_gvisor.coolify.declared_apps import APP_ID, PULL_REQUEST_ID, DeclaredApp
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.policy.findings import Severity

if TYPE_CHECKING:
    from pyinfra_gvisor.coolify.plan import OptionPlan, PersistencePlan


def _app(running: Running) -> DeclaredApp | None:
    """The app that a container is of, if Coolify knows it and its options reach the container."""
    labels, declared = running.given.labels, running.host.apps
    if declared is None or labels.get(PULL_REQUEST_ID, "0") != "0":  # previews get no options
        return None
    app = declared.apps.get(labels.get(APP_ID, ""))
    return app if app and app.by_options else None


def _named(app: DeclaredApp) -> str:
    return f"Coolify's app {app.name} ({app.uuid})"


def _not_in_force(running: Running) -> Iterator[Seen]:
    app, asked = _app(running), running.container.runtime
    if app and app.runtime and (asked != app.runtime or not running.sandboxed):
        how = "in a sandbox" if running.sandboxed else "in no sandbox"
        evidence = f"{_named(app)} asks for {app.runtime}, its container for {asked} and is {how}"
        yield Seen(running.container.name, evidence)


def _not_asked_for(running: Running) -> Iterator[Seen]:
    app = _app(running)
    if app and app.runtime is None and running.sandboxed:
        yield Seen(running.container.name, f"{_named(app)} asks for no runtime")


def _unknown(running: Running) -> Iterator[Seen]:
    declared, number = running.host.apps, running.given.labels.get(APP_ID)
    if declared and not declared.error and number and number not in declared.apps:
        yield Seen(running.container.name, f"it is labelled {APP_ID}={number}")


def _not_compared(host: Audited) -> Iterator[Seen]:
    if host.apps and host.apps.error:
        yield Seen("Coolify's API", host.apps.error)


def _drops_option(host: Audited) -> Iterator[Seen]:
    # Only a control host needs it, and it brings a parser of YAML along.
    from pyinfra_gvisor.coolify.plan import plan_option  # noqa: PLC0415

    yield from _pending(host, "Coolify", plan_option)


def _not_kept(host: Audited) -> Iterator[Seen]:
    from pyinfra_gvisor.coolify.plan import plan_persistence  # noqa: PLC0415 - likewise

    yield from _pending(host, "docker-compose.custom.yml", plan_persistence)


def _pending(
    host: Audited, subject: str, plan: Callable[..., OptionPlan | PersistencePlan]
) -> Iterator[Seen]:
    """What a run would do on a control host, or why it would refuse."""
    if host.control is None or not host.settings.coolify:
        return
    try:
        found = plan(host.control, present=True)
    except Problem as problem:
        yield Seen(subject, problem.what)
        return
    if found.action != "nothing":
        yield Seen(subject, found.lines[0])


APP_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "app-option-not-in-force",
        Severity.HIGH,
        "its app asks for a runtime that the container did not get",
        "deploy it anew in Coolify; if it is still so then, Coolify drops the option: run "
        "deploys/coolify.py",
        _not_in_force,
    ),
    Rule(
        "app-option-missing",
        Severity.HIGH,
        "it is in a sandbox, and with its next deployment it will not be",
        "set --runtime=runsc in the app's Custom Docker Options, or have deploys/coolify.py do it",
        _not_asked_for,
    ),
    Rule(
        "app-unknown",
        Severity.LOW,
        "it is labelled as an app of Coolify's that Coolify does not know",
        "see whether it was left behind by a deleted app, or belongs to another team's token",
        _unknown,
    ),
)

COOLIFY_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "coolify-drops-option",
        Severity.CRITICAL,
        "Coolify does not hand --runtime on, so that apps are deployed without their sandbox",
        "run deploys/coolify.py",
        _drops_option,
    ),
    Rule(
        "coolify-not-kept",
        Severity.HIGH,
        "what has Coolify honour --runtime does not outlive its next upgrade",
        "run deploys/coolify.py",
        _not_kept,
    ),
    Rule(
        "apps-not-compared",
        Severity.HIGH,
        "what apps ask for could not be compared with what their containers got",
        "see that gvisor_coolify_url and the token are right; containers were judged all the same",
        _not_compared,
    ),
)

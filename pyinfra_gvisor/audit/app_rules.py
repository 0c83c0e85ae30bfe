"""Rules that compare the runtime set for an app in Coolify with the runtime of its container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule, Running
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.declared_apps import APP_ID, PULL_REQUEST_ID, DeclaredApp
from pyinfra_gvisor.policy.findings import Severity

if TYPE_CHECKING:
    from pyinfra_gvisor.coolify.plan import OptionPlan, PersistencePlan


def _app(running: Running) -> DeclaredApp | None:
    """Return a container's app; None if Coolify knows none, or the app's options have no effect."""
    labels, declared = running.given.labels, running.host.apps
    if declared is None or labels.get(PULL_REQUEST_ID, "0") != "0":  # previews get no options
        return None
    app = declared.apps.get(labels.get(APP_ID, ""))
    return app if app and app.by_options else None


def _named(app: DeclaredApp) -> str:
    return f"Coolify's app {app.name} ({app.uuid})"


def _not_in_force(running: Running) -> Iterator[Observation]:
    app, asked = _app(running), running.container.runtime
    if app and app.runtime and (asked != app.runtime or not running.sandboxed):
        how = "runs in gVisor" if running.sandboxed else "was not seen in gVisor"
        evidence = f"{_named(app)} has --runtime={app.runtime}; its container has {asked} and {how}"
        yield Observation(running.container.name, evidence)


def _not_asked_for(running: Running) -> Iterator[Observation]:
    app = _app(running)
    if running.host.settings.dispatch:
        return  # no app has to ask
    if app and app.runtime is None and running.sandboxed:
        yield Observation(running.container.name, f"{_named(app)} has no --runtime")


def _unknown(running: Running) -> Iterator[Observation]:
    declared, number = running.host.apps, running.given.labels.get(APP_ID)
    if declared and not declared.error and number and number not in declared.apps:
        yield Observation(running.container.name, f"label {APP_ID}={number}")


def _not_compared(host: Audited) -> Iterator[Observation]:
    if host.apps and host.apps.error:
        yield Observation("Coolify's API", host.apps.error)


def _drops_option(host: Audited) -> Iterator[Observation]:
    # Only a control host needs this import, which loads a YAML parser.
    from pyinfra_gvisor.coolify.plan import plan_option  # noqa: PLC0415

    yield from _pending(host, "Coolify", plan_option)


def _not_kept(host: Audited) -> Iterator[Observation]:
    from pyinfra_gvisor.coolify.plan import plan_persistence  # noqa: PLC0415 - as above

    yield from _pending(host, "docker-compose.custom.yml", plan_persistence)


def _pending(
    host: Audited, subject: str, plan: Callable[..., OptionPlan | PersistencePlan]
) -> Iterator[Observation]:
    """Yield what a run would change on a control host, or why the run would refuse."""
    if host.control is None or not host.settings.coolify:
        return
    try:
        found = plan(host.control, present=True)
    except Problem as problem:
        yield Observation(subject, problem.what)
        return
    if found.action != "nothing":
        yield Observation(subject, found.lines[0])


APP_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "app-option-not-in-force",
        Severity.HIGH,
        "The app's runtime in Coolify is not the one that its container has",
        "Redeploy the app in Coolify. If this finding remains, Coolify ignores the option: run "
        "pyinfra-gvisor apply --deploy coolify",
        _not_in_force,
    ),
    Rule(
        "app-option-missing",
        Severity.HIGH,
        "Runs in gVisor now, but will not after the app's next deployment",
        "Set --runtime=runsc in the app's Custom Docker Options, or run pyinfra-gvisor apply "
        "--deploy coolify",
        _not_asked_for,
    ),
    Rule(
        "app-unknown",
        Severity.LOW,
        "Has the label of a Coolify app that Coolify does not know",
        "Check whether the app was deleted, or belongs to a team that the API token cannot read",
        _unknown,
    ),
)

COOLIFY_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "coolify-drops-option",
        Severity.CRITICAL,
        "Coolify ignores --runtime, so apps are deployed directly on the host kernel",
        "Run pyinfra-gvisor apply --deploy coolify",
        _drops_option,
    ),
    Rule(
        "coolify-not-kept",
        Severity.HIGH,
        "Coolify will ignore --runtime after its next upgrade",
        "Run pyinfra-gvisor apply --deploy coolify",
        _not_kept,
    ),
    Rule(
        "apps-not-compared",
        Severity.HIGH,
        "The apps' runtimes in Coolify could not be compared with those of their containers",
        "Check gvisor_coolify_url and the API token. The containers themselves were checked",
        _not_compared,
    ),
)

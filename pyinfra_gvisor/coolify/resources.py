"""
Judge each resource on a server: does it ask for the runtime, and if not, what must be done?

Where Coolify ignores options is from ``generate_compose_file`` in
app/Jobs/ApplicationDeploymentJob.php of Coolify 4.3.11, and from the actions that start databases
and services.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.models import Application, Database, Resource, Server
from pyinfra_gvisor.coolify.options import runtime_of, with_runtime

State = Literal["enforced", "to_set", "by_hand", "impossible", "exempt"]

# Gaps, which no option closes.
PREVIEWS: Final = "pull request previews run without the options"
BUILDS: Final = "builds run directly on the host kernel"
STOPPED: Final = "stopped: the options take effect at the next start"
UNREAD: Final = "settings not readable: with a custom container name Coolify ignores the options"

FIELD: Final = "Custom Docker options"  # the name of the field on Coolify's pages
# Build packs: one uses the app's own compose file, the other builds nothing.
_COMPOSE, _NOT_BUILT = "dockercompose", "dockerimage"


@dataclass(frozen=True)
class Subject:
    """A resource, the chosen servers that it is on, and the other servers that it is on."""

    resource: Resource
    servers: tuple[Server, ...]
    others: tuple[Server, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """
    The verdict on a resource.

    ``kind`` is ``app``, ``database``, ``service`` or Coolify's own word; ``text`` says why, or what
    to do. ``to_set``: the options are ``before`` and must become ``after``. ``gaps``: parts of the
    resource that do not run in gVisor.
    """

    server: str
    name: str
    uuid: str
    kind: str
    state: State
    text: str
    before: str | None = None
    after: str | None = None
    gaps: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Return a name for messages: ``app shop (server run-1)``."""
        return _printable(f"{self.kind} {self.name or self.uuid} (server {self.server})")


def judge(
    subject: Subject,
    runtime: str,
    *,
    reason: str | None = None,
    application: Application | None = None,
    database: Database | None = None,
) -> Verdict:
    """
    Return the verdict on a resource.

    + reason: why it is exempt; None if it must run under the runtime
    + application, database: the API's answer about it; None if there is none
    """
    resource = subject.resource
    kind = _kind(resource.type)
    names = ", ".join(server.name or server.uuid for server in subject.servers)
    found = Verdict(names, resource.name, resource.uuid, kind, "impossible", "")
    swarm = next((server for server in subject.servers if server.is_swarm), None)
    if reason is not None:
        return replace(found, state="exempt", text=reason)
    if swarm:
        text = f"{swarm.name} is in a swarm, which has no runtimes; move it to another server"
        return replace(found, text=text)
    if kind == "app":
        return _app(found, subject, runtime, application)
    if kind == "database":
        return _database(found, runtime, database)
    if kind == "service":
        where = 'of its compose file ("Edit Compose file"), if missing: the API does not show it'
        return replace(found, state="by_hand", text=f"{_line(runtime)} {where}")
    return replace(found, text="unknown kind of resource")


def quoted(text: str | None) -> str:
    """Return options in quotes that they do not contain themselves, or ``none``."""
    if not text:
        return "none"
    quote = next((each for each in ('"', "'", "`") if each not in text), '"')
    return _printable(f"{quote}{text}{quote}")


def _app(found: Verdict, subject: Subject, runtime: str, app: Application | None) -> Verdict:
    if app is None:
        text = "the API does not show it: it belongs to another team, or was just deleted"
        return replace(found, text=text)
    found = replace(found, name=app.name or found.name, gaps=tuple(_gaps(app)))
    if app.build_pack == _COMPOSE:
        where = "of the compose file in its repository, if missing"
        return replace(found, state="by_hand", text=f"{_line(runtime)} {where}")
    if app.settings and app.settings.keep_options_off:
        text = 'clear its "Custom container name" (Advanced): with it Coolify ignores all options'
        return replace(found, state="by_hand", text=f"{text}; then run again")
    found = _by_options(found, app.custom_docker_run_options, runtime)
    if found.state == "to_set" and subject.others:
        names = ", ".join(server.name or server.uuid for server in subject.others)
        text = (
            f"it also runs on {names}, not in gvisor_coolify_servers: add that server, or "
            f"write {quoted(found.after)} into its {FIELD} once that server has the runtime"
        )
        return replace(found, state="by_hand", text=text)
    return found


def _database(found: Verdict, runtime: str, database: Database | None) -> Verdict:
    append = f'write "--runtime={runtime}" at the end of its {FIELD}'
    if database is None:
        return replace(found, state="by_hand", text=f"{append}; the API does not show this field")
    stopped = (STOPPED,) if _is_stopped(database.status) else ()
    found = replace(found, name=database.name or found.name, gaps=stopped)
    found = _by_options(found, database.custom_docker_run_options, runtime)
    if found.state == "to_set":
        text = f"write {quoted(found.after)} into its {FIELD}: the API cannot set it"
        return replace(found, state="by_hand", text=text)
    return replace(found, text=append) if found.state == "by_hand" else found


def _by_options(found: Verdict, text: str | None, runtime: str) -> Verdict:
    found = replace(found, before=text)
    try:
        after = with_runtime(text, runtime)
    except Problem as problem:
        if runtime_of(text) == runtime:  # Set before Coolify began to refuse such options.
            return replace(found, state="enforced", text=f"asks for {runtime}")
        return replace(found, state="by_hand", text=str(problem))
    if after == text:
        return replace(found, state="enforced", text=f"asks for {runtime}", after=after)
    return replace(found, state="to_set", text=f"must ask for {runtime}", after=after)


def _gaps(app: Application) -> Sequence[str]:
    settings = app.settings
    by_options = app.build_pack != _COMPOSE
    held = (
        (PREVIEWS, by_options and settings and settings.is_preview_deployments_enabled),
        (BUILDS, app.build_pack != _NOT_BUILT),
        (STOPPED, by_options and _is_stopped(app.status)),
        (UNREAD, by_options and settings is None),
    )
    return [gap for gap, holds in held if holds]


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def _is_stopped(status: str) -> bool:
    return status.startswith("exited")


def _kind(kind: str) -> str:
    if kind == "application":
        return "app"
    return "database" if kind.startswith("standalone-") else kind or "resource"


def _line(runtime: str) -> str:
    return f'write "runtime: {runtime}" into each service'

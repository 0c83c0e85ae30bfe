"""Read the resources of the chosen servers from Coolify, and judge each one. Sets nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.models import Application, Database, Resource, Server
from pyinfra_gvisor.coolify.resources import Subject, Verdict, judge
from pyinfra_gvisor.coolify.transport import NoAnswer, NotFound, Refused, Rejected


class Exempt(Protocol):
    """Resources that are exempt: ``app`` is a pattern of their names or uuids."""

    @property
    def app(self) -> str: ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True)
class Choice:
    """
    What is declared. ``servers`` are ``fnmatch`` patterns of names, uuids or addresses.

    ``redeploy``: whether running apps whose option was set are restarted. ``redeploy_timeout_s`` is
    the time limit of each restart, in seconds.
    """

    runtime: str
    servers: tuple[str, ...]
    exempt: Sequence[Exempt] = ()
    redeploy: Literal["never", "changed"] = "never"
    redeploy_timeout_s: float = 1800

    def reason(self, resource: Resource) -> str | None:
        """Return why a resource is exempt; None if it is not."""
        names = (resource.name, resource.uuid)
        return next((item.reason for item in self.exempt if _matches(names, item.app)), None)


@dataclass(frozen=True)
class Survey:
    """The chosen servers, a verdict on each of their resources, and the resources by uuid."""

    servers: tuple[Server, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    subjects: Mapping[str, Subject] = field(default_factory=dict)

    @property
    def to_set(self) -> tuple[Verdict, ...]:
        """Return the apps whose option must be set and can be."""
        return tuple(item for item in self.verdicts if item.state == "to_set")


def survey(api: Api, choice: Choice) -> Survey:
    """
    Read and judge all resources of the chosen servers.

    It sends one request for the servers, one for each server, one for all apps, one for each app
    whose settings matter, and one for databases if there are any. Raises ``Problem`` if Coolify
    does not answer, or a pattern matches no server.
    """
    if not choice.servers:
        return Survey()
    servers = api.servers()
    chosen = _chosen(servers, choice.servers)
    # Also of the other servers: an app can run on several, with the same options on all of them.
    subjects = _subjects(servers, chosen, {each.uuid: _resources(api, each) for each in servers})
    apps = _by_uuid(api.applications()) if _any(subjects, "application") else {}
    databases = _databases(api) if _any(subjects, "standalone-") else {}
    verdicts = tuple(_verdict(api, choice, each, apps, databases) for each in subjects.values())
    return Survey(chosen, verdicts, subjects)


def judge_app(subject: Subject, choice: Choice, application: Application | None) -> Verdict:
    """Return the verdict on an app, given the API's current answer about it."""
    reason = choice.reason(subject.resource)
    return judge(subject, choice.runtime, reason=reason, application=application)


def _verdict(
    api: Api,
    choice: Choice,
    subject: Subject,
    apps: Mapping[str, Application],
    databases: Mapping[str, Database],
) -> Verdict:
    uuid, kind = subject.resource.uuid, subject.resource.type
    if kind != "application":
        reason, database = choice.reason(subject.resource), databases.get(uuid)
        return judge(subject, choice.runtime, reason=reason, database=database)
    found = judge_app(subject, choice, apps.get(uuid))
    if found.state in ("enforced", "to_set"):  # Its settings may still change that.
        return judge_app(subject, choice, api.application(uuid))
    return found


def _chosen(servers: Iterable[Server], patterns: Iterable[str]) -> tuple[Server, ...]:
    servers = tuple(servers)
    names = {each.uuid: (each.name, each.uuid, each.ip) for each in servers}
    for pattern in patterns:
        if not any(_matches(each, pattern) for each in names.values()):
            known = ", ".join(cut(each.name or each.uuid) for each in servers) or "none"
            todo = f"write names, uuids or addresses of servers; Coolify shows the token {known}"
            what = "a pattern in gvisor_coolify_servers matches no server"
            raise Problem(what, got=pattern, todo=todo)
    return tuple(
        each for each in servers if any(_matches(names[each.uuid], pattern) for pattern in patterns)
    )


def _matches(names: Iterable[str], pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _resources(api: Api, server: Server) -> tuple[Resource, ...]:
    try:
        return api.resources(server.uuid)
    except NotFound:  # The server was deleted in the meantime.
        return ()


def _subjects(
    servers: Iterable[Server],
    chosen: Iterable[Server],
    resources: Mapping[str, Iterable[Resource]],
) -> dict[str, Subject]:
    """Return the resources of chosen servers by uuid, each once, with all servers it is on."""
    wanted = {each.uuid for each in chosen}
    on: dict[str, list[Server]] = {}
    found: dict[str, Resource] = {}
    for server in servers:
        for resource in resources[server.uuid]:
            # A server lists a resource twice if it is in two of the server's networks.
            if server not in on.setdefault(resource.uuid, []):
                on[resource.uuid].append(server)
            if server.uuid in wanted:
                found.setdefault(resource.uuid, resource)
    return {
        uuid: Subject(
            resource,
            tuple(each for each in on[uuid] if each.uuid in wanted),
            tuple(each for each in on[uuid] if each.uuid not in wanted),
        )
        for uuid, resource in found.items()
    }


def _any(subjects: Mapping[str, Subject], kind: str) -> bool:
    return any(each.resource.type.startswith(kind) for each in subjects.values())


def _by_uuid(items: Iterable[Application]) -> dict[str, Application]:
    return {item.uuid: item for item in items}


def _databases(api: Api) -> Mapping[str, Database]:
    """Return databases by uuid; empty if the API does not answer, because no app needs them."""
    try:
        return {item.uuid: item for item in api.databases()}
    except (Refused, Rejected, NotFound, NoAnswer):
        return {}

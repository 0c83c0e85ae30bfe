"""What a stand-in Coolify knows: servers, what is on them, deployments; in its API's shapes."""

import re
from dataclasses import dataclass, field
from typing import Any

SECRET = "kept-by-nobody"  # noqa: S105 (in every field that a client has no business with)

# The rule for an app's options: ValidationPatterns of Coolify 4.3.11, written anew.
_PIECES = (
    r"[ \t]+",
    "&&",
    r"\|\|",
    r'"[^"$`\\\r\n]*"',
    r"'[^'\r\n]*'",
    r"[\w./:=@,+\[\]{}#%^~*?!-]+",
)
OPTIONS = re.compile(f"(?:{'|'.join(_PIECES)})*+", re.ASCII)
OPTIONS_LIMIT = 2000
MAY_BE_SET = {"custom_docker_run_options", "name", "description"}

Record = dict[str, Any]


@dataclass
class CoolifyState:
    """
    Everything, by uuid. ``on`` holds the uuids on each server, ``settings`` an app's settings.

    ``course``: the statuses that a deployment has, one more with every look at it. ``queue_full``,
    ``busy``: as many restarts as are answered with a deployment that will not be, or with none.
    """

    servers: dict[str, Record] = field(default_factory=dict)
    resources: dict[str, Record] = field(default_factory=dict)
    on: dict[str, list[str]] = field(default_factory=dict)
    applications: dict[str, Record] = field(default_factory=dict)
    settings: dict[str, Record] = field(default_factory=dict)
    databases: dict[str, Record] = field(default_factory=dict)
    deployments: dict[str, list[str]] = field(default_factory=dict)
    restarted: list[str] = field(default_factory=list)
    course: tuple[str, ...] = ("queued", "in_progress", "finished")
    queue_full: int = 0
    busy: int = 0

    def add_server(self, name: str, ip: str = "192.0.2.10", **settings: object) -> str:
        """A server, and its uuid."""
        uuid = f"srv{len(self.servers)}x{name}"
        self.servers[uuid] = {
            "uuid": uuid,
            "name": name,
            "ip": ip,
            "user": "root",
            "port": 22,
            "settings": {"is_build_server": False, "is_swarm_manager": False, **settings},
        }
        self.on[uuid] = []
        return uuid

    def add_app(
        self,
        name: str,
        server: str,
        options: str | None = None,
        *,
        build_pack: str = "nixpacks",
        status: str = "running:healthy",
        **settings: object,
    ) -> str:
        """An application on a server, and its uuid."""
        uuid = self._add(name, server, "application", status)
        self.applications[uuid] = {
            "uuid": uuid,
            "name": name,
            "build_pack": build_pack,
            "custom_docker_run_options": options,
            "status": status,
            "dockerfile": SECRET,
            "manual_webhook_secret_github": SECRET,
        }
        self.settings[uuid] = {
            "is_consistent_container_name_enabled": False,
            "custom_internal_name": None,
            "is_preview_deployments_enabled": False,
            **settings,
        }
        return uuid

    def add_database(self, name: str, server: str, options: str | None = None) -> str:
        """A database on a server, and its uuid."""
        uuid = self._add(name, server, "standalone-postgresql", "running:healthy")
        self.databases[uuid] = {
            "uuid": uuid,
            "name": name,
            "status": "running:healthy",
            "custom_docker_run_options": options,
            "postgres_password": SECRET,
        }
        return uuid

    def add_service(self, name: str, server: str) -> str:
        """A service on a server, and its uuid."""
        return self._add(name, server, "service", "running:healthy")

    def options(self, uuid: str) -> str | None:
        """An application's options as they are now."""
        found: str | None = self.applications[uuid]["custom_docker_run_options"]
        return found

    def resources_of(self, server: str) -> list[Record]:
        """What ``GET /servers/{uuid}/resources`` answers."""
        return [self.resources[uuid] for uuid in self.on[server] if uuid in self.resources]

    def application(self, uuid: str) -> Record | None:
        """What ``GET /applications/{uuid}`` answers."""
        found = self.applications.get(uuid)
        return found and {**found, "settings": self.settings[uuid]}

    def remove_app(self, uuid: str) -> None:
        """An application that somebody deletes."""
        del self.applications[uuid], self.resources[uuid]

    def change(self, uuid: str, body: Record) -> Record:
        """Do what ``PATCH /applications/{uuid}`` asks for; the errors by field."""
        errors: Record = {
            name: ["This field is not allowed."] for name in body if name not in MAY_BE_SET
        }
        text = body.get("custom_docker_run_options")
        if isinstance(text, str):
            text = text.strip()  # as TrimStrings does
            if len(text) > OPTIONS_LIMIT or not OPTIONS.fullmatch(text):
                said = "The custom docker run options field format is invalid."
                errors["custom_docker_run_options"] = [said]
            body = {**body, "custom_docker_run_options": text or None}
        if not errors:
            self.applications[uuid].update(body)
        return errors

    def restart(self, uuid: str) -> Record:
        """Do what ``POST /applications/{uuid}/restart`` asks for."""
        if self.busy:
            self.busy -= 1
            return {"message": "Deployment already queued for this commit."}
        deployment = f"dep{len(self.deployments)}x{self.queue_full}"
        if self.queue_full:
            self.queue_full -= 1
        else:
            self.deployments[deployment] = list(self.course)
            self.restarted.append(uuid)
        return {"message": "Restart request queued.", "deployment_uuid": deployment}

    def deployment(self, uuid: str) -> Record | None:
        """What ``GET /deployments/{uuid}`` answers."""
        statuses = self.deployments.get(uuid)
        if not statuses:
            return None
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return {"id": 1, "deployment_uuid": uuid, "status": status, "application_id": "1"}

    def _add(self, name: str, server: str, kind: str, status: str) -> str:
        number = len(self.resources) + 1
        uuid = f"r{number:04}{re.sub('[^a-z0-9]', '', name.lower())}"
        self.resources[uuid] = {
            "id": number,
            "uuid": uuid,
            "name": name,
            "type": kind,
            "status": status,
        }
        self.on[server].append(uuid)
        return uuid

"""A small Docker in memory, in which a request can fail, and what a restart of the node does."""

# ruff: noqa: ARG002 - the engine has these arguments

import copy
from collections.abc import Mapping
from typing import Any

from pyinfra_gvisor.moves.mover.engine import Failed, Inspected

OLD_ID, IMAGE = "a" * 64, "sha256:1"
STARTED = "2026-12-03T10:00:00.5Z"


def told(identity: str = OLD_ID, name: str = "web", **more: Any) -> Inspected:
    """Docker's answer about a running container with a volume."""
    host = {"NetworkMode": "shop_default", "RestartPolicy": {"Name": "unless-stopped"}}
    found = {
        "Id": identity,
        "Name": f"/{name}",
        "Image": IMAGE,
        "Created": STARTED,
        "RestartCount": 0,
        "State": {"Status": "running", "Running": True, "Pid": 0, "StartedAt": STARTED},
        "Config": {"Image": "shop:1", "Hostname": identity[:12], "Env": ["WORD=longword"]},
        "HostConfig": {**host, "Runtime": "runc", "PortBindings": {}},
        "Mounts": [{"Type": "volume", "Name": "data", "Destination": "/data", "RW": True}],
        "NetworkSettings": {"Ports": {}, "Networks": {"shop_default": {"Aliases": ["web"]}}},
    }
    for key, value in more.items():
        kept = found.get(key)
        found[key] = {**kept, **value} if isinstance(kept, dict) else value
    return found


class Dead(BaseException):
    """The mover was killed."""


class StandIn:
    """
    Answers as ``engine.Docker`` does.

    + broken: the number of the change that fails, or that kills the mover after it was made
    + new: what is true of a container that was started after the first one
    """

    def __init__(
        self, broken: int = -1, *, kills: bool = False, new: Mapping[str, Any] | None = None
    ) -> None:
        self.containers = {OLD_ID: told()}
        self.by_hand: set[str] = set()
        self.changes: list[str] = []
        self.broken, self.kills, self._new = broken, kills, new or {}

    def ask(self, method: str, path: str, body: Any = None, limit_s: float = 30) -> Any:
        if method == "GET":
            return self._read(path)
        number = len(self.changes)
        self.changes.append(f"{method} {path}")
        if number == self.broken and not self.kills:
            raise Failed("it broke")
        done = self._change(method, path.partition("?"), body)
        if number == self.broken:
            raise Dead
        return done

    def inspect(self, name: str) -> Inspected | None:
        found = (
            item for item in self.containers.values() if name in (item["Id"], item["Name"][1:])
        )
        return copy.deepcopy(next(found, None))

    def image_id(self, name: str) -> str:
        return IMAGE if name == "shop:1" else ""

    def on(self, identity: str, word: str, body: Any = None, limit_s: float = 30) -> None:
        self.ask("POST", f"/containers/{identity}/{word}", body)

    def log(self, identity: str, lines: int) -> list[str]:
        return [f"error with longword in {identity[:1]}"][:lines]

    def changed_s(self, identity: str, path: str) -> float:
        return 0.0

    def _read(self, path: str) -> Any:
        listed = [{"Id": key} for key in self.containers]
        return {"/containers/json?all=1": listed}.get(path, [])

    def _change(self, method: str, path: tuple[str, str, str], body: Any) -> Any:
        words = path[0].split("/")[2:]
        if method == "DELETE":
            if self.containers[words[0]]["State"]["Running"] and "force=1" not in path[2]:
                raise Failed("it runs")
            del self.containers[words[0]]
            return None
        if words == ["create"]:
            return self._create(path[2].removeprefix("name="), body)
        state, word = self.containers[words[0]]["State"], words[1]
        if word == "rename":
            name = path[2].removeprefix("name=")
            if self.inspect(name) is not None:
                raise Failed("the name is in use", 409)
            self.containers[words[0]]["Name"] = f"/{name}"
        elif word == "update":
            self.containers[words[0]]["HostConfig"]["RestartPolicy"] = body["RestartPolicy"]
        else:
            state.update(Running=word == "start", Status="running" if word == "start" else "exited")
            (self.by_hand.discard if word == "start" else self.by_hand.add)(words[0])
            if word == "start" and words[0] != OLD_ID:
                self.containers[words[0]].update(self._new)
        return None

    def _create(self, name: str, body: Any) -> Any:
        health = self.containers[OLD_ID]["State"].get("Health")
        state = {"Running": False, "Status": "created", **({"Health": health} if health else {})}
        new = told("b" * 64, name, State=state, Config=body, HostConfig=body["HostConfig"])
        new["Created"] = "2099-01-01T00:00:00Z"
        self.containers[new["Id"]] = new
        return {"Id": new["Id"]}

    def after_a_restart_of_the_node(self) -> list[str]:
        """Return the ids of what runs then: moby, daemon/restart.go and restartmanager."""
        return [
            key
            for key, item in self.containers.items()
            if item["State"]["Status"] != "created"
            and (
                item["HostConfig"]["RestartPolicy"]["Name"] == "always"
                or (
                    item["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
                    and key not in self.by_hand
                )
            )
        ]

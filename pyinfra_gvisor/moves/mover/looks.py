"""What is to be known of a container before its move: whether it can be, and how long it takes."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.moves.mover.answers import listening, sites
from pyinfra_gvisor.moves.mover.engine import Docker, Failed, Inspected, name_of, seconds

NEW, OLD = ".pyinfra-gvisor", ".before-gvisor"
"""How the new one is called until the old one is stopped, and the old one after that."""

READY_S = 30
_OF_RUNC = (None, "", "runc", "io.containerd.runc.v2")
_STOP_S = 10  # Docker's own: moby, container/container.go, defaultStopTimeout
_CHECK_S, _TRIES = 30, 3  # Docker's own: moby, daemon/health.go
_NS = 10**9
_MOST_FILES = 30
_MOST_TEXT = 1 << 20  # bytes
_MOST_S = 300
_GIVEN_S, _STARTS_S = 0.1, 120
_DELETED = 2  # kinds of moby's archive.ChangeType: 0 modified, 1 added
# Hooks, and contents of configs and secrets, which compose copies into a container.
_ONLY_COMPOSE = re.compile(
    r"^\s*(post_start|pre_stop)\s*:"
    r"|^(configs|secrets):\s*\n(?:[ \t#].*\n|\s*\n)*?\s+(?:content|environment):",
    re.MULTILINE,
)
# What programs write and nobody misses.
_SCRATCH = re.compile(
    r"/(tmp|run(?!/secrets/)|var/(tmp|run|log|cache|spool/cron)|root/\.cache|dev|proc|sys)(/|$)"
    r"|/home/[^/]+/\.cache(/|$)|/etc/(hosts|hostname|resolv\.conf|mtab|passwd-|group-)$"
    r"|/(usr/)?sbin/docker-init$"
    r"|.*/__pycache__(/|$)|.*\.(pid|lock|sock|pyc)$|.*/\.(ash|bash|python|node_repl|psql)_history$"
)


@dataclass(frozen=True)
class Look:
    """
    A container before its move.

    + why_not: why it cannot be moved; empty if it can
    + gapless: the new one can run before the old one stops
    + away_s: seconds for which it may be away; if gapless, for which some requests may fail
    + wrote: paths that it wrote into its own layer, which the new one does not have
    """

    id: str
    name: str
    why_not: str
    gapless: bool
    away_s: int
    wrote: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it for one line of output."""
        return {**self.__dict__, "wrote": list(self.wrote)}


def look(docker: Docker, told: Inspected, others: Iterable[Inspected]) -> Look:
    """
    Return what is to be known of a running container.

    + others: the node's other containers
    """
    try:
        wrote, why_not = tuple(_written(docker, told)), next(_why_not(told, [*others]), "")
    except (Failed, LookupError, ValueError, TypeError) as error:
        wrote, why_not = (), f"what Docker says of it is not understood: {error}"
    gapless = is_gapless(told)
    return Look(
        id=told["Id"],
        name=name_of(told),
        why_not=why_not,
        gapless=gapless,
        away_s=_away_s(told, gapless=gapless),
        wrote=wrote,
    )


def _away_s(told: Inspected, *, gapless: bool) -> int:
    if not gapless:
        return stop_s(told) + ready_s(told)
    return 0 if has_health(told) else ready_s(told)  # a proxy asks a new one at once


def _why_not(told: Inspected, others: list[Inspected]) -> Iterator[str]:
    """Yield reasons, each with what to do."""
    host, labels, state = told["HostConfig"], told["Config"].get("Labels") or {}, told["State"]
    name = name_of(told)
    if "com.docker.swarm.service.name" in labels:
        service = labels["com.docker.swarm.service.name"]
        update = f"docker service update --force {service}"
        yield f"swarm recreates it, with no way back to runc: {update}"
    if host.get("AutoRemove"):
        yield "it is removed when it stops (--rm): restart what starts it"
    if state.get("Status") != "running":
        yield f"it is {state.get('Status')}: start it"
    if (state.get("Health") or {}).get("Status", "healthy") != "healthy":
        yield f"its health check says {state['Health']['Status']}: nothing would tell that it works"
    if host.get("Runtime") not in _OF_RUNC:
        yield f"it was created with the runtime {host['Runtime']}, so it could not go back"
    if not 0 <= stop_s(told) <= _MOST_S:
        yield f"it is given {stop_s(told)} s to stop: recreate it by hand"
    if taken := [item for item in map(name_of, others) if item in (name + NEW, name + OLD)]:
        yield f"a container is called {taken[0]}: rename or remove it"
    if shared := [name_of(item) for item in others if _shares(item, told)]:
        yield f"{shared[0]} uses its namespaces: recreate both together"
    if _mode(host, "NetworkMode").startswith("container:"):
        yield "it uses another container's network: recreate both together"
    if hook := _hook(labels):
        compose = "docker compose up -d --force-recreate"
        yield f"its compose file has {hook}, which only compose brings: {compose}"


def _mode(host: Mapping[str, Any], key: str) -> str:
    return str(host.get(key) or "")


def _shares(other: Inspected, told: Inspected) -> bool:
    ours = {f"container:{told['Id']}", f"container:{name_of(told)}"}
    return any(
        _mode(other["HostConfig"], key) in ours for key in ("NetworkMode", "IpcMode", "PidMode")
    )


def _hook(labels: Mapping[str, str]) -> str:
    """Return a hook that compose runs in a container of a project; empty if no file names one."""
    for path in labels.get("com.docker.compose.project.config_files", "").split(","):
        if found := _ONLY_COMPOSE.search(_text(path) if path else ""):
            return str(next(filter(None, found.groups())))
    return ""


def _text(path: str) -> str:
    """Return a file's text; empty for what is no file or too long: a label can name anything."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return ""
    try:
        state = os.fstat(file)
        if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_TEXT:
            return ""
        return os.read(file, _MOST_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(file)


def is_gapless(told: Inspected) -> bool:
    """
    Return True if two of it can run at once, it shows when it is ready, and a proxy finds both.

    A proxy that knows only an address or a name needs one of them at a time.
    """
    host = told["HostConfig"]
    networks = (told["NetworkSettings"].get("Networks") or {}).items()
    fixed = any((item.get("IPAMConfig") or {}).get("IPv4Address") for _, item in networks)
    writes = any(
        item.get("RW", True) and item.get("Type") in ("bind", "volume", "npipe", "cluster")
        for item in told.get("Mounts") or ()
    )
    return bool(
        next(sites(told), None)
        and (has_health(told) or listening(told))
        and not (host.get("PortBindings") or host.get("PublishAllPorts"))
        and not (fixed or writes or {name for name, _ in networks} & {"bridge", "host", "none"})
    )


def has_health(told: Inspected) -> bool:
    """Return True if it has a health check."""
    return "Health" in told["State"]


def stop_s(told: Inspected) -> int:
    """Return the seconds that Docker gives a container to stop."""
    given = told["Config"].get("StopTimeout")
    return _STOP_S if given is None else int(given)


def ready_s(told: Inspected) -> int:
    """Return the seconds within which a new one must do what the old one did."""
    check = told["Config"].get("Healthcheck") or {}
    if not check.get("Test") or check["Test"] == ["NONE"]:
        return READY_S
    every, limit = ((check.get(key) or _CHECK_S * _NS) / _NS for key in ("Interval", "Timeout"))
    tries = check.get("Retries") or _TRIES
    start = (check.get("StartPeriod") or 0) / _NS
    return min(max(READY_S, int(start + (every + limit) * tries) + 1), _MOST_S)


def _written(docker: Docker, told: Inspected) -> Iterator[str]:
    """
    Yield files that a container wrote into its own layer, and that a new one may not have.

    Without what a start makes again, what nobody misses, and files that are older than it.
    """
    identity = told["Id"]
    changes = docker.ask("GET", f"/containers/{identity}/changes", limit_s=60) or ()
    paths = [item["Path"] for item in changes if item["Kind"] != _DELETED]
    above = {path.rpartition("/")[0] for path in paths}
    made, started = seconds(told["Created"]), seconds(told["State"]["StartedAt"])
    above |= {item["Destination"] for item in told.get("Mounts") or ()}  # made by Docker
    kept = [path for path in paths if path not in above and not _SCRATCH.match(path)]
    for path in kept[:_MOST_FILES]:
        at = docker.changed_s(identity, path)
        is_given = made - 1 < at < made + _GIVEN_S  # by who created it, before its start
        by_start = any(0 <= at - begun < _STARTS_S for begun in (made, started))
        if is_given or (at > made and not by_start):
            yield path
    yield from kept[_MOST_FILES:]

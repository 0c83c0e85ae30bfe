"""Move one container: create, stop the old one, start the new one, look; or go back."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pyinfra_gvisor.moves.mover.answers import (
    Place,
    answers,
    listening,
    own,
    published,
    sites,
    worse,
)
from pyinfra_gvisor.moves.mover.engine import Docker, Failed, Inspected, name_of, seconds
from pyinfra_gvisor.moves.mover.looks import (
    NEW,
    OLD,
    has_health,
    is_gapless,
    look,
    ready_s,
    stop_s,
)
from pyinfra_gvisor.moves.mover.record import BACK, BEGUN, LEFT, MOVED, Record
from pyinfra_gvisor.moves.mover.recreation import recreation

_POLL_S = 0.2
_WORKER_S = 3.0  # without a port and a health check: so long it must run
_SETTLE_S = (
    3.0  # until proxies have seen a new container: Traefik's providersThrottleDuration is 2 s
)
_MARGIN_S = 30
_PATIENCE_S = 120  # dockerd may be restarting
_LINES = 200
_TOLD = 5
_ERROR = re.compile(
    r"error|fatal|panic|cannot|denied|not permitted|not implemented|unsupported|traceback",
    re.IGNORECASE,
)
_HARMLESS = ("PATH", "HOME", "LANG", "TERM", "HOSTNAME")
_ENDS = re.compile(r"""[\s:/@=,;?&"'{}\[\]()]+""")
_SHORTEST = 4  # characters of what is masked
_BUSY = ("restarting", "exited", "dead", "paused", "removing", "created")


class Gone(Exception):
    """The new container does not do what the old one did. The message says what."""


@dataclass
class Given:
    """
    What the controller gives.

    + socket: path of Docker's socket
    + record: path of the file with all moves
    + lock: path of the lock that who changes daemon.json holds
    + verdict: the program of perl that says whether containers run in gVisor
    + watch_s: seconds for which a new container is watched
    + leave: whether what an app wrote into its own layer may be lost
    """

    socket: str
    record: str
    lock: str
    verdict: str
    watch_s: int = 30
    leave: bool = False


@dataclass
class Before:
    """What was seen of a container before its move."""

    told: Inspected
    ports: tuple[int, ...]
    others: Mapping[Place, str]
    health: bool
    own: Mapping[Place, str] = field(default_factory=dict)

    @property
    def tells(self) -> bool:
        """Return True if something shows when a new one does what the old one did."""
        return bool(self.health or self.own or self.others)


class Mover:
    """Moves containers of this node."""

    def __init__(self, given: Given, sleep: Callable[[float], None] = time.sleep) -> None:
        self._given = given
        self._docker = Docker(given.socket)
        self._record = Record(given.record)
        self._sleep = sleep

    def looks(self) -> list[dict[str, Any]]:
        """Return what is to be known of each running container, and of moves that did not end."""
        every = self._every()
        found = [{"unfinished": item["name"]} for item in self._record.unfinished().values()]
        for told in every:
            if told["State"].get("Running"):
                rest = [item for item in every if item is not told]
                found.append(look(self._docker, told, rest).to_json())
        return found

    def move(self, identity: str) -> dict[str, Any]:
        """
        Move a container, and return how that ended: ``where`` it is, ``why``, and for how long it
        was ``away_s``.
        """
        told = self._docker.inspect(identity)
        if told is None:
            return {"where": LEFT, "why": "it exists no more"}
        rest = [item for item in self._every() if item["Id"] != told["Id"]]
        seen = look(self._docker, told, rest)
        if seen.why_not or (seen.wrote and not self._given.leave):
            return {"where": LEFT, "why": seen.why_not or f"it wrote {seen.wrote[0]}"}
        before = self._before(told, rest)
        try:
            ended = self._moved(before)
        except (Failed, Gone, OSError, LookupError, ValueError) as error:
            lines = self._last_lines(told)
            ended = {**self.go_back(told["Id"]), "lines": lines}
            ended["why"] = "; ".join(filter(None, (str(error), ended.get("why"))))
        return ended

    def resume(self) -> list[dict[str, Any]]:
        """End what a killed move left: what was not seen to work goes back."""
        found = []
        for identity, item in self._record.unfinished().items():
            ended = self.go_back(identity)
            found.append({"id": identity, "name": item["name"], **ended, "why": "interrupted"})
        self._clear()
        return found

    def _every(self) -> list[Inspected]:
        listed = self._docker.ask("GET", "/containers/json?all=1")
        return [told for item in listed if (told := self._docker.inspect(item["Id"]))]

    def _before(self, told: Inspected, rest: Sequence[Inspected]) -> Before:
        ports = tuple(listening(told))
        networks = {*(told["NetworkSettings"].get("Networks") or {})}
        near = [
            place
            for item in rest
            if item["State"].get("Running")
            and networks & {*(item["NetworkSettings"].get("Networks") or {})}
            for place in published(item)
        ]
        seen = answers([*published(told), *sites(told), *near])
        mine = answers(own(told, ports))
        return Before(told, tuple(place.port for place in mine), seen, has_health(told), mine)

    def _moved(self, before: Before) -> dict[str, Any]:
        told = before.told
        old, name = told["Id"], name_of(told)
        policy = told["HostConfig"].get("RestartPolicy") or {"Name": "no"}
        gapless = is_gapless(told)
        begun = {"where": BEGUN, "policy": policy, "since": time.time(), "gapless": gapless}
        self._record.note(old, name=name, new="", **begun)
        new = self._create(told)
        self._record.note(old, new=new)
        began = time.monotonic()
        if gapless:
            self._docker.on(new, "start", limit_s=stop_s(told) + 2 * _MARGIN_S)
            self._ready(new, before, ())
            seen = began if before.health else time.monotonic()
            self._sleep(_SETTLE_S)
            self._replace(before, new, gapless=True)
            self._ready(new, before, before.others)
        else:
            self._replace(before, new, gapless=False)
            started = time.monotonic()
            self._ready(new, before, ())
            seen = time.monotonic() if before.tells else started
            self._ready(new, before, before.others)
        away = seen - began
        warnings = self._watched(new, before)
        self._record.note(old, where=MOVED, away_s=round(away, 1))
        with suppress(Failed):  # the next move removes it
            self._docker.ask("DELETE", f"/containers/{old}", limit_s=2 * _MARGIN_S)
        return {"where": MOVED, "new": new, "away_s": round(away, 1), "warnings": warnings}

    def _create(self, told: Inspected) -> str:
        name = name_of(told) + NEW
        tag = told["Config"]["Image"]
        image = tag if self._docker.image_id(tag) == told["Image"] else told["Image"]
        wanted = recreation(told, image, _desired(told))
        made = self._docker.ask(
            "POST", f"/containers/create?name={quote(name)}", wanted.body, 2 * _MARGIN_S
        )
        new = str(made["Id"])
        self._record.note(told["Id"], new=new)
        for network, endpoint in wanted.networks.items():
            body = {"Container": new, "EndpointConfig": endpoint}
            self._docker.ask("POST", f"/networks/{quote(network)}/connect", body)
        return new

    def _replace(self, before: Before, new: str, *, gapless: bool) -> None:
        """
        Let the new one have the old one's place.

        At each moment a restart of the node starts one of the two: ``always`` also starts what was
        stopped, and what was never started does not start.
        """
        told = before.told
        old, name = told["Id"], name_of(told)
        limit_s = stop_s(told) + _MARGIN_S
        self._policy(old, {"Name": "no" if gapless else "always"})
        self._rename(old, name + OLD)
        self._rename(new, name)
        self._docker.on(old, "stop", limit_s=limit_s)
        if not gapless:
            self._policy(old, {"Name": "no"})
            self._docker.on(new, "start", limit_s=2 * _MARGIN_S)

    def _policy(self, identity: str, policy: Mapping[str, Any]) -> None:
        self._docker.on(identity, "update", {"RestartPolicy": policy})

    def _rename(self, identity: str, name: str) -> None:
        self._docker.on(identity, f"rename?name={quote(name)}")

    def _ready(self, new: str, before: Before, others: Mapping[Place, str] | tuple[()]) -> None:
        """Wait until the new one does what the old one did. Raises ``Gone``."""
        began = time.monotonic()
        limit = began + ready_s(before.told)
        while True:
            told = self._running(new)
            why = self._not_yet(told, before, others, time.monotonic() - began)
            if not why:
                break
            if time.monotonic() > limit:
                raise Gone(f"{why}, after {ready_s(before.told)} s")
            self._sleep(_POLL_S)
        self._sandboxed(new)

    def _not_yet(
        self,
        told: Inspected,
        before: Before,
        others: Mapping[Place, str] | tuple[()],
        ran_s: float,
    ) -> str:
        mine = dict(zip(own(told, before.ports), before.own.values(), strict=False))
        if before.health and (told["State"].get("Health") or {}).get("Status") != "healthy":
            return "its health check does not say healthy"
        if not before.tells and ran_s < _WORKER_S:
            return "it has just started"
        return worse(mine) or worse(dict(others))

    def _running(self, new: str) -> Inspected:
        told = self._docker.inspect(new)
        if told is None:
            raise Gone("somebody removed it")
        state = told["State"]
        if state.get("OOMKilled"):
            raise Gone("it ran out of memory")
        if told.get("RestartCount"):
            raise Gone("it ended, and was started again")
        if state.get("Status") in _BUSY:
            raise Gone(f"it ended with code {state.get('ExitCode')}")
        if (state.get("Health") or {}).get("Status") == "unhealthy":
            raise Gone("its health check says unhealthy")
        return told

    def _sandboxed(self, new: str) -> None:
        program = ["/usr/bin/perl", "-e", self._given.verdict, "verdict"]
        try:
            ran = subprocess.run(
                [*program, self._given.socket, f"app={new}"],
                capture_output=True,
                text=True,
                timeout=_MARGIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired:  # its own message has the whole program
            raise Gone(f"it was not seen in gVisor within {_MARGIN_S} s") from None
        seen = dict(line.split("\t")[1:3] for line in ran.stdout.splitlines() if "\t" in line)
        if seen.get("state") != "sandboxed":
            self._running(new)  # says more, if it has ended
            raise Gone(f"it was not seen in gVisor: {seen.get('process') or ran.stderr[:200]}")

    def _watched(self, new: str, before: Before) -> list[str]:
        """Watch the new one for a while; return what an operator should know."""
        ends = time.monotonic() + self._given.watch_s
        while time.monotonic() < ends:
            self._running(new)
            self._sleep(min(1.0, self._given.watch_s))
        self._ready(new, before, before.others)
        return self._news(new, before.told)

    def _news(self, new: str, old: Inspected) -> list[str]:
        """Return error lines of a kind that the old one's log does not have."""
        known = {_kind(line) for line in self._docker.log(old["Id"], _LINES)}
        found = {_kind(line): line for line in self._docker.log(new, _LINES) if _ERROR.search(line)}
        fresh = [line for kind, line in found.items() if kind not in known]
        return [f"new in its log: {text}" for text in masked(fresh[-_TOLD:], old)]

    def _last_lines(self, told: Inspected) -> list[str]:
        new = (self._record.moves.get(told["Id"]) or {}).get("new")
        return masked(self._docker.log(new, _TOLD), told) if new else []

    def go_back(self, old: str) -> dict[str, Any]:
        """
        Let the old container run again as before, whatever was done; return where the app is.

        Raises ``Failed`` if Docker does not do so for two minutes.
        """
        began = time.monotonic()
        while True:
            try:
                where, why = self._back(old)
            except Failed:
                if time.monotonic() - began > _PATIENCE_S:
                    raise
            else:
                self._record.note(old, where=where)
                return {"where": where, "why": why, "back_s": round(time.monotonic() - began, 1)}
            self._sleep(1)

    def _back(self, old: str) -> tuple[str, str]:
        item = self._record.moves[old]
        told = self._docker.inspect(old)
        new = self._docker.inspect(item["new"]) if item["new"] else self._unnoted(told, item)
        if told is None:
            return (MOVED, "somebody removed the old one") if new else (LEFT, "somebody removed it")
        if new is not None:
            if item.get("gapless"):
                self._run_again(told)
            self._end_new(new)
        holder = self._docker.inspect(item["name"])
        if holder is not None and holder["Id"] != old:
            return LEFT, "somebody else recreated it meanwhile"
        if holder is None:
            self._rename(old, item["name"])
        self._policy(old, item["policy"])
        self._docker.on(old, "start", limit_s=2 * _MARGIN_S)
        return BACK, ""

    def _run_again(self, told: Inspected) -> None:
        """Start an old one that runs as well as the new one, and wait until it would answer."""
        if told["State"].get("Running"):
            return
        self._docker.on(told["Id"], "start", limit_s=2 * _MARGIN_S)
        limit = time.monotonic() + ready_s(told)
        while time.monotonic() < limit:
            now = self._docker.inspect(told["Id"]) or told
            health = now["State"].get("Health")
            if (health["Status"] == "healthy") if health else listening(now):
                break
            self._sleep(_POLL_S)

    def _unnoted(self, told: Inspected | None, item: Mapping[str, Any]) -> Inspected | None:
        """Return the new one, if it was created but its id was not noted: one like the old one."""
        new = self._docker.inspect(item["name"] + NEW)
        if new is None or told is None or seconds(new["Created"]) < item["since"] - 1:
            return None
        is_same = new["Image"] == told["Image"] and all(
            new["Config"].get(key) == told["Config"].get(key) for key in ("Labels", "Env", "Cmd")
        )
        return new if is_same and new["State"].get("Status") == "created" else None

    def _end_new(self, new: Inspected) -> None:
        with suppress(Failed):
            self._policy(new["Id"], {"Name": "no"})
            self._docker.on(new["Id"], "stop", limit_s=stop_s(new) + _MARGIN_S)
        self._docker.ask("DELETE", f"/containers/{new['Id']}?force=1", limit_s=2 * _MARGIN_S)

    def _clear(self) -> None:
        """Remove old containers whose new ones were seen to work."""
        moved = (key for key, item in self._record.moves.items() if item["where"] == MOVED)
        for told in filter(None, map(self._docker.inspect, moved)):
            if not told["State"].get("Running") and told["Name"].endswith(OLD):
                self._docker.ask("DELETE", f"/containers/{told['Id']}")


def _desired(told: Inspected) -> dict[str, str]:
    """Return the hardware addresses that somebody chose, from Docker's own file."""
    path = Path(told.get("LogPath") or "/nowhere/x").parent / "config.v2.json"
    if not path.exists():
        path = Path("/var/lib/docker/containers", told["Id"], "config.v2.json")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["NetworkSettings"]["Networks"]
    except (OSError, ValueError, LookupError):
        return {}
    pairs = {name: (item or {}).get("DesiredMacAddress") for name, item in kept.items()}
    return {name: address for name, address in pairs.items() if address}


def _kind(line: str) -> str:
    return re.sub(r"[0-9a-f]*\d[0-9a-f]*", "0", line)[:200]


def masked(lines: Sequence[str], told: Inspected) -> list[str]:
    """Return lines without the values that a container was given."""
    config = told["Config"]
    pairs = (item.partition("=") for item in config.get("Env") or ())
    given = [text for name, _, text in pairs if name not in _HARMLESS]
    given += [*(config.get("Cmd") or ()), *(config.get("Entrypoint") or ())]
    words = {part for text in given for part in (text, *_ENDS.split(unquote(text)))}
    longest = sorted((word for word in words if len(word) >= _SHORTEST), key=len, reverse=True)
    secret = re.compile("|".join(map(re.escape, longest)) or "(?!)")
    plain = (secret.sub("***", line) for line in lines)
    return ["".join(char for char in line if char.isprintable())[:300] for line in plain]

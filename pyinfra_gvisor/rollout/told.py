"""Where a rollout is, for people and for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.rollout.plan import Plan
from pyinfra_gvisor.rollout.shard import STATES

_NAMED = 8  # hosts in a line


class Seen(Protocol):
    """What the engine knows of a rollout."""

    @property
    def plan(self) -> Plan: ...
    @property
    def now(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def states(self) -> Mapping[str, str]: ...
    @property
    def is_going_on(self) -> bool: ...
    @property
    def is_done(self) -> bool: ...


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield what a plan would do."""
    yield f"rollout {plan.id}: {_hosts(len(plan.hosts))} in {len(plan.waves)} waves"
    releases = {host.name: host.release for host in plan.hosts}
    for wave in plan.waves:
        to = some(sorted({releases[name] for name in wave.hosts}), _NAMED)
        shown = some(wave.hosts, _NAMED)
        yield f"  {wave.name}: {_hosts(len(wave.hosts))} to release {to}: {shown}"
    if plan.without:
        yield f"  without gVisor, left out: {some(plan.without, _NAMED)}"
    yield f"stops after a wave with more than {plan.max_failed} not proven"


def status_lines(seen: Seen, *, lives: bool) -> list[str]:
    """Return where a rollout is: a headline, then the hosts by state."""
    counts = _counts(seen)
    told = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    lines = [f"{seen.plan.id}  {_word(seen, lives=lives)}: {told}"]
    for state in (*STATES, "running"):
        names = [name for name, found in seen.states.items() if found == state]
        if names:
            lines.append(f"  {state:<11}  {some(names, _NAMED)}")
    if seen.why:
        lines.append(f"  stopped: {seen.why}")
    lines.append(f"next: {_next(seen, lives=lives)}")
    return lines


def status_json(seen: Seen) -> str:
    """Return where a rollout is as one line of JSON."""
    hosts = [
        {
            "name": host.name,
            "release": host.release,
            "state": seen.states.get(host.name, "not begun"),
        }
        for host in seen.plan.hosts
    ]
    found = {
        "version": 1,
        "id": seen.plan.id,
        "done": seen.is_done,
        "going_on": seen.is_going_on,
        "now": seen.now,
        "why": seen.why,
        "hosts": hosts,
    }
    return json.dumps(found)


class Progress:
    """Says what happens while a rollout goes on, each thing once."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._began = time.monotonic()
        self._now = ""
        self._told: dict[str, str] = {}

    def show(self, seen: Seen) -> None:
        """Say what is new."""
        if seen.now != self._now:
            self._now = seen.now
            self._say(f"{self._seconds()}  {_step(seen)}")
        new = {
            name: state
            for name, state in seen.states.items()
            if state != "running" and self._told.get(name) != state
        }
        self._told |= new
        for state in STATES:
            if names := [name for name, found in new.items() if found == state]:
                self._say(f"{self._seconds()}    {state:<11}  {some(names, _NAMED)}")

    def closing(self, seen: Seen) -> Iterator[str]:
        """Yield the last lines."""
        yield from status_lines(seen, lives=False)

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:6.0f} s"


def _step(seen: Seen) -> str:
    kind, _, number = seen.now.partition(" ")
    wave = seen.plan.waves[int(number)]
    place = f"{wave.name} ({int(number) + 1} of {len(seen.plan.waves)})"
    hosts = _hosts(len(wave.hosts))
    words = {
        "wave": f"{place}: {hosts}",
        "approval": f"{place} waits for an approval: {hosts}",
        "soak": f"{place}: {seen.plan.soak_s} s, then an audit",
    }
    return words[kind]


def _counts(seen: Seen) -> dict[str, int]:
    found = dict.fromkeys((*STATES, "running", "not begun"), 0)
    for host in seen.plan.hosts:
        found[seen.states.get(host.name, "not begun")] += 1
    return found


def _word(seen: Seen, *, lives: bool) -> str:
    if seen.is_done:
        return "done"
    if not seen.is_going_on:
        return "stopped" if seen.why or len(seen.states) < len(seen.plan.hosts) else "ended"
    if seen.now.startswith("approval"):
        return "waits"
    return "going on" if lives else "interrupted"


def _next(seen: Seen, *, lives: bool) -> str:
    ours = f"pyinfra-gvisor rollout {{}} {seen.plan.id}"
    if seen.is_done:
        return "pyinfra-gvisor audit"
    if seen.is_going_on and seen.now.startswith("approval"):
        return ours.format("next")
    if seen.is_going_on and lives:
        return f"wait, or {ours.format('stop')}"
    return ours.format("resume")


def _hosts(number: int) -> str:
    return f"{number} host{'' if number == 1 else 's'}"

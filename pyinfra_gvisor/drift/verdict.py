"""From what a dry run left to a verdict: in sync only if everything says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pyinfra_gvisor.drift.record import HostRecord, Record
from pyinfra_gvisor.drift.run import Ran, Request
from pyinfra_gvisor.errors import Problem, cut

IN_SYNC, ERROR, PENDING = range(3)
WORDS: dict[int, Literal["in-sync", "error", "pending"]]
WORDS = {IN_SYNC: "in-sync", ERROR: "error", PENDING: "pending"}
LAST_LINES = 12  # of what pyinfra said, where that is all there is

State = Literal["in-sync", "pending", "failed", "unreachable", "unknown"]


class Step(BaseModel):
    """An operation in pyinfra's plan, as build_plan_json in pyinfra_cli/prints.py has it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    names: tuple[str, ...]
    hosts_with_change: tuple[str, ...]
    hosts_with_conditional_change: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name; all of them, if it has another one on another host."""
        return self.name if len(self.names) <= 1 else " or ".join(self.names)


class _Output(BaseModel):
    """What pyinfra prints with ``--dry --json``."""

    plan: tuple[Step, ...]
    results: None


@dataclass(frozen=True)
class HostDrift:
    """
    A host: ``pending`` operations that would change it, ``conditional`` ones that would if an
    earlier one did, ``errors``, and all else that was said about it.
    """

    name: str
    state: State
    pending: tuple[str, ...] = ()
    conditional: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drift:
    """The whole answer: every host that was to be looked at, and errors that are no host's."""

    hosts: tuple[HostDrift, ...]
    errors: tuple[str, ...]

    @property
    def code(self) -> int:
        """The exit code; an error outweighs pending changes."""
        states = {host.state for host in self.hosts}
        if self.errors or not states or states - {"in-sync", "pending"}:
            return ERROR
        return PENDING if "pending" in states else IN_SYNC


def judge(request: Request, ran: Ran) -> Drift:
    """What ``ran`` says about the hosts of ``request``."""
    errors, record, plan = [*_ending(request, ran)], None, None
    try:
        record = _record(ran)
        plan = _plan(ran, record)
    except Problem as problem:
        errors.append(str(problem))
    chosen = [host for host in record.hosts if host.chosen] if record else []
    hosts = tuple(sorted((_host(host, plan) for host in chosen), key=lambda host: host.name))
    if record is not None:
        errors += _unasked(request, record, ran)
    if record is not None and plan is not None:
        errors += _without_operations(request, record)
    if _unexplained(ran, plan, hosts):
        errors += _last_words(ran)
    return Drift(hosts, tuple(errors))


def _record(ran: Ran) -> Record:
    if ran.record is None:
        raise Problem("pyinfra ended before it read its config file")
    try:
        return Record.model_validate_json(ran.record)
    except ValidationError as error:
        raise Problem("the record of pyinfra's run is not understood", got=ran.record) from error


def _plan(ran: Ran, record: Record) -> tuple[Step, ...] | None:
    """The plan, or None if pyinfra printed none, as when no host is left."""
    if ran.code is None or not ran.stdout.strip():
        return None
    try:
        plan = _Output.model_validate(_json(ran.stdout)).plan
    except ValidationError as error:
        raise Problem("pyinfra's output is not understood", got=ran.stdout.strip()) from error
    chosen = {host.name: host.operations for host in record.hosts if host.chosen}
    named = {name for step in plan for name in step.hosts_with_change}
    if strangers := named - set(chosen):
        raise Problem("pyinfra plans for a host it was not asked about", got=min(strangers))
    if len(plan) < max(chosen.values(), default=0):
        raise Problem("pyinfra's plan has fewer operations than its hosts", got=len(plan))
    return plan


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _host(host: HostRecord, plan: Sequence[Step] | None) -> HostDrift:
    pending = tuple(step.title for step in plan or () if host.name in step.hosts_with_change)
    conditional = tuple(
        step.title for step in plan or () if host.name in step.hosts_with_conditional_change
    )
    errors = tuple(line.text for line in host.said if line.level == "error")
    details = tuple(line.text for line in host.said if line.level != "error")
    state = _state(host, pending, errors, planned=plan is not None)
    if not errors and state not in ("in-sync", "pending"):
        errors = (_reason(state, planned=plan is not None),)
    return HostDrift(host.name, state, pending, conditional, errors, details)


def _reason(state: State, *, planned: bool) -> str:
    if state == "unknown":
        return "the deploys have no operation for it" if planned else "pyinfra had no plan for it"
    return "could not be reached" if state == "unreachable" else "failed, and did not say why"


def _state(
    host: HostRecord, pending: Sequence[str], errors: Sequence[str], *, planned: bool
) -> State:
    if not host.connected:
        return "unreachable"
    # An operation that refuses says so while it is only prepared, and fails when it is executed.
    if host.failed or errors:
        return "failed"
    if not planned or not host.operations:
        return "unknown"
    return "pending" if pending else "in-sync"


def _ending(request: Request, ran: Ran) -> Iterator[str]:
    if ran.code is None:
        yield f"not finished within {request.timeout_s:g} s, so it was stopped"


def _unasked(request: Request, record: Record, ran: Ran) -> Iterator[str]:
    """What makes a run of pyinfra look well because it did nothing."""
    if not record.looks_for_changes:
        yield "pyinfra did not look for changes; leave out -y"
    if not record.hosts:
        if ran.code == 0:
            yield f"the inventory has no hosts, got {cut(request.inventory)}; look at its path"
        return
    for pattern in request.limits:
        if not any(_matches(pattern, host) for host in record.hosts):
            yield f"--limit matches no host and no group, got {cut(pattern)}"
    if not any(host.chosen for host in record.hosts):
        yield "no host is left after --limit and --exclude"


def _matches(pattern: str, host: HostRecord) -> bool:
    # As _get_inventory_pattern_matches in pyinfra_cli/cli.py of pyinfra 3.10.
    return pattern in host.groups or fnmatch(host.name, pattern)


def _without_operations(request: Request, record: Record) -> Iterator[str]:
    chosen = [host for host in record.hosts if host.chosen]
    if not chosen or any(host.failed for host in chosen):
        return  # whose operations may be those that are missing
    for position, deploy in enumerate(request.deploys):
        if position not in record.deploys:
            yield f"{cut(deploy)} has no operation for any host"


def _unexplained(ran: Ran, plan: Sequence[Step] | None, hosts: Sequence[HostDrift]) -> bool:
    """Whether pyinfra failed, and no host's errors can be why."""
    if ran.code == 0 and plan is not None:
        return False
    return all(host.state in ("in-sync", "pending", "unknown") for host in hosts) or (
        plan is None and any(host.state == "unknown" for host in hosts)
    )


def _last_words(ran: Ran) -> list[str]:
    lines = [line.rstrip() for line in ran.stderr.splitlines() if line.strip()]
    ending = "was stopped" if ran.code is None else f"ended with exit code {ran.code}"
    return [f"pyinfra {ending}; its last lines:", *(f"  {line}" for line in lines[-LAST_LINES:])]

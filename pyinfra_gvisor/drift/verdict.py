"""Decide from a dry run whether a fleet is as declared: in sync only if everything shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.drift.record import HostRecord, Record
from pyinfra_gvisor.drift.run import Ran, Request
from pyinfra_gvisor.report.summary import Counted

IN_SYNC, ERROR, PENDING = range(3)
WORDS: dict[int, Literal["in-sync", "error", "pending"]]
WORDS = {IN_SYNC: "in-sync", ERROR: "error", PENDING: "pending"}
LAST_LINES = 12  # of pyinfra's output, shown if nothing else explains a failure

State = Literal["in-sync", "pending", "failed", "unreachable", "unknown"]


class Step(BaseModel):
    """An operation in pyinfra's plan, in the form of build_plan_json in pyinfra_cli/prints.py."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    names: tuple[str, ...]
    hosts_with_change: tuple[str, ...]
    hosts_with_conditional_change: tuple[str, ...]

    @property
    def title(self) -> str:
        """Return the operation's name, or all of its names if hosts have different ones."""
        return self.name if len(self.names) <= 1 else " or ".join(self.names)


class _Output(BaseModel):
    """The output of ``pyinfra --dry --json``."""

    plan: tuple[Step, ...]
    results: None


@dataclass(frozen=True)
class HostDrift:
    """
    One host: ``pending`` operations would change it, ``conditional`` ones only if an earlier
    operation does. ``details`` are the other lines that the run logged about it. ``containers`` as
    in the record.
    """

    name: str
    state: State
    pending: tuple[str, ...] = ()
    conditional: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    containers: Counted | None = None


@dataclass(frozen=True)
class Drift:
    """The result: every chosen host, and errors that belong to no single host."""

    hosts: tuple[HostDrift, ...]
    errors: tuple[str, ...]

    @property
    def code(self) -> int:
        """Return the exit code; an error outweighs pending changes."""
        states = {host.state for host in self.hosts}
        if self.errors or not states or states - {"in-sync", "pending"}:
            return ERROR
        return PENDING if "pending" in states else IN_SYNC


def judge(request: Request, ran: Ran) -> Drift:
    """Return what the dry run ``ran`` shows about the hosts of ``request``."""
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
        raise Problem("the record of pyinfra's run cannot be read", got=ran.record) from error


def _plan(ran: Ran, record: Record) -> tuple[Step, ...] | None:
    """Return the plan, or None if pyinfra printed none, for example because no host is left."""
    if ran.code is None or not ran.stdout.strip():
        return None
    try:
        plan = _Output.model_validate(_json(ran.stdout)).plan
    except ValidationError as error:
        raise Problem("pyinfra's output cannot be read", got=ran.stdout.strip()) from error
    chosen = {host.name: host.operations for host in record.hosts if host.chosen}
    named = {name for step in plan for name in step.hosts_with_change}
    if strangers := named - set(chosen):
        raise Problem("pyinfra's plan has a host that was not chosen", got=min(strangers))
    if len(plan) < max(chosen.values(), default=0):
        raise Problem("a host has more operations than pyinfra's plan", got=len(plan))
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
    return HostDrift(
        *(host.name, state, pending, conditional, errors, details), containers=host.containers
    )


def _reason(state: State, *, planned: bool) -> str:
    if state == "unknown":
        what = "no deploy has an operation" if planned else "pyinfra made no plan"
        return f"{what} for this host"
    return "could not be reached" if state == "unreachable" else "failed without an error message"


def _state(
    host: HostRecord, pending: Sequence[str], errors: Sequence[str], *, planned: bool
) -> State:
    if not host.connected:
        return "unreachable"
    # An operation that refuses logs an error while it is prepared. It would fail when executed.
    if host.failed or errors:
        return "failed"
    if not planned or not host.operations:
        return "unknown"
    return "pending" if pending else "in-sync"


def _ending(request: Request, ran: Ran) -> Iterator[str]:
    if ran.code is None:
        yield f"pyinfra did not finish within {request.timeout_s:g} s and was stopped"


def _unasked(request: Request, record: Record, ran: Ran) -> Iterator[str]:
    """Yield reasons why a run of pyinfra looks fine only because it did nothing."""
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
        return  # the missing operations may be those of failed hosts
    for position, deploy in enumerate(request.deploys):
        if position not in record.deploys:
            yield f"{cut(deploy)} has no operation for any host"


def _unexplained(ran: Ran, plan: Sequence[Step] | None, hosts: Sequence[HostDrift]) -> bool:
    """Return True if pyinfra failed and no host's error explains it."""
    if ran.code == 0 and plan is not None:
        return False
    return all(host.state in ("in-sync", "pending", "unknown") for host in hosts) or (
        plan is None and any(host.state == "unknown" for host in hosts)
    )


def _last_words(ran: Ran) -> list[str]:
    lines = [line.rstrip() for line in ran.stderr.splitlines() if line.strip()]
    ending = "was stopped" if ran.code is None else f"ended with exit code {ran.code}"
    return [f"pyinfra {ending}; its last lines:", *(f"  {line}" for line in lines[-LAST_LINES:])]

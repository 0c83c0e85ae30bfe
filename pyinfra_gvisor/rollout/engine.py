"""
The durable engine of rollouts: workflows of DBOS, in SQLite beside the fleet or in PostgreSQL.

A rollout is a workflow, each of its shards another one on a queue. What was done is written down,
so a rollout that was ended anywhere goes on there. Another machine may go on if the first one is
gone. Ids, hashes and states are stored as JSON, no setting and no secret.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowStatus
from dbos._serialization import Serializer
from sqlalchemy import Column, Engine, Float, MetaData, String, Table, create_engine, select

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.rollout.hosts import inputs
from pyinfra_gvisor.rollout.plan import VERSION, Plan
from pyinfra_gvisor.rollout.shard import audited, run_shard

DATABASE: Final = "PYINFRA_GVISOR_DATABASE"
"""Environment variable: the URL of a PostgreSQL; without it SQLite in ``DIRECTORY``."""

DIRECTORY: Final = Path(".rollouts")
LEASE_S: Final = 60.0
"""A process that has not said for so long that it lives has ended."""

_BEAT_S = 10.0
_FILE = "rollouts.sqlite"
_QUEUE = "shards"
_APPROVED = "approved"
_LONG_S = 10 * 365 * 86400.0
_OPEN = ("PENDING", "ENQUEUED", "DELAYED")
_STATE = "state"


_ERROR = "__error__"


def _error_or_data(found: dict[str, Any]) -> object:
    return RuntimeError(found[_ERROR]) if found.keys() == {_ERROR} else found


class JsonText(Serializer):
    """What is stored: JSON alone, so that nothing stored is ever executed."""

    def serialize(self, data: Any) -> str:
        """Return JSON; of an error its text."""
        return json.dumps(data, default=lambda item: {_ERROR: f"{type(item).__name__}: {item}"})

    def deserialize(self, serialized_data: str) -> Any:
        """Return what JSON says; for an error one that can be raised."""
        return json.loads(serialized_data, object_hook=_error_or_data)

    def name(self) -> str:
        """Return the name that is stored with each value."""
        return "json"


# --- what is done ------------------------------------------------------------------------------


@DBOS.workflow(name="rollout")
def rollout(given: str, done: Mapping[str, str]) -> str:
    """
    Do the waves of a plan, and return why no more is done; empty if all is.

    + given: the plan as JSON
    + done: states of hosts from earlier attempts; proven ones are left out
    """
    plan = _plan(given)
    states = {name: state for name, state in done.items() if state == "proven"}
    for number, wave in enumerate(plan.waves):
        shards = [[name for name in shard if states.get(name) != "proven"] for shard in wave.shards]
        todo = [shard for shard in shards if shard]
        if not todo:
            continue
        if why := _may_begin(plan, number):
            return why
        DBOS.set_event(_STATE, f"wave {number}")
        handles = [DBOS.enqueue_workflow(_QUEUE, shard_of, shard) for shard in todo]
        for handle in handles:
            states |= handle.get_result()
        if why := over_budget(plan, number, states) or _soaked(plan, number, states):
            return why
    return ""


@DBOS.workflow(name="shard")
def shard_of(names: Sequence[str]) -> dict[str, str]:
    """Return the states of a shard's hosts after they were changed."""
    return changed(str(DBOS.workflow_id).rpartition("-")[0], names)


@DBOS.step(name="change")
def changed(workflow: str, names: Sequence[str]) -> dict[str, str]:
    """
    Change hosts, unless this machine would bring them something else than was planned.

    + workflow: that of the rollout, which has the plan: it is large, and shards are many

    A host of which nothing is known afterwards, such as after a full disk, is ``unknown``.
    """
    plan = _plan(_planned(workflow))
    try:
        if inputs() == plan.inputs:
            return {**run_shard(plan, names, records_of(plan.id))}
    except (OSError, Problem) as error:
        sys.stderr.write(f"pyinfra-gvisor: {error}\n")
    return dict.fromkeys(names, "unknown")


@cache
def _planned(workflow: str) -> str:
    (found,) = DBOS.list_workflows(workflow_ids=[workflow])
    return str(_given(found)[0])


@lru_cache(maxsize=8)
def _plan(text: str) -> Plan:
    return Plan.model_validate_json(text)


@DBOS.step(name="audit")
def audit(given: str, names: Sequence[str]) -> dict[str, str]:
    """Return why hosts are not compliant, by name."""
    try:
        return audited(_plan(given), names)
    except (OSError, Problem) as error:
        return dict.fromkeys(names, str(error))


@DBOS.step(name="condition")
def halts(command: str) -> bool:
    """Return True if the operator's condition says that no wave may begin."""
    return subprocess.run(["sh", "-c", command], check=False).returncode == 0


def _may_begin(plan: Plan, number: int) -> str:
    """Wait for an approval if one is due. Return why a wave may not begin; empty if it may."""
    if number and plan.approve:
        DBOS.set_event(_STATE, f"approval {number}")
        while DBOS.recv(f"{_APPROVED} {number}", timeout_seconds=_LONG_S) is None:
            pass
    if plan.halt_if and halts(plan.halt_if):
        return f"before {plan.waves[number].name}: {plan.halt_if}"
    return ""


def _soaked(plan: Plan, number: int, states: Mapping[str, str]) -> str:
    """Wait, then audit all hosts that are done. Return what is wrong; empty if nothing is."""
    if not plan.soak_s:
        return ""
    DBOS.set_event(_STATE, f"soak {number}")
    DBOS.sleep(plan.soak_s)
    names = [name for name, state in states.items() if state == "proven"]
    found = audit(plan.model_dump_json(), names)
    return "; ".join(f"audit of {name}: {why}" for name, why in found.items())


def over_budget(plan: Plan, number: int, states: Mapping[str, str]) -> str:
    """Return why the budget is spent; empty if it is not."""

    def bad(names: Sequence[str]) -> list[str]:
        known = {name: states[name] for name in names if name in states}
        return [
            name
            for name, state in known.items()
            if state != "proven" and not (state == "unreachable" and name in plan.absent)
        ]

    wave = plan.waves[number]
    here, every = bad(wave.hosts), bad([*states])
    if len(here) > plan.max_failed:
        return f"{len(here)} of {wave.name} not proven: {', '.join(here)}"
    if len(every) > plan.max_failed_all:
        return f"{len(every)} in all not proven: {', '.join(every)}"
    return ""


def database_exists() -> bool:
    """Return True if somebody began a rollout here, or all are kept in PostgreSQL."""
    return DATABASE in os.environ or (DIRECTORY / _FILE).exists()


def records_of(identity: str) -> Path:
    """Return the directory of a rollout's records."""
    return DIRECTORY / identity / "records"


# --- who does it -------------------------------------------------------------------------------

_LEASES = Table(
    "pyinfra_gvisor_processes",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("seen", Float),
)


@dataclass(frozen=True)
class Seen:
    """
    What is known of a rollout.

    + workflow: of its last attempt; ``status``: in the engine's words; ``executor``: who does it
    + now: the step it is at; ``why``: why it ended before all was done
    + states: of hosts that were begun
    """

    plan: Plan
    workflow: str
    attempt: int
    status: str
    executor: str
    now: str
    why: str
    states: Mapping[str, str]

    @property
    def is_going_on(self) -> bool:
        """Return True if there is more to do, and nothing stopped it."""
        return self.status in _OPEN

    @property
    def is_done(self) -> bool:
        """Return True if every host is proven, or may be unreachable."""
        return all(
            self.states.get(host.name) == "proven"
            or (self.states.get(host.name) == "unreachable" and host.name in self.plan.absent)
            for host in self.plan.hosts
        )


class Rollouts:
    """
    This machine's access to the rollouts of a fleet.

    + works: also does shards, of this and of other machines' rollouts
    """

    def __init__(self, *, works: bool = False, workers: int = 0) -> None:
        DIRECTORY.mkdir(mode=0o700, exist_ok=True)
        url = os.environ.get(DATABASE) or f"sqlite:///{DIRECTORY.resolve()}/{_FILE}"
        self.me = f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"
        config: DBOSConfig = {
            "name": "pyinfra-gvisor",
            "system_database_url": url,
            "application_version": f"rollout-{VERSION}",
            "executor_id": self.me,
            "serializer": JsonText(),
            "log_level": "ERROR",
            "console_log_level": "CRITICAL",
        }
        self._engine = _engine(url)
        _LEASES.metadata.create_all(self._engine)
        self._beat()
        DBOS(config=config)
        DBOS.listen_queues([_QUEUE] if works else [])
        DBOS.launch()
        if works:
            count = workers or os.cpu_count() or 1
            DBOS.register_queue(_QUEUE, worker_concurrency=count, polling_interval_sec=0.5)
            threading.Thread(target=self._live, daemon=True).start()

    def begin(self, plan: Plan) -> None:
        """Begin a plan, or begin again what was stopped: proven hosts are left out."""
        found = self.seen(plan.id)
        attempt = found.attempt + 1 if found else 1
        done = found.states if found else {}
        with SetWorkflowID(f"{plan.id}~{attempt}"):
            DBOS.start_workflow(rollout, plan.model_dump_json(), done)

    def resume(self, identity: str) -> None:
        """
        Go on with a rollout here.

        Raises ``Problem`` if there is no such rollout, or if a process that lives is at it.
        """
        found = self.known(identity)
        if found.status not in _OPEN:
            self.begin(found.plan)
            return
        if found.executor != self.me and self.lives(found.executor):
            where = found.executor.rpartition(":")[0]
            todo = f"stop it there, or wait {LEASE_S:.0f} s after that machine is gone"
            raise Problem("this rollout is going on elsewhere", got=where, todo=todo)
        for item in _workflows(identity):
            if item.status == "PENDING" and not self.lives(item.executor_id or ""):
                DBOS.resume_workflow(item.workflow_id)

    def approve(self, identity: str) -> bool:
        """Let the wave begin that waits for it; return False if none does."""
        found = self.known(identity)
        kind, _, number = found.now.partition(" ")
        if kind != "approval" or found.status not in _OPEN:
            return False
        key = f"{identity} {number}"
        DBOS.send(found.workflow, True, f"{_APPROVED} {number}", idempotency_key=key)
        return True

    def stop(self, identity: str) -> None:
        """Begin no more shard. What is being changed is brought to its end."""
        found = self.known(identity)
        if found.status in _OPEN:
            DBOS.cancel_workflow(found.workflow)
        for item in _workflows(identity):
            if item.name == "shard" and item.status in ("ENQUEUED", "DELAYED"):
                DBOS.cancel_workflow(item.workflow_id)

    def known(self, identity: str) -> Seen:
        """Return what is known of a rollout. Raises ``Problem`` if there is none."""
        if found := self.seen(identity):
            return found
        raise Problem("there is no such rollout", got=identity, todo="see rollout list")

    def seen(self, identity: str) -> Seen | None:
        """Return what is known of a rollout; None if there is none."""
        every = _workflows(identity)
        mine = [item for item in every if item.name == "rollout"]
        if not mine:
            return None
        last = max(mine, key=lambda item: _attempt(item.workflow_id))
        states: dict[str, str] = {}
        for item in sorted(every, key=lambda item: item.created_at or 0):
            if item.name == "shard" and item.status == "SUCCESS":
                states |= item.output or {}
            elif item.name == "shard" and item.status == "PENDING":
                states |= dict.fromkeys(_given(item)[0], "running")
        plan = _plan(_given(last)[0])
        return Seen(
            plan=plan,
            workflow=last.workflow_id,
            attempt=_attempt(last.workflow_id),
            status=last.status,
            executor=last.executor_id or "",
            now=str(DBOS.get_event(last.workflow_id, _STATE, timeout_seconds=0) or ""),
            why=str(last.output or last.error or ""),
            states=states,
        )

    def every(self) -> list[str]:
        """Return the ids of all rollouts, the newest first."""
        found = DBOS.list_workflows(name="rollout", sort_desc=True, load_input=False)
        return [*dict.fromkeys(item.workflow_id.partition("~")[0] for item in found)]

    def _live(self) -> None:
        while True:
            time.sleep(_BEAT_S)
            with suppress(Exception):  # the next one comes in some seconds
                self._beat()

    def _beat(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(_LEASES.delete().where(_LEASES.c.id == self.me))
            connection.execute(_LEASES.insert().values(id=self.me, seen=time.time()))

    def lives(self, executor: str) -> bool:
        """Return True if a process may still be at work."""
        if executor == self.me:
            return True
        host, pid, started = executor.rsplit(":", 2)
        if host == socket.gethostname():
            return _started(int(pid)) == started
        with self._engine.connect() as connection:
            seen = connection.execute(
                select(_LEASES.c.seen).where(_LEASES.c.id == executor)
            ).scalar()
        return seen is not None and time.time() - seen < LEASE_S


def _workflows(identity: str) -> list[WorkflowStatus]:
    return DBOS.list_workflows(workflow_id_prefix=f"{identity}~")


def _given(item: WorkflowStatus) -> Sequence[Any]:
    return item.input["args"] if item.input else ()


def _attempt(workflow: str) -> int:
    return int(workflow.partition("~")[2].partition("-")[0])


def _engine(url: str) -> Engine:
    if url.startswith("postgres"):
        return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    return create_engine(url)


def _started(pid: int) -> str:
    """Return when a process started, in ticks since the boot: proc(5); empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""

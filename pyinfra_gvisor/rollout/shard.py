"""A shard of a rollout: one process of pyinfra, judged by the record that each host leaves."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import quote

from pydantic import ValidationError

from pyinfra_gvisor.base.atomic_write import write_whole
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.drift.record import DEFAULT_CONFIG, HostRecord, Record
from pyinfra_gvisor.drift.run import Ran, recorded, recording
from pyinfra_gvisor.report.summary import GOOD, PROVEN
from pyinfra_gvisor.rollout.own import SHARD, shard_text
from pyinfra_gvisor.rollout.plan import USUAL_SHARD, Plan

State = Literal["proven", "failed", "unproven", "unreachable", "unknown"]
STATES: Final[tuple[State, ...]] = get_args(State)
TIMEOUT_S: Final = 3600.0
"""Of a shard. pyinfra itself gives up a host that does not answer sooner."""

_UNREACHABLE = ("not reached", "no answer")
_LINES = 40  # of pyinfra's errors that are kept


class HostEnd(Strict):
    """
    What became of a host in a rollout.

    ``unproven``: as declared, but no proof was made. ``unknown``: it left no record.
    """

    rollout: str
    host: str
    release: str
    state: State
    why: tuple[str, ...] = ()


def run_shard(plan: Plan, names: Sequence[str], records: Path) -> dict[str, State]:
    """
    Bring the hosts of a shard to what is declared, write a record of each, and return their states.

    + names: its hosts
    + records: a directory
    """
    ran = _run(plan, names, "gvisor", f'--data=rollout_id="{plan.id}"')
    releases = {host.name: host.release for host in plan.hosts}
    seen = _hosts(ran)
    states: dict[str, State] = {}
    records.mkdir(parents=True, exist_ok=True)
    for name in names:
        states[name], why = _judged(seen.get(name), ran)
        end = HostEnd(
            rollout=plan.id, host=name, release=releases[name], state=states[name], why=why
        )
        write_whole(record_path(records, name), f"{end.model_dump_json()}\n", 0o600)
    return states


def audited(plan: Plan, names: Sequence[str]) -> dict[str, str]:
    """
    Audit hosts, and return why each is not compliant; nothing for one that is.

    + names: the hosts, of which one process has no more than a shard: a thousand take gigabytes
    """
    seen: dict[str, HostRecord] = {}
    for at in range(0, len(names), USUAL_SHARD):
        seen |= _hosts(_run(plan, names[at : at + USUAL_SHARD], "audit"))
    found = {}
    for name in names:
        record = seen.get(name)
        if record is None or record.outcome not in GOOD:
            causes = record.causes if record else ()
            said = (record.outcome or "") if record else ""
            found[name] = "; ".join(causes) or said or "it left no record"
    return found


def record_path(records: Path, name: str) -> Path:
    """Return the file of a host's record."""
    return records / f"{quote(name, safe='')}.json"


def read_records(plan: Plan, records: Path) -> dict[str, HostEnd]:
    """
    Return what is known of the hosts of a plan, by name. A host without a record is ``unknown``.

    Raises ``Problem`` if a record is not one of this rollout.
    """
    found = {}
    for host in plan.hosts:
        path = record_path(records, host.name)
        if not path.exists():
            found[host.name] = HostEnd(
                rollout=plan.id, host=host.name, release=host.release, state="unknown"
            )
            continue
        try:
            end = HostEnd.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise Problem(f"{path}: not a record", got=str(error.errors()[0]["msg"])) from None
        if (end.rollout, end.host) != (plan.id, host.name):
            raise Problem(f"{path}: a record of another rollout", got=end.rollout)
        found[host.name] = end
    return found


def _run(plan: Plan, names: Sequence[str], deploy: str, *flags: str) -> Ran:
    """Run a deploy on these hosts alone: pyinfra does not even learn of the plan's others."""
    planned = {host.name: host.settings for host in plan.hosts}
    mine = {name: planned[name] for name in names}
    others = [name for name in (*planned, *plan.without) if name not in mine]
    with tempfile.NamedTemporaryFile("w", prefix="pyinfra-gvisor-shard-") as file:
        file.write(shard_text(mine, others))
        file.flush()
        arguments = _arguments(plan, names, deploy, *flags)
        return recorded(arguments, DEFAULT_CONFIG, TIMEOUT_S, {SHARD: file.name})


def _arguments(plan: Plan, names: Sequence[str], deploy: str, *flags: str) -> list[str]:
    limits = (f"--limit={_exactly(name)}" for name in names)
    data = (f"--data={pair}" for pair in plan.data)
    files = (plan.inventory, f"deploys/{deploy}.py")
    return [*files, "-y", *flags, f"--config={recording()}", *data, *limits]


def _exactly(name: str) -> str:
    """Return a pattern for this host alone: a plain name that a group has, too, means the group."""
    special = {"[": "[[]", "*": "[*]", "?": "[?]"}
    first, rest = name[0], name[1:]
    head = special.get(first, f"[{first}]")
    return head + "".join(special.get(char, char) for char in rest)


def _hosts(ran: Ran) -> Mapping[str, HostRecord]:
    try:
        record = Record.model_validate_json(ran.record or "")
    except ValidationError:
        return {}
    return {host.name: host for host in record.hosts if host.chosen}


def _judged(record: HostRecord | None, ran: Ran) -> tuple[State, tuple[str, ...]]:
    if record is None or record.outcome is None:
        if record is not None and not record.connected:
            return "unreachable", _said(record)
        return "unknown", tuple(ran.stderr.splitlines()[-_LINES:])
    if record.outcome in PROVEN:
        return "proven", ()
    if record.outcome in _UNREACHABLE:
        return "unreachable", record.causes or _said(record)
    if record.outcome in GOOD:
        return "unproven", ()
    return "failed", (record.outcome, *(record.causes or _said(record)))


def _said(record: HostRecord) -> tuple[str, ...]:
    return tuple(line.text for line in record.said if line.level == "error")[-3:]


def told_records(ends: Mapping[str, HostEnd]) -> str:
    """Return the records as one line of JSON."""
    counts = {state: sum(end.state == state for end in ends.values()) for state in STATES}
    hosts = [end.model_dump(exclude={"rollout"}, mode="json") for end in ends.values()]
    return json.dumps({"counts": counts, "hosts": hosts})

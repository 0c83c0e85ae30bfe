"""What a dry run of pyinfra 3.10 under deploys/recording.py leaves, made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyinfra_gvisor.drift.record import HostRecord, Record, Said
from pyinfra_gvisor.drift.run import Ran, Request

REQUEST = Request("inventories/run.py", ("deploys/gvisor.py",))


def host(
    name: str,
    *,
    groups: Sequence[str] = ("run",),
    chosen: bool = True,
    connected: bool = True,
    failed: bool = False,
    operations: int = 1,
    said: Sequence[Said] = (),
) -> HostRecord:
    """A host that was reached and has one operation."""
    return HostRecord(
        name=name,
        groups=tuple(groups),
        chosen=chosen,
        connected=connected,
        failed=failed,
        operations=operations,
        said=tuple(said),
    )


def unreachable(name: str, why: str) -> HostRecord:
    """A host that was not reached."""
    said = [Said(level="error", text=why)]
    return host(name, connected=False, failed=True, operations=0, said=said)


def step(
    *changing: str, name: str = "Install", maybe: Sequence[str] = (), names: Sequence[str] = ()
) -> dict[str, object]:
    """An operation of pyinfra's plan."""
    return {
        "op_hash": "5f1c",
        "name": name,
        "names": list(names or [name]),
        "args": [],
        "hosts_with_change": list(changing),
        "hosts_with_conditional_change": list(maybe),
    }


def ran(
    *hosts: HostRecord,
    plan: Sequence[dict[str, object]] | None = (step(),),
    code: int | None = 0,
    stderr: str = "",
    looks_for_changes: bool = True,
    deploys: Sequence[int] = (0,),
) -> Ran:
    """A run; with ``plan=None`` one that printed none."""
    record = Record(looks_for_changes=looks_for_changes, hosts=hosts, deploys=tuple(deploys))
    stdout = "" if plan is None else json.dumps({"plan": list(plan), "results": None}) + "\n"
    return Ran(code, stdout, stderr, record.model_dump_json())

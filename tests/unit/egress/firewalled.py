"""A node with a firewall: what the audit's scripts tell of it, and what is then found."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pyinfra_gvisor.audit.judge import judge
from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.base.scripts import encoded
from pyinfra_gvisor.parts.egress.plan import wanted_files
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import read
from pyinfra_gvisor.report.document import HostReport
from tests.cases.proven import proven_answer
from tests.unit.answers import Running
from tests.unit.audit.audited import AT, looked_at
from tests.unit.egress.egress_states import DOCKERD
from tests.unit.parts.keeper_answers import keeping

NOW_S = 1_764_000_000
STARTED = "2025-11-24T14:00:00.123456789Z"  # two hours earlier
METADATA = ("169.254.169.254", 6, 80)
DATABASE = ("10.0.0.5", 6, 5432)
SURROUNDINGS = (
    *("nft yes", "uplink eth0", "resolver 192.0.2.53", "network bridge docker0 bridge"),
    *("network host - host", "network bridge br-0123456789ab shop"),
)


def firewall(
    settings: Mapping[str, Any] | None = None,
    *,
    there: Iterable[str] = (),
    later: Iterable[str] = (),
    without: Iterable[str] = (),
    **changes: str,
) -> list[str]:
    """
    What a node tells on which the firewall of these settings is in force.

    + there: networks and the like that were there before it was loaded
    + later: those that were not
    + without: kinds to leave out, such as ``now``; changes: other values by kind
    """
    egress = Egress.model_validate(settings or {})
    around = (*SURROUNDINGS, *there)
    files = wanted_files(read(around), egress, DOCKERD)
    rules = files[0]
    known = {
        "rules": encoded(rules.text),
        "enabled": "yes",
        "unit": "active",
        "now": "a" * 64,
        "loaded": f"{'a' * 64} {rules.sha256}",
        **changes,
    }
    sums = [f"sum {item.sha256} {item.path}" for item in files]
    stats = [f"stat {item.mode}:0:0 {item.path}" for item in files]
    told = [*around, *later, *sums, *stats, *(f"{kind} {value}" for kind, value in known.items())]
    return [f"egress {line}" for line in told if line.split(" ")[0] not in set(without)]


WEEK_S = 604800


def reported(*attempts: tuple[Any, ...]) -> list[str]:
    """
    What nft lists of rules that only report: each attempt had three packets, and the first of them
    was an hour before the last.
    """
    lines = counted(*attempts, counters={"would_drop_private": 3}, timeout_s=WEEK_S)
    since = [(*attempt[:4], sum(attempt[4:]) + 3600) for attempt in attempts]
    first = counted(*since, timeout_s=4 * WEEK_S)[1:]
    packets = '"counter": {"packets": 3, "bytes": 180}, "expires"'
    return [
        *(line.replace('"expires"', packets) for line in lines),
        *(line.replace('"stopped', '"first') for line in first),
    ]


def counted(
    *attempts: tuple[Any, ...],
    counters: Mapping[str, int] | None = None,
    size: int = 4096,
    timeout_s: int = 3600,
) -> list[str]:
    """
    What nft lists: the counters, and attempts as source, destination, protocol, port and age.

    The last may be left out, which is just now.
    """
    table = {"family": "inet", "table": "pyinfra_gvisor"}
    known = [{"counter": {**table, "name": name, "packets": count, "bytes": 60}}
             for name, count in (counters or {}).items()]  # fmt: skip
    sets: dict[int, dict[str, Any]] = {
        version: {**table, "name": f"stopped{version}", "size": size, "timeout": timeout_s}
        for version in (4, 6)
    }
    for source, destination, protocol, port, *age_s in attempts:
        value = {"concat": [source, destination, protocol, port]}
        element = {"val": value, "expires": timeout_s - sum(age_s)}
        sets[6 if ":" in destination else 4].setdefault("elem", []).append({"elem": element})
    documents = [known, *([{"set": item}] for item in sets.values())]
    return [
        f"egress_observed {NOW_S}.5 {json.dumps({'nftables': [{'metainfo': {}}, *document]})}"
        for document in documents
    ]


def box(
    name: str,
    *addresses: str,
    pid: int = 4711,
    started: str = STARTED,
    labels: Mapping[str, str] | None = None,
) -> list[str]:
    """A container that runs, with these addresses."""
    process, told = Running(name, pid=pid, given={"Labels": dict(labels or {})}).lines()
    document = json.loads(told.removeprefix("container "))
    document["State"]["StartedAt"] = started
    document["Addresses"] = list(addresses)
    return [process, f"container {json.dumps(document)}"]


def guarded_node(
    *lines: str,
    egress: Mapping[str, Any] | None = None,
    told: Iterable[str] | None = None,
    **machine: str,
) -> Audited:
    """A node with ``egress`` declared and, unless it is told otherwise, in force."""
    waived = {"proof-stale": "it was proven without a firewall"}
    settings = {"gvisor_egress": dict(egress or {}), "gvisor_waivers": waived}
    has = [*(firewall(egress) if told is None else told), *proven_answer(**machine)]
    return looked_at(*lines, settings=settings, answer=keeping(has, **settings))


def guarded(*lines: str, **given: Any) -> HostReport:
    """The report on such a node."""
    return judge("run-1", guarded_node(*lines, **given), at=AT, by="audit")


def seen(report: HostReport) -> dict[str, str]:
    """The evidence of what is found in the firewall and not waived, by ``rule subject``."""
    return {
        f"{item.id} {item.subject}": item.evidence
        for item in report.findings
        if item.id.startswith("egress-") and item.waived is None
    }

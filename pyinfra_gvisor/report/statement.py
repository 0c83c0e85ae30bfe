"""A statement for a customer or an auditor: what an audit saw in gVisor, and what it did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pydantic import ConfigDict, Field

from pyinfra_gvisor.base.columns import continued, printable
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.policy.findings import by_severity
from pyinfra_gvisor.report.document import (
    ContainerReport,
    FleetReport,
    HostReport,
    Moment,
    ProofReport,
)

Verdict = Literal["sandboxed", "bare", "unknown"]

_COLUMNS = 100
_WHERE: Final[dict[Verdict, str]] = {
    "sandboxed": "seen in gVisor",
    "bare": "seen on the host's kernel, not in gVisor",
    "unknown": "not verified",
}


class _Part(Strict):
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class StatedContainer(_Part):
    """A running container, and where it was seen."""

    name: str
    id: str
    image: str
    verdict: Verdict = Field(description="As in the report of an audit.")
    runtime: str = Field(description="The runtime that it was created with.")
    release: str | None = Field(description="The runsc release of its sandbox.")
    exempt: str | None = Field(description="Why it need not run in gVisor; null if it must.")


class StatedNode(_Part):
    """What was seen on a node. ``error`` says why nobody could look; then nothing else is known."""

    host: str
    at: Moment = Field(description="Time of the look, ISO 8601 with UTC offset.")
    error: str | None
    compliant: bool = Field(description="As in the report of an audit.")
    kernel: str | None
    docker: str | None
    releases: tuple[str, ...] = Field(description="Releases of runsc that dockerd starts.")
    proof: ProofReport | None = Field(description="The last proof of isolation on the node.")
    containers: tuple[StatedContainer, ...]
    others: dict[Verdict, int] = Field(
        description="Running containers that are not named here, by where they were seen."
    )
    findings: dict[str, int] = Field(description="Findings by severity, without waived ones.")
    waived: int = Field(description="Findings that the operator has accepted.")


class Statement(_Part):
    """The whole statement."""

    version: Literal[1] = 1
    at: Moment = Field(description="Time of the audit, ISO 8601 with UTC offset.")
    by: str = Field(description="The program that looked, with its version.")
    nodes: tuple[StatedNode, ...]


def state(report: FleetReport, by: str, names: Sequence[str]) -> Statement:
    """
    Return what an audit saw.

    + by: the program, with its version
    + names: the containers that are named; all for none. Others are only counted
    """
    nodes = tuple(_node(host, frozenset(names)) for host in report.hosts)
    return Statement(at=report.at, by=by, nodes=nodes)


def unseen(stated: Statement, names: Sequence[str]) -> list[str]:
    """Return the names of which no container runs on any of the nodes."""
    seen = {container.name for node in stated.nodes for container in node.containers}
    return [name for name in names if name not in seen]


def _node(host: HostReport, names: frozenset[str]) -> StatedNode:
    about = host.node
    named = [item for item in host.containers if not names or item.name in names]
    left = Counter(item.verdict for item in host.containers if names and item.name not in names)
    return StatedNode(
        host=host.host,
        at=host.at,
        error=host.error,
        compliant=host.compliant,
        kernel=about.kernel if about else None,
        docker=about.docker if about else None,
        releases=tuple(sorted({item.release for item in about.runtimes if item.release}))
        if about
        else (),
        proof=about.proof if about else None,
        containers=tuple(map(_container, named)),
        others={verdict: left[verdict] for verdict in _WHERE},
        findings={str(key): count for key, count in by_severity(host.findings).items()},
        waived=sum(item.waived is not None for item in host.findings),
    )


def _container(item: ContainerReport) -> StatedContainer:
    return StatedContainer(
        name=item.name,
        id=item.id,
        image=item.image,
        verdict=item.verdict,
        runtime=item.asked,
        release=item.release,
        exempt=item.exempt,
    )


def page(stated: Statement) -> str:
    """Return the statement as text for people, each line at most 100 columns."""
    return "".join(f"{part}\n" for line in _lines(stated) for part in _broken(line))


def _broken(line: str) -> list[str]:
    return continued(line, _COLUMNS, indent=len(line) - len(line.lstrip()) + 2) if line else [""]


def _lines(stated: Statement) -> Iterator[str]:
    yield "What was seen of container isolation"
    yield ""
    yield f"{stated.at}, by {printable(stated.by)}, on {len(stated.nodes)} nodes."
    yield "A container is in gVisor if its process is a sandbox of an installed, unchanged release."
    yield "Nothing is said of other times, and of containers that did not run then."
    for node in stated.nodes:
        yield ""
        yield from _of_node(node)


def _of_node(node: StatedNode) -> Iterator[str]:
    yield f"Node {printable(node.host)}, {node.at}"
    if node.error is not None:
        yield f"  nobody could look: {printable(node.error)}"
        return
    runsc = ", ".join(node.releases) or "none"
    kernel, docker = (printable(text or "?") for text in (node.kernel, node.docker))
    yield f"  kernel {kernel}, Docker {docker}, runsc {runsc}"
    yield f"  {_proof(node.proof)}"
    counts = [f"{count} {severity}" for severity, count in node.findings.items() if count]
    counts += [f"{node.waived} waived"] if node.waived else []
    found = ", ".join(counts)
    yield f"  {'compliant' if node.compliant else 'NOT COMPLIANT'}; findings: {found or 'none'}"
    for verdict, where in _WHERE.items():
        named = [item for item in node.containers if item.verdict == verdict]
        yield f"  {where}: {len(named) + node.others[verdict]}"
        yield from (f"    {_one(item)}" for item in named)
        if named and node.others[verdict]:
            yield f"    {node.others[verdict]} that are not named here"


def _proof(proof: ProofReport | None) -> str:
    if proof is None or proof.held_at is None:
        return "isolation: not proven"
    state = "holds" if proof.holds else "does not hold any more"
    return f"isolation: proven {proof.held_at}, {proof.checks} checks; {state}"


def _one(item: StatedContainer) -> str:
    by = f"runtime {item.runtime}" + (f", runsc {item.release}" if item.release else "")
    exempt = f"; exempt: {item.exempt}" if item.exempt and item.verdict != "sandboxed" else ""
    return printable(f"{item.name} ({item.id[:12]}), image {item.image}, {by}{exempt}")

"""The checks of the proof that are about the firewall: what containers may reach, and may not."""

from __future__ import annotations

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.settings import Egress, EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.egress.tries import Try, tries
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof.check import ONLINE, Check
from pyinfra_gvisor.proof.judges import let_through, same, shows, stopped
from pyinfra_gvisor.proof.part import Declared, PartProof

_UNDECLARED = "no `gvisor_egress` is declared"
_LOAD = "run deploys/gvisor.py, which loads the rules; see docs/egress.md"
_ALLOW = "compare `allow` with what answers there; what the node itself serves is for node_ports"


def _stopped(
    kind: str, shown: str, tried: str, *, unless: str, severity: Severity = Severity.HIGH
) -> Check:
    return Check(
        f"egress-{kind}",
        shown,
        f"a TCP connection to {tried} does not succeed, and the rules have it in `stopped4`; under "
        "runc they have it in `passed4`",
        f"egress_{kind}",
        severity,
        _LOAD,
        stopped(f"egress_{kind}"),
        let_through(f"egress_{kind}"),
        networks=ONLINE,
        unless=f"{_UNDECLARED}, `{kind}` is left out of `block`, {unless}",
    )


CHECKS: tuple[Check, ...] = (
    _stopped(
        "metadata",
        "the cloud's metadata service is out of reach",
        "169.254.169.254, port 80",
        severity=Severity.CRITICAL,
        unless="it is in `allow`, or no route leads there",
    ),
    _stopped(
        "private",
        "private networks beyond the containers' own are out of reach",
        "an end of 10.0.0.0/8, or of another private network that is beyond the node, port 80",
        unless="or all that could be tried is in `allow` or is the node's own",
    ),
    _stopped(
        "smtp",
        "no mail is sent",
        "192.0.2.1, which is nobody's, port 25 or the first of `smtp_ports`",
        unless="it is in `allow`, or no route leads there",
    ),
    _stopped(
        "node",
        "the node's own services are out of reach",
        "the gateway of its network, port 22, 111 or 2375",
        unless="or `node_ports` has all of these",
    ),
    Check(
        "egress-allowed",
        "what is allowed all the same is reached",
        "a TCP connection to the first address with a port in `allow` succeeds; under runc the "
        "same",
        "egress_allowed",
        Severity.MEDIUM,
        _ALLOW,
        *same(shows("egress_allowed", "connected")),
        networks=ONLINE,
        unless=f"{_UNDECLARED}, `allow` has no such address, or it is not reached under runc",
    ),
)


def _egress(declared: Declared) -> Egress | None:
    return declared.part(EgressSettings).egress if declared else None


def _spared(declared: Declared) -> dict[str, str]:
    """What is not tried, and why."""
    found = tries(_egress(declared)).items()
    return {f"egress-{kind}": item for kind, item in found if isinstance(item, str)}


def _given(node: Node, declared: Declared) -> dict[str, str] | None:
    """Without a firewall that is declared nothing is tried, only tidied up."""
    egress, found = _egress(declared), node.part(EgressState)
    if egress is None and found.now is None:
        return None
    words = [
        f"{kind}={','.join(item.addresses)}={item.port}"
        for kind, item in tries(egress).items()
        if isinstance(item, Try)
    ]
    return {
        "tries": " ".join(words),
        "uplinks": " ".join(found.uplinks),
        "in_force": "yes" if found.in_force else "",
    }


def _state(node: Node, declared: Declared) -> list[object] | None:
    egress, found = _egress(declared), node.part(EgressState)
    if egress is None:
        return None
    return [egress.model_dump(), found.loaded_from, found.in_force]


PROOF = PartProof(CHECKS, _spared, _given, _state)

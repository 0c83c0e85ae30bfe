"""The proof's checks of the firewall: what containers can reach, and what they cannot."""

from __future__ import annotations

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.settings import Egress, EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.egress.tries import Try, tries
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof.check import ONLINE, Check
from pyinfra_gvisor.proof.judges import let_through, same, shows, stopped
from pyinfra_gvisor.proof.part import Declared, PartProof

_UNDECLARED = "no `gvisor_egress` is declared, or it only reports"
_LOAD = "run pyinfra-gvisor apply to load the rules; see docs/egress.md"
_ALLOW = (
    "check that `allow` names the right address and port; ports of the node itself belong into "
    "`node_ports`"
)


def _stopped(
    kind: str, shown: str, tried: str, *, unless: str, severity: Severity = Severity.HIGH
) -> Check:
    return Check(
        f"egress-{kind}",
        shown,
        f"a TCP connection to {tried} fails and is in the rules' set `stopped4`; under runc it is "
        "in `passed4`",
        f"egress_{kind}",
        severity,
        _LOAD,
        stopped(f"egress_{kind}"),
        let_through(f"egress_{kind}"),
        networks=ONLINE,
        unless=f"{_UNDECLARED}, `{kind}` is not in `block`, {unless}",
    )


CHECKS: tuple[Check, ...] = (
    _stopped(
        "metadata",
        "the cloud's metadata service cannot be reached",
        "169.254.169.254, port 80",
        severity=Severity.CRITICAL,
        unless="it is in `allow`, or no route leads there",
    ),
    _stopped(
        "private",
        "private networks other than the containers' own cannot be reached",
        "the last address of 10.0.0.0/8, or of another private network outside the node, port 80",
        unless="or every candidate is in `allow` or in a network of the node",
    ),
    _stopped(
        "smtp",
        "no mail can be sent",
        "192.0.2.1, which belongs to nobody, port 25 or the first of `smtp_ports`",
        unless="it is in `allow`, or no route leads there",
    ),
    _stopped(
        "node",
        "services of the node itself cannot be reached",
        "the gateway of its network, port 22, 111 or 2375",
        unless="or `node_ports` has all of these",
    ),
    Check(
        "egress-allowed",
        "a destination in `allow` can be reached",
        "a TCP connection to the first address with a port in `allow` succeeds; under runc the "
        "same",
        "egress_allowed",
        Severity.MEDIUM,
        _ALLOW,
        *same(shows("egress_allowed", "connected")),
        networks=ONLINE,
        unless=f"{_UNDECLARED}, `allow` has no such address, or runc cannot reach it either",
    ),
)


def _egress(declared: Declared) -> Egress | None:
    return declared.part(EgressSettings).egress if declared else None


def _skipped(declared: Declared) -> dict[str, str]:
    """Return the reasons why checks are skipped, by the check's id."""
    found = tries(_egress(declared)).items()
    return {f"egress-{kind}": item for kind, item in found if isinstance(item, str)}


def _given(node: Node, declared: Declared) -> dict[str, str] | None:
    """Return the variables of ``proof.sh``. If no firewall is declared it only cleans up."""
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


PROOF = PartProof(CHECKS, _skipped, _given, _state)

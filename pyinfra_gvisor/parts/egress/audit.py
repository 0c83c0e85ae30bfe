"""What is looked for in a node's firewall: as declared, in force, all in it, whom it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyinfra_gvisor.audit.rules import Audited, Rule, Seen
from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.errors import cut
from pyinfra_gvisor.parts.egress.files import RULES as FILE
from pyinfra_gvisor.parts.egress.observed import Attempt, Counted, is_covered, listed
from pyinfra_gvisor.parts.egress.plan import differences, out_of_force, wanted_rules
from pyinfra_gvisor.parts.egress.rules import STOPPED_SIZE, TABLE
from pyinfra_gvisor.parts.egress.settings import (
    METADATA,
    Allowed,
    Egress,
    EgressSettings,
    network,
    overlap,
)
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.egress.surroundings import foreign, outside
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.report.document import EgressReport, StoppedReport

SETTING = "gvisor_egress"
SHOWN = 5  # of a list in a finding
STOPPED_MANY = 50  # of destinations, and of addresses that are nobody's, in a report
CLOCK_S = 2  # nft tells whole seconds, so that an attempt may seem to be older than it is
# Of Docker's own drivers those whose packets pass a bridge that the rules know, or that make none:
# an overlay's way out is docker_gwbridge. https://docs.docker.com/engine/network/drivers/
BRIDGED = ("bridge", "overlay", "host", "null")


@dataclass(frozen=True)
class Stopped:
    """
    Who tried what is stopped, the worst first. ``name`` is a container's, or an address that none
    has which runs.
    """

    name: str
    is_running: bool
    attempts: tuple[Attempt, ...]

    @property
    def severity(self) -> Severity:
        """An app has no business at a metadata service, and attempts there are the first ones."""
        return Severity.LOW if self.attempts[0].is_metadata else Severity.INFO


def stopped(host: Audited) -> list[Stopped]:
    """Everybody who tried what is stopped within the last hour, containers that run first."""
    residents = _residents(host)
    found: dict[tuple[bool, str], list[Attempt]] = {}
    for attempt in host.observed.part(Counted).attempts:
        name, since_s = residents.get(attempt.source, ("", 0))
        is_gone = not name or attempt.at_s < since_s - CLOCK_S
        found.setdefault((is_gone, attempt.source if is_gone else name), []).append(attempt)
    return [
        Stopped(name, not is_gone, tuple(sorted(attempts, key=lambda item: item.rank)))
        for (is_gone, name), attempts in sorted(found.items())
    ]


def _residents(host: Audited) -> dict[str, tuple[str, float]]:
    """
    The container that has an address, and since when.

    Docker gives an address to the next container at once, which must not answer for the last one.
    """
    given = {item.name: host.observed.given_to(item) for item in host.node.containers}
    return {
        address: (name, item.started_s)
        for name, item in given.items()
        for address in item.addresses
    }


def _declared(host: Audited) -> Egress | None:
    return host.settings.part(EgressSettings).egress


def _not_declared(host: Audited) -> Iterator[Seen]:
    open_ = [name for name, item in host.settings.runtimes.items() if item.network == "host"]
    if _declared(host) is None and open_:
        yield Seen(SETTING, f"not set, and of network host is {', '.join(sorted(open_))}")


def _not_as_declared(host: Audited) -> Iterator[Seen]:
    egress, found = _declared(host), host.node.part(EgressState)
    if egress is None:
        if found.there:
            what = "none is declared, and one is there"
            yield Seen(TABLE, what, Severity.MEDIUM)
    elif found.files:  # without any it is not in force, which another rule says
        wanted = wanted_rules(found, egress, named_resolvers(host.node))
        other = [text for text in differences(found, wanted) if text not in out_of_force(found)]
        if other:
            yield Seen(TABLE, "; ".join([*other, *_lines(found.rules, wanted)]))


def _lines(found: str | None, wanted: str) -> Iterator[str]:
    """In what two texts of rules differ."""
    there, declared = (text.splitlines() for text in (found or "", wanted))
    for what, lines in (
        ("missing", [line for line in declared if line not in there]),
        ("too many", [line for line in there if line not in declared]),
    ):
        if lines:
            yield f"{what} in {FILE}: {listed((cut(line.strip()) for line in lines), 2)}"


def _not_in_force(host: Audited) -> Iterator[Seen]:
    if _declared(host) is not None and (why := out_of_force(host.node.part(EgressState))):
        yield Seen(TABLE, "; ".join(why))


def _not_covered(host: Audited) -> Iterator[Seen]:
    egress, found = _declared(host), host.node.part(EgressState)
    if egress is None:
        return
    left_alone = outside(found, egress)
    for item in found.networks:
        rules = found.rules
        if item.driver not in BRIDGED:
            yield Seen(f"network {item.name}", f"its driver is {item.driver}")
        elif item.bridge and rules is not None and not is_covered(rules, item.bridge):
            why = left_alone.get(item.bridge, f"is not in {FILE}")
            yield Seen(f"network {item.name}", f"its bridge {item.bridge} {why}")
    if on_host := sorted(
        item.name
        for item in host.node.containers
        if host.observed.given_to(item).network_mode == "host"
    ):  # each is a finding of container-host-network, as bad as it is
        yield Seen("network host", f"of {listed(on_host, SHOWN)}", Severity.INFO)


def _other_bridges(host: Audited) -> Iterator[Seen]:
    egress, found = _declared(host), host.node.part(EgressState)
    if egress is None:
        return
    for name, why in outside(found, egress).items():
        yield Seen(f"bridge {name}", f"left alone: it {why}")
    for name in foreign(found, egress):
        yield Seen(f"bridge {name}", "not Docker's, and filtered like one of containers")


def _opened(host: Audited) -> Iterator[Seen]:
    egress = _declared(host)
    if egress is None:
        return
    every = Egress().block
    if left_out := [block for block in every if block not in egress.block]:
        yield Seen(f"{SETTING}['block']", f"left out: {', '.join(left_out)}")
    for item in egress.allow:
        if opened := _metadata_in(item):
            ports = ", ".join(item.ports) or "all ports"
            evidence = f"opens {', '.join(opened)} ({ports})"
            yield Seen(f"{SETTING}['allow'] {item.to}", evidence, waived=item.reason)


def _metadata_in(item: Allowed) -> list[str]:
    return [text for text in METADATA if overlap(network(item.to), network(text))]


def _stopped(host: Audited) -> Iterator[Seen]:
    """Of those that are gone there is one finding: anybody can forge any number of addresses."""
    everybody = stopped(host)
    for who in everybody:
        if who.is_running:
            yield Seen(who.name, listed((item.to for item in who.attempts), SHOWN), who.severity)
    gone = [who for who in everybody if not who.is_running]
    if gone:
        worst = max((who.severity for who in gone), key=lambda severity: severity.rank)
        texts = [
            f"{who.name} to {listed((item.to for item in who.attempts), SHOWN)}" for who in gone
        ]
        subject = gone[0].name if len(gone) == 1 else "several addresses"
        evidence = f"{listed(texts, SHOWN, '; ')} (of no container that runs)"
        yield Seen(subject, evidence, worst)
    if host.observed.part(Counted).is_full:
        what = f"more was tried than the {STOPPED_SIZE} attempts that are remembered"
        yield Seen(TABLE, what, Severity.LOW)


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "egress-not-declared",
        Severity.INFO,
        "containers reach whatever the node reaches: metadata services, private networks, the node",
        "set gvisor_egress = {} and see what a dry run says: docs/egress.md",
        _not_declared,
    ),
    Rule(
        "egress-not-in-force",
        Severity.CRITICAL,
        "the firewall that is declared is not in force, or would not be behind a reboot",
        "find out who changed it, and run deploys/gvisor.py",
        _not_in_force,
    ),
    Rule(
        "egress-not-as-declared",
        Severity.HIGH,
        "the firewall is not the one that is declared for this node as it is now",
        "run deploys/gvisor.py --dry --diff, then without",
        _not_as_declared,
    ),
    Rule(
        "egress-not-covered",
        Severity.HIGH,
        "what containers send by this network of Docker's does not pass the firewall",
        "run deploys/gvisor.py if it is a bridge; else have its containers in a network of the "
        "driver bridge",
        _not_covered,
    ),
    Rule(
        "egress-other-bridge",
        Severity.INFO,
        "this bridge is not one of the networks that the firewall is for",
        "see whether it should be so; gvisor_egress['exclude'] and ['interfaces'] say otherwise",
        _other_bridges,
    ),
    Rule(
        "egress-opened",
        Severity.LOW,
        "containers may reach what is stopped by default",
        "see whether it is still needed; in gvisor_egress a narrower allow may do",
        _opened,
    ),
    Rule(
        "egress-stopped",
        Severity.INFO,
        "within the last hour it tried to reach what is stopped",
        "see what it wanted there; what it needs belongs into allow of gvisor_egress, or into "
        "node_ports if it is the node itself",
        _stopped,
    ),
)


def report(host: Audited) -> EgressReport | None:
    """Return what a report says of the firewall; None where there is none."""
    found, declared = host.node.part(EgressState), _declared(host) is not None
    if not declared and not found.there:
        return None
    everybody = stopped(host)
    running = [who for who in everybody if who.is_running]
    others = [who for who in everybody if not who.is_running][:STOPPED_MANY]
    return EgressReport(
        declared=declared,
        in_force=not out_of_force(found),
        counters=host.observed.part(Counted).counters,
        stopped=tuple(map(_reported, (*running, *others))),
    )


def _reported(who: Stopped) -> StoppedReport:
    return StoppedReport(
        who=who.name,
        running=who.is_running,
        tried=tuple(item.to for item in who.attempts[:STOPPED_MANY]),
        more=len(who.attempts[STOPPED_MANY:]),
    )

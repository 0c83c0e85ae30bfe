"""Audit a node's firewall: is it declared, active and complete, and what did it block?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.judge.networks import PAST_BRIDGES
from pyinfra_gvisor.parts.egress.dockerd import NOT_TOLD_APART, dockerd_of, filters_docker
from pyinfra_gvisor.parts.egress.files import RULES as FILE
from pyinfra_gvisor.parts.egress.host_network import foreign, outside
from pyinfra_gvisor.parts.egress.network_rules import NETWORK_RULES
from pyinfra_gvisor.parts.egress.observed import Attempt, Counted, is_covered, listed
from pyinfra_gvisor.parts.egress.plan import differences, out_of_force, wanted_files
from pyinfra_gvisor.parts.egress.rules import STOPPED_SIZE, TABLE
from pyinfra_gvisor.parts.egress.settings import (
    Egress,
    EgressSettings,
    metadata_in,
)
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.report.document import EgressReport, StoppedReport

SETTING = "gvisor_egress"
DOCKER_ITSELF = "Docker itself"  # no container has a name with a blank
SHOWN = 5  # items of a list in a finding
STOPPED_MANY = 50  # destinations, and addresses of no running container, in a report
CLOCK_S = 2  # nft prints whole seconds, so an attempt may seem older than it is
# Docker's drivers whose packets pass a bridge that the rules filter, or that need no rules. An
# overlay reaches the outside by docker_gwbridge. https://docs.docker.com/engine/network/drivers/
BRIDGED = ("bridge", "overlay", "host", "null")


@dataclass(frozen=True)
class Stopped:
    """
    The blocked attempts of one source, the most severe first.

    ``name`` is a running container's, or an address that no running container has.
    """

    name: str
    is_running: bool
    attempts: tuple[Attempt, ...]

    @property
    def severity(self) -> Severity:
        """LOW if a metadata service was tried, which no app needs, else INFO."""
        return Severity.LOW if self.attempts[0].is_metadata else Severity.INFO


def stopped(host: Audited) -> list[Stopped]:
    """Return the blocked attempts by source, running containers first."""
    residents = _residents(host)
    found: dict[tuple[bool, str], list[Attempt]] = {}
    for attempt in host.observed.part(Counted).attempts:
        name, since_s = residents.get(attempt.source, ("", 0))
        is_gone = not name or attempt.at_s < since_s - CLOCK_S
        own = attempt if is_gone else attempt.without_others(since_s - CLOCK_S)
        found.setdefault((is_gone, attempt.source if is_gone else name), []).append(own)
    return [
        Stopped(name, not is_gone, tuple(sorted(attempts, key=lambda item: item.rank)))
        for (is_gone, name), attempts in sorted(found.items())
    ]


def _residents(host: Audited) -> dict[str, tuple[str, float]]:
    """
    Return by address the container that has it, and since when, in seconds since 1970.

    Docker gives the address of a removed container to the next one at once. The time keeps
    attempts of the earlier container apart.
    """
    given = {item.name: host.observed.given_to(item) for item in host.node.containers}
    return {
        **dict.fromkeys(host.observed.part(Counted).own, (DOCKER_ITSELF, 0.0)),
        **{
            address: (name, item.started_s)
            for name, item in given.items()
            for address in item.addresses
        },
    }


def _declared(host: Audited) -> Egress | None:
    return host.settings.part(EgressSettings).egress


def _not_declared(host: Audited) -> Iterator[Observation]:
    open_ = [name for name, item in host.settings.runtimes.items() if item.network == "host"]
    if _declared(host) is None and open_:
        names = ", ".join(sorted(open_))
        yield Observation(SETTING, f"not set; runtime {names} uses the node's network")


def _not_as_declared(host: Audited) -> Iterator[Observation]:
    egress, found = _declared(host), host.node.part(EgressState)
    if egress is None:
        if found.there:
            what = "the firewall is on the node, but not declared"
            yield Observation(TABLE, what, Severity.MEDIUM)
    elif found.files:  # Without files the firewall is not active: a finding of another rule.
        wanted = wanted_files(found, egress, dockerd_of(host.node))
        other = [text for text in differences(found, wanted) if text not in out_of_force(found)]
        if other:
            yield Observation(TABLE, "; ".join([*other, *_lines(found.rules, wanted[0].text)]))


def _lines(found: str | None, wanted: str) -> Iterator[str]:
    """Yield how the rules on the node differ from the declared ones."""
    there, declared = (text.splitlines() for text in (found or "", wanted))
    for what, lines in (
        ("missing", [line for line in declared if line not in there]),
        ("not declared", [line for line in there if line not in declared]),
    ):
        if lines:
            yield f"{what} in {FILE}: {listed((cut(line.strip()) for line in lines), 2)}"


def _not_in_force(host: Audited) -> Iterator[Observation]:
    if _declared(host) is not None and (why := out_of_force(host.node.part(EgressState))):
        yield Observation(TABLE, "; ".join(why))


def _not_covered(host: Audited) -> Iterator[Observation]:
    egress, found = _declared(host), host.node.part(EgressState)
    if egress is None:
        return
    left_alone = outside(found, egress)
    for item in found.networks:
        rules = found.rules
        if item.driver not in (*BRIDGED, *PAST_BRIDGES):  # those have a rule of their own
            yield Observation(f"network {item.name}", f"its driver is {item.driver}")
        elif item.bridge and rules is not None and not is_covered(rules, item.bridge):
            why = left_alone.get(item.bridge, f"is not filtered by {FILE}")
            yield Observation(f"network {item.name}", f"its bridge {item.bridge} {why}")
    if on_host := sorted(
        item.name
        for item in host.node.containers
        if host.observed.given_to(item).network_mode == "host"
    ):  # Rule container-host-network reports each of them with its severity.
        yield Observation("network host", f"used by {listed(on_host, SHOWN)}", Severity.INFO)


def _other_bridges(host: Audited) -> Iterator[Observation]:
    egress, found = _declared(host), host.node.part(EgressState)
    if egress is None:
        return
    for name, why in outside(found, egress).items():
        yield Observation(f"bridge {name}", f"not filtered: it {why}")
    for name in foreign(found, egress):
        yield Observation(f"bridge {name}", "not created by Docker, but filtered like its bridges")


def _opened(host: Audited) -> Iterator[Observation]:
    egress = _declared(host)
    if egress is None:
        return
    every = Egress().block
    if left_out := [block for block in every if block not in egress.block]:
        yield Observation(f"{SETTING}['block']", f"does not block {', '.join(left_out)}")
    for item in egress.exceptions:
        if opened := metadata_in(item):
            ports = ", ".join(item.ports) or "all ports"
            evidence = f"allows {', '.join(opened)} ({ports})"
            yield Observation(f"{SETTING}['allow'] {item.to}", evidence, waived=item.reason)


def _docker_not_covered(host: Audited) -> Iterator[Observation]:
    egress = _declared(host)
    if egress is None or filters_docker(egress, dockerd_of(host.node)):
        return
    if egress.docker:
        yield Observation(TABLE, NOT_TOLD_APART)
    else:
        yield Observation(f"{SETTING}['docker']", "False", Severity.LOW)


def _only_reports(host: Audited) -> Iterator[Observation]:
    egress = _declared(host)
    if egress is not None and egress.only_reports:
        yield Observation(f"{SETTING}['mode']", "report")


def _stopped(host: Audited) -> Iterator[Observation]:
    if not host.observed.part(Counted).only_reports:
        yield from _attempts(host)


def _would_stop(host: Audited) -> Iterator[Observation]:
    if host.observed.part(Counted).only_reports:
        yield from _attempts(host)


def _attempts(host: Audited) -> Iterator[Observation]:
    """
    Yield one finding per running container, and one for all other addresses.

    Source addresses can be forged, so the latter could be any number.
    """
    everybody = stopped(host)
    for who in everybody:
        if who.is_running:
            yield Observation(
                who.name, listed((item.to for item in who.attempts), SHOWN), who.severity
            )
    gone = [who for who in everybody if not who.is_running]
    if gone:
        worst = max((who.severity for who in gone), key=lambda severity: severity.rank)
        texts = [
            f"{who.name} to {listed((item.to for item in who.attempts), SHOWN)}" for who in gone
        ]
        subject = gone[0].name if len(gone) == 1 else "several addresses"
        evidence = f"{listed(texts, SHOWN, '; ')} (from no running container)"
        yield Observation(subject, evidence, worst)
    if host.observed.part(Counted).is_full:
        what = f"more than {STOPPED_SIZE} different attempts; further ones were not recorded"
        yield Observation(TABLE, what, Severity.LOW)


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "egress-not-declared",
        Severity.INFO,
        "Containers can reach everything that the node can: metadata services, private networks, "
        "services of the node",
        "Set gvisor_egress = {} and run pyinfra-gvisor plan: docs/egress.md",
        _not_declared,
    ),
    Rule(
        "egress-not-in-force",
        Severity.CRITICAL,
        "The declared firewall is not active, or will not be after a reboot",
        "Find out who changed it, then run pyinfra-gvisor apply",
        _not_in_force,
    ),
    Rule(
        "egress-not-as-declared",
        Severity.HIGH,
        "The firewall differs from the declared one",
        "Run pyinfra-gvisor plan to see how, then pyinfra-gvisor apply",
        _not_as_declared,
    ),
    Rule(
        "egress-not-covered",
        Severity.HIGH,
        "The firewall does not filter traffic of containers on this Docker network",
        "If its driver is bridge, run pyinfra-gvisor apply. Otherwise move its containers to a "
        "network with driver bridge",
        _not_covered,
    ),
    Rule(
        "egress-docker-not-covered",
        Severity.MEDIUM,
        "The firewall does not filter what Docker itself sends: ADD in a build, or a log driver, "
        "reaches everything that the node can",
        "Have the node run Linux 5.13 or later with cgroup v2, as Debian 12 and Ubuntu 22.04 do",
        _docker_not_covered,
    ),
    Rule(
        "egress-other-bridge",
        Severity.INFO,
        "This bridge is excluded from the firewall, or is filtered although Docker did not create "
        "it",
        "If that is wrong, change gvisor_egress['exclude'] or gvisor_egress['interfaces']",
        _other_bridges,
    ),
    Rule(
        "egress-opened",
        Severity.LOW,
        "Containers may reach destinations that are blocked by default",
        "Remove the exception if it is no longer needed, or allow less in gvisor_egress",
        _opened,
    ),
    Rule(
        "egress-stopped",
        Severity.INFO,
        "The firewall blocked attempts of this container or address within the last hour",
        "Find out why it tried. If it needs the destination, add it to `allow` of gvisor_egress. "
        "If the destination is the node itself, add the port to `node_ports`",
        _stopped,
    ),
    Rule(
        "egress-only-reports",
        Severity.LOW,
        "The firewall blocks nothing: it only reports what it would block",
        "Allow what the apps need, which pyinfra-gvisor egress lists. Then remove `mode` from "
        "gvisor_egress",
        _only_reports,
    ),
    Rule(
        "egress-would-stop",
        Severity.INFO,
        "The firewall would block attempts of this container or address",
        "Before you remove `mode` from gvisor_egress: if it needs the destination, add it to "
        "`allow`. If the destination is the node itself, add the port to `node_ports`",
        _would_stop,
    ),
    *NETWORK_RULES,
)


def report(host: Audited) -> EgressReport | None:
    """Return the report's section about the firewall; None if there is no firewall."""
    found, egress = host.node.part(EgressState), _declared(host)
    counted, declared = host.observed.part(Counted), egress is not None
    if not declared and not found.there:
        return None
    everybody = stopped(host)
    running = [who for who in everybody if who.is_running]
    others = [who for who in everybody if not who.is_running][:STOPPED_MANY]
    return EgressReport(
        declared=declared,
        only_reports=counted.only_reports
        or (not counted.counters and egress is not None and egress.only_reports),
        in_force=not out_of_force(found),
        counters=counted.counters,
        stopped=tuple(map(_reported, (*running, *others))),
    )


def _reported(who: Stopped) -> StoppedReport:
    return StoppedReport(
        who=who.name,
        running=who.is_running,
        tried=tuple(item.to for item in who.attempts[:STOPPED_MANY]),
        more=len(who.attempts[STOPPED_MANY:]),
    )

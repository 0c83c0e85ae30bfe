"""Apply every rule to a node, and make the node's report."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Literal

from pyinfra_gvisor.apps.outlook import outlooks
from pyinfra_gvisor.audit.age_rules import AGE_RULES, PACKAGE_RULES
from pyinfra_gvisor.audit.annotation_rules import ANNOTATION_RULES
from pyinfra_gvisor.audit.app_rules import APP_RULES, COOLIFY_RULES
from pyinfra_gvisor.audit.build_rules import BUILD_RULES
from pyinfra_gvisor.audit.capability_rules import CAPABILITY_RULES
from pyinfra_gvisor.audit.container_rules import CONTAINER_RULES
from pyinfra_gvisor.audit.daemon_rules import DAEMON_RULES
from pyinfra_gvisor.audit.default_rules import DEFAULT_RULES, INFRASTRUCTURE_RULES
from pyinfra_gvisor.audit.device_rules import DEVICE_RULES
from pyinfra_gvisor.audit.foreign_rules import FOREIGN_RULES
from pyinfra_gvisor.audit.hardening import HARDENING
from pyinfra_gvisor.audit.mount_rules import MOUNT_RULES
from pyinfra_gvisor.audit.node_rules import ENGINE_RULES, GVISOR_RULES
from pyinfra_gvisor.audit.rules import Audited, Rule, Running, look
from pyinfra_gvisor.audit.runtime_rules import RUNTIME_RULES
from pyinfra_gvisor.audit.security_rules import SECURITY_RULES
from pyinfra_gvisor.audit.volume_rules import VOLUME_RULES
from pyinfra_gvisor.base.errors import capitalized
from pyinfra_gvisor.base.spelling import did_you_mean, near
from pyinfra_gvisor.parts_common.members import members
from pyinfra_gvisor.planning.preflight import accepted_risks
from pyinfra_gvisor.policy.findings import Finding, Severity, worst_first
from pyinfra_gvisor.proof.proof_errors import tried_since
from pyinfra_gvisor.proof.verdict import last_held
from pyinfra_gvisor.report.document import (
    ContainerReport,
    HostReport,
    NodeReport,
    ProofReport,
    RuntimeReport,
)
from pyinfra_gvisor.report.outlooks import AppOutlooks
from pyinfra_gvisor.sandbox.verdict import release_of

# Rules that need an answer of dockerd.
ANSWERED_RULES: tuple[Rule[Audited], ...] = (
    *DAEMON_RULES,
    *DEFAULT_RULES,
    *RUNTIME_RULES,
    *HARDENING,
    *(rule for rules in members("audit", "RULES").values() for rule in rules),
    *BUILD_RULES,
    *FOREIGN_RULES,
    *VOLUME_RULES,
    *AGE_RULES,
    *COOLIFY_RULES,
)
NODE_RULES: tuple[Rule[Audited], ...] = (*ENGINE_RULES, *GVISOR_RULES, *ANSWERED_RULES)
RUNNING_RULES: tuple[Rule[Running], ...] = (
    *CONTAINER_RULES,
    *INFRASTRUCTURE_RULES,
    *MOUNT_RULES,
    *DEVICE_RULES,
    *SECURITY_RULES,
    *ANNOTATION_RULES,
    *CAPABILITY_RULES,
    *APP_RULES,
)


def judge(name: str, host: Audited, *, at: str, by: Literal["audit", "deploy"]) -> HostReport:
    """
    Return the report on a host.

    + name: the host's name in the inventory
    + at: time of the audit, ISO 8601 with UTC offset
    + by: the kind of run that asks
    """
    settings = host.settings
    running = [
        Running(host, container, host.observed.given_to(container))
        for container in host.node.containers
    ]
    return HostReport(
        host=name,
        at=at,
        by=by,
        fail_on=settings.audit_fail_on,
        node=_node(host),
        **{name: report(host) for name, report in members("audit", "report").items()},
        containers=tuple(_container(item) for item in running),
        apps=_apps(name, host),
        apps_error=host.observed.apps_error,
        findings=tuple(worst_first(_findings(host, running))),
        risks=accepted_risks(settings),
    )


def judge_package(on: date, waivers: dict[str, str]) -> list[Finding]:
    """
    Return the findings about pyinfra-gvisor itself, which are the same for all hosts of a run.

    + on: the day of the run, in UTC
    + waivers: reasons by the id of a rule
    """
    return look(PACKAGE_RULES, on, waivers)


def _findings(host: Audited, running: list[Running]) -> list[Finding]:
    waivers = host.settings.waivers
    rules: tuple[Rule[Audited], ...] = ENGINE_RULES
    if host.node.info is not None:
        gvisor = GVISOR_RULES if host.settings.runtimes else ()
        rules = (*ENGINE_RULES, *gvisor, *ANSWERED_RULES)
    found = look(rules, host, waivers)
    for item in running:
        found += look(RUNNING_RULES, item, waivers)
    return [*found, *_idle_waivers(waivers)]


def unknown_waivers(waivers: Iterable[str]) -> dict[str, str]:
    """Return what to do about each waiver that names no rule, by its key."""
    every: tuple[Rule[Any], ...] = (*NODE_RULES, *RUNNING_RULES, *PACKAGE_RULES)
    ids = {rule.id for rule in every} | {rule.cis for rule in every if rule.cis}
    choose = "choose an id from docs/reference/audit-rules.md"
    return {
        key: did_you_mean(near(key, ids, cutoff=0.6)) or choose for key in waivers if key not in ids
    }


def _idle_waivers(waivers: Iterable[str]) -> list[Finding]:
    """Report waivers that name no rule: the finding that was meant may still fail the host."""
    return [
        Finding(
            id="waiver-unknown",
            severity=Severity.LOW,
            subject=f"gvisor_waivers[{key!r}]",
            what="No rule has this id",
            remedy=capitalized(todo),
        )
        for key, todo in unknown_waivers(waivers).items()
    ]


def _apps(name: str, host: Audited) -> AppOutlooks | None:
    """Return what is known of the apps in gVisor; None if nobody looked, or nothing would move."""
    found = host.observed.apps
    if found is None or not host.settings.runtimes:
        return None
    return outlooks(name, host.node, host.settings, found)


def _container(running: Running) -> ContainerReport:
    container = running.container
    return ContainerReport(
        name=container.name,
        id=container.id,
        image=running.given.image,
        asked=container.runtime,
        sandboxed=running.sandboxed,
        verdict=container.verdict.state,
        why=container.verdict.why,
        release=container.release if running.sandboxed else None,
        must=running.must,
        exempt=running.exempt,
    )


def _node(host: Audited) -> NodeReport:
    node, settings = host.node, host.settings
    entries = node.info.runtimes.items() if node.info else ()
    return NodeReport(
        distribution=f"{node.distribution} {node.distribution_version}",
        kernel=node.kernel,
        arch=node.arch,
        docker=node.info.server_version if node.info else None,
        release=settings.release if settings.runtimes else "",
        in_use=host.upgrading_from,
        releases=node.releases,
        runtimes=tuple(
            RuntimeReport(name=name, path=entry.path or "", release=release_of(entry.path or ""))
            for name, entry in entries
            if not name.startswith("io.containerd.")
        ),
        default_runtime=node.info.default_runtime if node.info else None,
        changed=node.changed.line if node.changed else None,
        proof=_proof(host),
    )


def _proof(host: Audited) -> ProofReport:
    record, not_made = host.node.state.get("proof"), tried_since(host.node.state)
    if record is None:
        return ProofReport(
            release=None, at=None, checks=0, failed=(), holds=False, not_made=not_made
        )
    failed = tuple(map(str, record.get("failed") or ()))
    release, checks = record.get("release"), record.get("checks")
    return ProofReport(
        release=release if isinstance(release, str) else None,
        at=_moment(record.get("at")),
        held_at=_moment(last_held(record)),
        checks=checks if isinstance(checks, int) else 0,
        failed=failed,
        holds=not failed and record.get("fingerprint") == host.fingerprint is not None,
        not_made=not_made,
    )


def _moment(value: object) -> str | None:
    """Return ``value`` if it is a time with a UTC offset, else None: records may be damaged."""
    try:
        return str(value) if datetime.fromisoformat(str(value)).tzinfo else None
    except ValueError:
        return None

"""Rules about daemon.json: whether it is as declared, and whether dockerd runs with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import Problem, capitalized
from pyinfra_gvisor.base.json_text import Json, JsonText
from pyinfra_gvisor.daemon_json.effective import known, read_keys
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import same
from pyinfra_gvisor.daemon_json.plan import Plan, current_text
from pyinfra_gvisor.daemon_json.records import UnusableRecord, harmless_faults
from pyinfra_gvisor.daemon_json.reload import NO_PATH_REMEDY, unloadable
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR
from pyinfra_gvisor.policy.findings import Severity


def _interrupted(host: Audited) -> Iterator[Observation]:
    if host.node.pending:
        yield Observation(DAEMON_JSON, "a change was started and is not finished")


def _refused(host: Audited) -> Iterator[Observation]:
    plan = host.plan
    if isinstance(plan, Problem) and not isinstance(plan, UnusableRecord):
        yield Observation(DAEMON_JSON, str(plan))


def _records(host: Audited) -> Iterator[Observation]:
    if isinstance(host.plan, UnusableRecord):
        yield Observation(STATE_DIR, str(host.plan))
    for file, what in harmless_faults(host.node):
        yield Observation(file, what, Severity.MEDIUM)


def _not_declared(host: Audited) -> Iterator[Observation]:
    plan = host.plan
    if not isinstance(plan, Plan) or (plan.before == plan.after and not plan.drifted):
        return
    changed = f"changed by somebody else: {', '.join(plan.drifted)}" if plan.drifted else ""
    yield Observation(DAEMON_JSON, "; ".join(filter(None, (changed, *plan.reasons))))


def _not_in_force(host: Audited) -> Iterator[Observation]:
    plan = host.plan
    if isinstance(plan, Plan) and plan.before == plan.after and plan.action > Force.NOTHING:
        yield Observation(DAEMON_JSON, "; ".join(plan.reasons))


def _owed(host: Audited) -> Iterator[Observation]:
    plan = host.plan
    if isinstance(plan, Plan) and plan.unapplied:
        yield Observation(
            DAEMON_JSON, f"changed since dockerd started: {', '.join(plan.unapplied)}"
        )


def _unread(host: Audited) -> Iterator[Observation]:
    """Compare all keys, also those of others: if dockerd refuses a reload, none takes effect."""
    node, file = host.node, host.node.daemon_json
    if node.dockerd is None or node.info is None or file.changed_s < node.dockerd.started_s:
        return
    if (host.observed.reloaded_s or 0) >= file.changed_s:
        return
    try:
        text = current_text(node)
        value = {} if text is None else JsonText(text).value
    except Problem:
        return  # reported by another rule
    loaded = known(node, Force.RELOAD)
    if loaded is None:
        yield Observation(DAEMON_JSON, "changed after dockerd last read the file", Severity.MEDIUM)
    elif differ := _differing(loaded, read_keys(value, Force.RELOAD)):
        yield Observation(DAEMON_JSON, f"not loaded by dockerd: {', '.join(differ)}")


def _unloadable(host: Audited) -> Iterator[Observation]:
    if refused := unloadable(host.node):
        yield Observation(DAEMON_JSON, refused)


def _differing(one: Mapping[str, Json], other: Mapping[str, Json]) -> list[str]:
    return sorted(key for key in {*one, *other} if not same(one.get(key), other.get(key)))


DAEMON_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "daemon-json-interrupted",
        Severity.HIGH,
        "A change of daemon.json was interrupted",
        "Run pyinfra-gvisor apply: it first finishes or undoes this change",
        _interrupted,
    ),
    Rule(
        "daemon-json-unusable",
        Severity.HIGH,
        "daemon.json cannot be read, or cannot be changed to what is declared",
        "Fix what is named, then run pyinfra-gvisor apply",
        _refused,
    ),
    Rule(
        "record-unusable",
        Severity.HIGH,
        "A record of pyinfra-gvisor is lost, damaged or from a newer version",
        "Find out who changed the record. Then do what is named, or run pyinfra-gvisor apply",
        _records,
    ),
    Rule(
        "daemon-json-not-declared",
        Severity.HIGH,
        "daemon.json is not as declared",
        "Run pyinfra-gvisor plan to see the changes, then pyinfra-gvisor apply. Or declare the "
        "actual values",
        _not_declared,
    ),
    Rule(
        "daemon-json-not-in-force",
        Severity.HIGH,
        "The running dockerd uses other values than daemon.json has",
        "Run pyinfra-gvisor apply",
        _not_in_force,
    ),
    Rule(
        "daemon-json-unread",
        Severity.HIGH,
        "dockerd has not loaded daemon.json since the file changed, or has refused to",
        "Run systemctl reload docker. Then check that journalctl -u docker says Reloaded "
        "configuration",
        _unread,
    ),
    Rule(
        "daemon-json-not-reloadable",
        Severity.MEDIUM,
        "dockerd refuses every reload of daemon.json. A run of this package works around that",
        capitalized(NO_PATH_REMEDY),
        _unloadable,
    ),
    Rule(
        "restart-owed",
        Severity.MEDIUM,
        "Keys of daemon.json changed since dockerd started: restart dockerd to apply them",
        'Set gvisor_restart = "auto" and run pyinfra-gvisor apply: containers keep running',
        _owed,
    ),
)

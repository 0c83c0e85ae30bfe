"""The proof as pyinfra runs it: probe on the node, judge here, say and write down the outcome."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.output import format_text

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.facts.deadline import given_up
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.node import STATE_DIR, Node
from pyinfra_gvisor.node.records import VERSIONS
from pyinfra_gvisor.proof.part import NOT_WHILE_TRIED, Declared
from pyinfra_gvisor.proof.proof_errors import record_of_try, start_failures, why_unmade
from pyinfra_gvisor.proof.script import probe_script, within_script
from pyinfra_gvisor.proof.skipped_checks import skipped_checks, why_not_reload
from pyinfra_gvisor.proof.table import counts, failed_rows, remedies, table
from pyinfra_gvisor.proof.verdict import (
    Verdict,
    fingerprint,
    judge,
    last_held,
    outcomes,
    unproven,
)
from pyinfra_gvisor.run_support.connector_arguments import connector_arguments
from pyinfra_gvisor.run_support.ending import because, is_proven
from pyinfra_gvisor.run_support.terminal import coloured, outcome_coloured, room
from pyinfra_gvisor.runtimes.profiles import Runtime


@dataclass(frozen=True)
class Claim:
    """
    What is to be proven: these runtimes, on this release, with these risks accepted.

    ``image`` is the image of the probes; None for the node's own programs. ``no_new_privileges``
    says whether it must be on; None asks dockerd. ``declared`` are the settings whose parts the
    proof must see working. ``rows`` shows each check; else only counts, and checks that failed.
    """

    release: str
    runtimes: Mapping[str, Runtime]
    risks: tuple[str, ...] = ()
    image: str | None = None
    no_new_privileges: bool | None = None
    declared: Declared = None
    rows: bool = False

    def fingerprint(self, node: Node) -> str | None:
        """Return the fingerprint of everything that a proof of this claim depends on."""
        return fingerprint(
            node, self.release, self.runtimes, image=self.image, declared=self.declared
        )


@dataclass
class Trial:
    """A proof under temporary runtime names. ``failed``: why it proves nothing; None if it does."""

    node: Node
    claim: Claim
    failed: Problem | None = None


def prove(claim: Claim) -> FunctionCommand:
    """Return the command that proves ``claim`` on the current host, and fails the host if not."""
    return FunctionCommand(_prove, (claim, connector_arguments()), {})


def try_out(trial: Trial) -> FunctionCommand:
    """Return the command that probes like ``prove``, but does not fail: the caller cleans up."""
    return FunctionCommand(_try_out, (trial, connector_arguments()), {})


def _try_out(state: State, host: Host, trial: Trial, arguments: dict[str, Any]) -> bool:
    shown = _probe(host, trial.node, trial.claim, NOT_WHILE_TRIED, arguments)
    trial.failed = shown.problem
    return True


def _prove(state: State, host: Host, claim: Claim, arguments: dict[str, Any]) -> bool:
    node = read_node(host)
    if node is None:
        return False
    began_s = time.monotonic()
    shown = _probe(host, node, claim, why_not_reload(node), arguments)
    if shown.unmade:
        return _leave_proof(host, node, claim, shown.unmade, arguments)
    record = _record(claim, shown.verdicts, shown.failed, time.monotonic() - began_s)
    if not shown.problem:
        is_proven(host, rows_hidden=not claim.rows)
        proven = {
            "fingerprint": claim.fingerprint(node),
            "kernel": node.kernel,
            "docker": node.info.server_version if node.info else "",
            "daemon_json": node.daemon_json.sha256,
            "sbom": node.sbom(claim.release),
            "risks": claim.risks,
        }
        return _write_down(host, "proof", {**record, **proven}, arguments)
    _tell_problem(host, shown.problem)
    held_at = last_held(node.state.get("proof"))
    _write_down(host, "proof", {**record, "held_at": held_at}, arguments)
    return False


def _leave_proof(
    host: Host, node: Node, claim: Claim, why: Problem, arguments: dict[str, Any]
) -> bool:
    """Say why no proof could be made, and leave the record of an earlier one as it is."""
    _tell_problem(host, why)
    if at := node.state.get("proof", {}).get("at"):
        host.log(f"the record of the proof at {cut(at)} is left as it is")
    record = record_of_try(why, at=_now(), release=claim.release)
    _write_down(host, "proof-try", record, arguments)
    return False


def _tell_problem(host: Host, problem: Problem) -> None:
    host.log(format_text(problem.at("gvisor.proof", "probe", host.name), "red"), logger.error)
    because(host, str(problem))


@dataclass(frozen=True)
class Shown:
    """
    What a probe showed: every verdict, and the ids of the checks that failed.

    ``unmade``: why no proof could be made; None if it was made. ``lame``: the runtimes under which
    no container started, with Docker's reason.
    """

    verdicts: list[Verdict]
    failed: list[str]
    unmade: Problem | None
    lame: dict[str, str]

    @property
    def problem(self) -> Problem | None:
        """Return why isolation is not proven; None if it is."""
        if self.unmade or not self.failed:
            return self.unmade
        others = unproven(item for item in self.verdicts if item.runtime not in self.lame)
        what = [*(f"{name} does not start" for name in self.lame), *others]
        return Problem(f"not proven: {', '.join(what)}", todo="do not run untrusted code here")


def _probe(
    host: Host, node: Node, claim: Claim, no_reload: str | None, arguments: dict[str, Any]
) -> Shown:
    """Run the probe on the node, say what it showed, and return that."""
    text = probe_script(
        node, claim.runtimes, image=claim.image, no_reload=no_reload, declared=claim.declared
    )
    within = QuoteString(within_script())
    command = StringCommand("sh", "-c", within, "sh", QuoteString(text))
    ok, output = host.run_shell_command(command, **arguments)
    if why := given_up(host):
        return Shown([], [], why, {})
    reasons = skipped_checks(
        node, wanted=claim.no_new_privileges, no_reload=no_reload, declared=claim.declared
    )
    verdicts = judge(output.stdout_lines, claim.release, claim.runtimes, skipped=reasons)
    shown = Shown(
        verdicts,
        unproven(verdicts),
        why_unmade(output.stdout_lines, output.stderr_lines, verdicts, ok=ok),
        start_failures(output.stdout_lines),
    )
    _tell(host, claim, shown, output.stderr_lines[-5:])
    return shown


def _tell(host: Host, claim: Claim, shown: Shown, said: Sequence[str]) -> None:
    """Say the counts of each runtime, the rows that are to be seen, and what to do."""
    if shown.unmade:
        return
    started = [item for item in shown.verdicts if item.runtime not in shown.lame]
    for name in claim.runtimes:
        _tell_runtime(host, claim, name, [item for item in started if item.runtime == name])
    for line in claim.risks:
        host.log(format_text(line, "yellow"))
    if not shown.failed:
        return
    lame = [f"{name} did not start: {why}" for name, why in shown.lame.items()]
    for line in (*lame, *said, *remedies(started)):
        host.log(line, logger.error)


def _tell_runtime(host: Host, claim: Claim, runtime: str, verdicts: Sequence[Verdict]) -> None:
    if not verdicts:
        return
    failed = unproven(verdicts)
    proven = coloured("not proven", "NOT PROVEN") if failed else coloured("proven", "ok")
    counted = ", ".join(coloured(text, outcome) for text, outcome in counts(verdicts))
    host.log(f"{proven} runsc {claim.release} as {runtime}: {counted}")
    rows = verdicts if claim.rows else failed_rows(verdicts) if failed else []
    for line in table(rows, room(host)) if rows else ():
        host.log(outcome_coloured(line))


def _record(
    claim: Claim, verdicts: list[Verdict], failed: list[str], took_s: float
) -> dict[str, Any]:
    """Return what is written down of every proof that was made, whatever it showed."""
    made = [verdict for verdict in verdicts if not verdict.not_applicable]
    return {
        "version": VERSIONS["proof"],
        "failed": failed,
        "at": _now(),
        "release": claim.release,
        "runtimes": list(claim.runtimes),
        "checks": len(made),
        "outcomes": outcomes(verdicts),
        "took_s": round(took_s, 1),
        "image": claim.image,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write_down(host: Host, name: str, record: dict[str, Any], arguments: dict[str, Any]) -> bool:
    content = encoded(json.dumps(record) + "\n")
    file = f"{name}.json"
    text = script("base/write_record", state_dir=STATE_DIR, record=file, content_b64=content)
    ok, output = host.run_shell_command(StringCommand("sh", "-c", QuoteString(text)), **arguments)
    forget_node(host)
    for line in () if ok else output.stderr_lines[-3:]:
        host.log(f"gvisor.proof: {STATE_DIR}/{file} on {host.name}: {line}", logger.error)
    return bool(ok)

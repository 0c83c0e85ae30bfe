"""The proof as pyinfra runs it: probe on the node, judge here, show, write down what was proven."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand

from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.node import STATE_DIR, Node
from pyinfra_gvisor.operations.by_hand import connector_arguments
from pyinfra_gvisor.proof.conditions import spared, why_not_reload
from pyinfra_gvisor.proof.part import NOT_WHILE_TRIED, Declared
from pyinfra_gvisor.proof.script import PROBE_TIMEOUT_S, probe_script
from pyinfra_gvisor.proof.verdict import (
    Verdict,
    failures_cut_short,
    fingerprint,
    judge,
    outcomes,
    remedies,
    start_failures,
    table,
    unproven,
)
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.scripts import encoded, script


@dataclass(frozen=True)
class Claim:
    """
    What is to be proven: these runtimes, on this release, with these risks accepted.

    ``image`` is what to prove it with, None for the node's own programs. ``no_new_privileges`` is
    whether that has to be in force, None if the daemon is to say so. ``declared`` are the
    settings whose parts are to be seen at work.
    """

    release: str
    runtimes: Mapping[str, Runtime]
    risks: tuple[str, ...] = ()
    image: str | None = None
    no_new_privileges: bool | None = None
    declared: Declared = None

    def fingerprint(self, node: Node) -> str | None:
        """What a proof of this on the node as it is would be known by."""
        return fingerprint(
            node, self.release, self.runtimes, image=self.image, declared=self.declared
        )


@dataclass
class Trial:
    """What a try showed; ``failed`` is what was not proven, None until it was made."""

    node: Node
    claim: Claim
    failed: list[str] | None = None


def prove(claim: Claim) -> FunctionCommand:
    """The command that proves ``claim`` on the host of the current operation, or fails the host."""
    return FunctionCommand(_prove, (claim, connector_arguments()), {})


def try_out(trial: Trial) -> FunctionCommand:
    """The command that probes like ``prove`` and fails nothing: the caller tidies up first."""
    return FunctionCommand(_try_out, (trial, connector_arguments()), {})


def _try_out(state: State, host: Host, trial: Trial, arguments: dict[str, Any]) -> bool:
    trial.failed, _ = _probe(host, trial.node, trial.claim, NOT_WHILE_TRIED, arguments)
    return True


def _prove(state: State, host: Host, claim: Claim, arguments: dict[str, Any]) -> bool:
    node = read_node(host)
    if node is None:
        return False
    began_s = time.monotonic()
    failed, verdicts = _probe(host, node, claim, why_not_reload(node), arguments)
    record = _record(claim, verdicts, failed, time.monotonic() - began_s)
    if not failed:
        proven = {
            "fingerprint": claim.fingerprint(node),
            "sbom": node.sbom(claim.release),
            "risks": claim.risks,
        }
        return _write_down(host, {**record, **proven}, arguments)
    todo = "do not run strangers' code here"
    host.log(
        f"gvisor.proof: probe on {host.name}: not proven: {', '.join(failed)}; {todo}", logger.error
    )
    _write_down(host, record, arguments)
    return False


def _probe(
    host: Host, node: Node, claim: Claim, no_reload: str | None, arguments: dict[str, Any]
) -> tuple[list[str], list[Verdict]]:
    """The checks that proved nothing, all shown with the reason, and every verdict."""
    text = probe_script(
        node, claim.runtimes, image=claim.image, no_reload=no_reload, declared=claim.declared
    )
    command = StringCommand("timeout", "-k", "10", PROBE_TIMEOUT_S, "sh", "-c", QuoteString(text))
    ok, output = host.run_shell_command(command, **arguments)
    reasons = spared(
        node, wanted=claim.no_new_privileges, no_reload=no_reload, declared=claim.declared
    )
    verdicts = judge(output.stdout_lines, claim.release, claim.runtimes, spared=reasons)
    for line in (*table(verdicts), *claim.risks):
        host.log(line)
    failed = unproven(verdicts)
    if ok and verdicts and not failed:
        return [], verdicts
    todo = remedies(verdicts) if ok else ()  # what broke off says itself what to do
    why = (*start_failures(output.stdout_lines), *failures_cut_short(verdicts))
    for line in (*why, *output.stderr_lines[-5:], *todo):
        host.log(line, logger.error)
    return failed or ["the probe failed"], verdicts


def _record(
    claim: Claim, verdicts: list[Verdict], failed: list[str], took_s: float
) -> dict[str, Any]:
    """What is known of every proof, made or failed."""
    made = [verdict for verdict in verdicts if not verdict.not_applicable]
    return {
        "failed": failed,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": claim.release,
        "runtimes": list(claim.runtimes),
        "checks": len(made),
        "outcomes": outcomes(verdicts),
        "took_s": round(took_s, 1),
        "image": claim.image,
    }


def _write_down(host: Host, record: dict[str, Any], arguments: dict[str, Any]) -> bool:
    content = encoded(json.dumps(record) + "\n")
    text = script("write_record", state_dir=STATE_DIR, record="proof.json", content_b64=content)
    ok, output = host.run_shell_command(StringCommand("sh", "-c", QuoteString(text)), **arguments)
    forget_node(host)
    for line in () if ok else output.stderr_lines[-3:]:
        host.log(f"gvisor.proof: {STATE_DIR}/proof.json on {host.name}: {line}", logger.error)
    return bool(ok)

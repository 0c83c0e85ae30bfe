"""The proof as pyinfra runs it: probe on the node, judge here, show, write down what was proven."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand

from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.node import STATE_DIR, Node
from pyinfra_gvisor.operations.by_hand import connector_arguments
from pyinfra_gvisor.profiles import Runtime
from pyinfra_gvisor.proof import CONTROL, Verdict, fingerprint, judge, start_failures, table
from pyinfra_gvisor.scripts import encoded, script

PROBE_TIMEOUT_S = 120


@dataclass(frozen=True)
class Claim:
    """What is to be proven: these runtimes, on this release, with these risks accepted."""

    release: str
    runtimes: Mapping[str, Runtime]
    risks: tuple[str, ...] = ()


@dataclass
class Trial:
    """What a try showed; ``failed`` is what was not proven, None until it was made."""

    claim: Claim
    failed: list[str] | None = None


def prove(claim: Claim) -> FunctionCommand:
    """The command that proves ``claim`` on the host of the current operation, or fails the host."""
    return FunctionCommand(_prove, (claim, connector_arguments()), {})


def try_out(trial: Trial) -> FunctionCommand:
    """The command that probes like ``prove`` and fails nothing: the caller tidies up first."""
    return FunctionCommand(_try_out, (trial, connector_arguments()), {})


def _try_out(state: State, host: Host, trial: Trial, arguments: dict[str, Any]) -> bool:
    trial.failed, _ = _probe(host, trial.claim, arguments)
    return True


def _prove(state: State, host: Host, claim: Claim, arguments: dict[str, Any]) -> bool:
    node = read_node(host)
    if node is None:
        return False
    failed, verdicts = _probe(host, claim, arguments)
    if not failed:
        return _write_down(host, _record(node, claim, verdicts), arguments)
    todo = "do not run strangers' code here"
    host.log(
        f"gvisor.proof: probe on {host.name}: not proven: {', '.join(failed)}; {todo}", logger.error
    )
    _write_down(host, json.dumps({"failed": failed, "at": _now()}), arguments)
    return False


def _probe(host: Host, claim: Claim, arguments: dict[str, Any]) -> tuple[list[str], list[Verdict]]:
    """The checks that proved nothing, all shown with the reason, and every verdict."""
    names = " ".join((*claim.runtimes, CONTROL))
    text = script("prove", runtimes=names)
    command = StringCommand("timeout", "-k", "10", PROBE_TIMEOUT_S, "sh", "-c", QuoteString(text))
    ok, output = host.run_shell_command(command, **arguments)
    verdicts = judge(output.stdout_lines, claim.release, claim.runtimes)
    _show(host, claim, verdicts)
    failed = sorted({verdict.check.id for verdict in verdicts if verdict.word == "NOT PROVEN"})
    if ok and verdicts and not failed:
        return [], verdicts
    for line in (*start_failures(output.stdout_lines), *output.stderr_lines[-5:]):
        host.log(line, logger.error)
    return failed or ["the probe failed"], verdicts


def _show(host: Host, claim: Claim, verdicts: list[Verdict]) -> None:
    for line in (*table(verdicts), *claim.risks):
        host.log(line)


def _record(node: Node, claim: Claim, verdicts: list[Verdict]) -> str:
    return json.dumps(
        {
            "fingerprint": fingerprint(node, claim.release, claim.runtimes),
            "release": claim.release,
            "runtimes": list(claim.runtimes),
            "sbom": node.sbom(claim.release),
            "checks": len(verdicts),
            "at": _now(),
            "risks": claim.risks,
        }
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write_down(host: Host, record: str, arguments: dict[str, Any]) -> bool:
    text = script(
        "write_record", state_dir=STATE_DIR, record="proof.json", content_b64=encoded(record + "\n")
    )
    ok, output = host.run_shell_command(StringCommand("sh", "-c", QuoteString(text)), **arguments)
    forget_node(host)
    for line in () if ok else output.stderr_lines[-3:]:
        host.log(f"gvisor.proof: {STATE_DIR}/proof.json on {host.name}: {line}", logger.error)
    return bool(ok)

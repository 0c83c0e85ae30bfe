"""Why a proof could not be made. This says nothing about isolation. One line for one cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.node.records import VERSIONS
from pyinfra_gvisor.proof.check import CONTROL
from pyinfra_gvisor.proof.verdict import Verdict

PEER = "the peer"  # the container that probes talk to, under runc too
_SHOWN = 300  # characters of what Docker said
_DAEMON = "Error response from daemon: "
_MEND_DOCKER = f"repair Docker until `docker run --runtime {CONTROL}` works, then run again"


def start_failures(output: Iterable[str]) -> dict[str, str]:
    """Return why probes did not start, in the daemon's words, by runtime."""
    return {name: why for name, why in _starts(output).items() if why != "ok"}


def why_unmade(
    output: Sequence[str], stderr: Sequence[str], verdicts: Iterable[Verdict], *, ok: bool
) -> Problem | None:
    """
    Return why the proof could not be made; None if it was.

    An observation against a runtime counts as a proof that failed, however the probe ended.

    + output: the lines of ``proof/prove.sh``
    + stderr: its error messages
    + ok: its exit code was 0
    """
    if any(verdict.against for verdict in verdicts):
        return None
    broken_off = None if ok and output else _broken_off(stderr)
    return _ended(output) or _not_started(output) or broken_off


def record_of_try(problem: Problem, *, at: str, release: str) -> dict[str, Any]:
    """Return the record of a proof that could not be made. The earlier proof keeps its record."""
    return {"version": VERSIONS["proof-try"], "at": at, "release": release, "why": problem.what}


def tried_since(state: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return when and why a proof could not be made since the last proof; None if it could."""
    found, made = state.get("proof-try", {}), state.get("proof", {})
    at = str(found.get("at", ""))
    if not at or at < str(made.get("at", "")):
        return None
    return f"at {cut(at)} it {cut(found.get('why'), 2 * _SHOWN)}"


def _ended(output: Sequence[str]) -> Problem | None:
    for line in output:
        before, ended, why = line.partition("node\tended\t")
        if ended and not before:
            what, _, todo = why.partition("; ")
            return _problem(what, todo=todo)
    return None


def _not_started(output: Sequence[str]) -> Problem | None:
    failed = start_failures(output)
    why = failed.get(CONTROL) or failed.get(PEER)
    if why is None:
        return None
    if "ok" not in _starts(output).values():
        return _problem(f"no container starts, not under {CONTROL} either", why, todo=_MEND_DOCKER)
    what = f"containers under {CONTROL}, the control, do not start"
    return _problem(what, why, todo=_MEND_DOCKER)


def _broken_off(stderr: Sequence[str]) -> Problem:
    said = [line.strip() for line in stderr if line.strip()]
    of_docker = [line for line in said if _DAEMON in line]
    why = (of_docker or said or ["no error message"])[-1]
    return _problem("the probe ended too early", why, todo="see dockerd's log, then run again")


def _problem(what: str, why: str = "", *, todo: str) -> Problem:
    said = why.removeprefix("docker: ").removeprefix(_DAEMON)
    words = f"{what}: {_shortened(said)}" if why else what
    return Problem(f"could not be made: {words}", todo=todo)


def _shortened(text: str) -> str:
    """Return the beginning and the end of a long error: the cause stands at its end."""
    whole = cut(text, len(text) + 1)
    if len(whole) <= _SHOWN:
        return whole
    return f"{whole[: _SHOWN // 3]} … {whole[-(_SHOWN - _SHOWN // 3) :]}"


def _starts(output: Iterable[str]) -> dict[str, str]:
    lines = (line.partition("\tstart\t") for line in output)
    return {name: why for name, start, why in lines if start}

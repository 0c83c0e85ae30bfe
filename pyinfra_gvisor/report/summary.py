"""The end of a run in a few lines: each host's outcome, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Job = Literal["connect", "doctor", "deploy", "audit", "rollback", "remove", "coolify"]

Outcome = Literal[
    "proven", "proven after changes", "changed", "as declared", "unchanged", "ready",
    "changes pending", "not looked at", "not as declared", "not finished",
    "refused", "failed", "not reached",
]  # fmt: skip

GOOD: Final = ("proven after changes", "proven", "changed", "as declared", "unchanged", "ready")
OPEN: Final = ("changes pending", "not looked at", "not finished")
ORDER: Final = (*GOOD, *OPEN, "not as declared", "refused", "failed", "not reached")
MOST_CAUSES: Final = 3  # of a host; the others stand above


@dataclass(frozen=True)
class HostEnd:
    """
    What is known of one host at the end of a run.

    ``refused``: an operation or a check before it refused to act. ``strays``: the audit found
    what fails the host. ``causes``: the reasons of either, or of a failure, with what to do.
    ``changed`` leaves out operations that only write down what they saw. ``pending`` is None if
    pyinfra did not look for changes.
    """

    name: str
    reached: bool = True
    failed: bool = False
    refused: bool = False
    strays: bool = False
    causes: tuple[str, ...] = ()
    changed: bool = False
    proven: bool = False
    pending: bool | None = False
    finished: bool = True


@dataclass(frozen=True)
class RunEnd:
    """
    What is known of a run when it ends.

    ``dry``: it was asked for a plan alone. ``executed`` is False after that, and if nobody pressed
    Enter. ``rows_hidden``: a proof was shown without its checks.
    """

    job: Job
    hosts: tuple[HostEnd, ...]
    dry: bool = False
    executed: bool = True
    rows_hidden: bool = False


def outcome(host: HostEnd, run: RunEnd) -> Outcome:
    """Return what became of a host."""
    if not host.reached:
        return "not reached"
    if host.strays:
        return "not as declared"
    if host.refused and not host.changed:
        return "refused"
    if host.failed or host.causes:
        return "failed"
    if not run.executed:
        return _planned(host, run)
    if not host.finished:
        return "not finished"
    if host.proven:
        return "proven after changes" if host.changed else "proven"
    return "changed" if host.changed else _nothing(run)


def _planned(host: HostEnd, run: RunEnd) -> Outcome:
    if run.job in ("audit", "doctor"):
        return _nothing(run)
    if host.pending is None:
        return "not looked at"
    return "changes pending" if host.pending else _nothing(run)


def _nothing(run: RunEnd) -> Outcome:
    if run.job == "doctor":
        return "ready"
    return "as declared" if run.job in ("deploy", "audit") else "unchanged"


def summary(run: RunEnd) -> list[tuple[str, str]]:
    """
    Return the lines, each with the outcome that colours it, or ``""``.

    The first one is the headline. Then comes a line for each outcome with the names of its hosts,
    and a line for each cause with what to do next.
    """
    found: dict[Outcome, list[str]] = {}
    for host in run.hosts:
        found.setdefault(outcome(host, run), []).append(host.name)
    ordered = sorted(found.items(), key=lambda item: ORDER.index(item[0]))
    good = sum(len(names) for word, names in ordered if word in GOOD)
    title = "Summary of the plan" if run.dry else "Summary"
    lines = [(f"{title}: {good} of {_hosts(len(run.hosts))} {_done(run, [*found])}", "")]
    lines += [(_names(word, names), word) for word, names in ordered]
    lines += [(f"next: {line}", "") for line in _next(run, found)]
    if run.rows_hidden:
        lines.append(
            ("each check: --data gvisor_proof_rows=True, or pyinfra-gvisor apply --proof", "")
        )
    return lines


def _done(run: RunEnd, found: Sequence[Outcome]) -> str:
    if run.job in ("deploy", "audit"):
        proven = {"proven", "proven after changes"}
        return "proven" if proven & {*found} and not {*found} & {"changed"} else "as declared"
    if run.job in ("connect", "doctor"):
        return "reached" if run.job == "connect" else "ready"
    return "unchanged" if run.dry else "done"


def _names(word: Outcome, names: Sequence[str]) -> str:
    if word == "changes pending":
        return f"{word} on {_hosts(len(names))}: {', '.join(names)}"
    return f"{word}: {', '.join(names)}"


def _hosts(number: int) -> str:
    return f"{number} host{'' if number == 1 else 's'}"


def _next(run: RunEnd, found: dict[Outcome, list[str]]) -> list[str]:
    """Return what to do, a line for each cause with the hosts that have it."""
    by_cause: dict[str, list[str]] = {}
    for host in run.hosts:
        for cause in _causes(host, outcome(host, run)):
            by_cause.setdefault(cause, []).append(host.name)
    lines = [f"{', '.join(names)}: {cause}" for cause, names in by_cause.items()]
    if "changes pending" in found:
        lines.append("run without --dry" if run.dry else "run again, and press Enter")
    if "not looked at" in found:
        lines.append("leave out -y, with which pyinfra does not look for changes")
    if "not finished" in found:
        lines.append("run again: the run was ended before these hosts were finished")
    return lines


def _causes(host: HostEnd, word: Outcome) -> list[str]:
    if word == "not reached":
        return ["no connection, see the reason above; check that you can log in yourself"]
    shown = [*host.causes[:MOST_CAUSES]]
    if more := len(host.causes) - len(shown):
        shown.append(f"{more} more, see above")
    return shown or (["see the error above, then run again"] if word == "failed" else [])

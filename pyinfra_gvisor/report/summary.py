"""The end of a run in a few lines: each host's outcome, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

DECLINED_PATH: Final = "PYINFRA_GVISOR_DECLINED"
"""Environment variable: a file to make if a run ends early, see ``ended_early``."""
RESULT_DIR: Final = "PYINFRA_GVISOR_RESULT"
"""
Environment variable: a directory for one more copy of the reports. Who sets it prints the result,
so the run does not.
"""

Job = Literal[
    "connect", "doctor", "apps", "measure", "try", "move", "deploy", "audit", "rollback", "remove",
    "coolify",
]  # fmt: skip

Outcome = Literal[
    "proven", "proven after changes", "still proven", "changed, still proven",
    "changed", "as declared", "compliant", "unchanged", "ready",
    "looked at", "changes pending", "restart pending", "not looked at", "not finished",
    "not compliant", "refused", "failed", "no answer", "not reached",
]  # fmt: skip

PROVEN: Final = ("proven after changes", "proven", "changed, still proven", "still proven")
GOOD: Final = (*PROVEN, "changed", "as declared", "compliant", "unchanged", "ready", "looked at")
OPEN: Final = ("changes pending", "restart pending", "not looked at", "not finished")
ORDER: Final = (*GOOD, *OPEN, "not compliant", "refused", "failed", "no answer", "not reached")
_COMMANDS: Final[dict[Job, str]] = {
    "connect": "apply",
    "deploy": "apply",
    "coolify": "apply --deploy coolify",
    **{
        job: job
        for job in ("doctor", "apps", "measure", "try", "move", "audit", "rollback", "remove")
    },
}
MOST_CAUSES: Final = 3  # of a host; the others stand above
MOST_LIMITS: Final = 3  # hosts of a command that is named; more are not repeated


class Counted(NamedTuple):
    """How many containers were seen in gVisor, how many run, and how many outside are accepted."""

    inside: int
    running: int
    accepted: int


@dataclass(frozen=True)
class HostEnd:
    """
    What is known of one host at the end of a run.

    ``answers``: False if the host was given up because it did not answer in time.
    ``looked_at``: the deploy ran to its end for the host. ``refused``: an operation or a check
    before it refused to act. ``strays``: the audit found what fails the host. ``causes``: the
    reasons of either, or of a failure, with what to do. ``changed``: an operation did something,
    even if it failed later; operations that only write down what they saw do not count.
    ``proven``: whether a proof was made now, or one of before still holds.
    ``pending`` is None if pyinfra did not look for changes. ``containers``: None if nobody looked.
    ``to_refuse``: the containers that would not start again, as they are.
    ``restart_pending``: declared keys take effect only when dockerd is restarted.
    ``ends_containers``: a restart of dockerd ends all containers, because live-restore is off.
    """

    name: str
    reached: bool = True
    answers: bool = True
    looked_at: bool = True
    failed: bool = False
    refused: bool = False
    strays: bool = False
    causes: tuple[str, ...] = ()
    changed: bool = False
    proven: Literal["now", "before"] | None = None
    pending: bool | None = False
    restart_pending: bool = False
    ends_containers: bool = False
    finished: bool = True
    containers: Counted | None = None
    to_refuse: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunEnd:
    """
    What is known of a run when it ends.

    ``dry``: it was asked for a plan alone. ``executed`` is False after that, and if nobody pressed
    Enter. ``rows_hidden``: a proof was shown without its checks. ``limited``: the inventory has
    more hosts.
    """

    job: Job
    hosts: tuple[HostEnd, ...]
    dry: bool = False
    executed: bool = True
    rows_hidden: bool = False
    limited: bool = False


def outcome(host: HostEnd, run: RunEnd) -> Outcome:
    """Return what became of a host."""
    if not host.reached:
        return "not reached"
    if not host.answers:
        return "no answer"
    if host.strays:
        return "not compliant"
    if host.refused and not host.changed:
        return "refused"
    if host.failed or host.causes:
        return "failed"
    if not host.looked_at:
        return "not looked at"
    if not run.executed:
        return _planned(host, run)
    if not host.finished:
        return "not finished"
    if host.restart_pending:
        return "restart pending"
    if host.proven == "now":
        return "proven after changes" if host.changed else "proven"
    if host.proven:
        return "changed, still proven" if host.changed else "still proven"
    return "changed" if host.changed else _nothing(run)


def _planned(host: HostEnd, run: RunEnd) -> Outcome:
    if run.job in ("doctor", "apps"):  # have no operations: their deploys look
        return _nothing(run)
    if host.pending is None:
        return "not looked at"
    if host.pending:
        return "changes pending"
    return "restart pending" if host.restart_pending else _nothing(run)


def _nothing(run: RunEnd) -> Outcome:
    words: dict[Job, Outcome] = {
        "deploy": "as declared",
        "audit": "compliant",
        "doctor": "ready",
        "apps": "looked at",
        "measure": "looked at",
        "try": "looked at",
    }
    return words.get(run.job, "unchanged")


def ended_early(run: RunEnd) -> bool:
    """Return True if a run ended before its changes, or a plan before every host was looked at."""
    if run.executed:
        return False
    return not run.dry or any(outcome(host, run) == "not looked at" for host in run.hosts)


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
    title = "Summary of the plan" if run.dry else "Summary"
    lines = [(f"{title}: {_headline(run, found)}", "")]
    lines += [(_names(word, names), word) for word, names in ordered]
    lines += [(f"next: {line}", "") for line in _next(run, found)]
    if run.rows_hidden:
        lines.append(
            ("each check: --data gvisor_proof_rows=True, or pyinfra-gvisor apply --proof", "")
        )
    return lines


def _headline(run: RunEnd, found: Mapping[Outcome, Sequence[str]]) -> str:
    """Return how many hosts are as they should be. Only hosts with a proof count as proven."""
    good, proven = (
        sum(len(names) for word, names in found.items() if word in words)
        for words in (GOOD, PROVEN)
    )
    counted = f"{good} of {_hosts(len(run.hosts))}"
    if run.job != "deploy" or not proven:
        said = f"{counted} {_done(run)}"
    elif proven == good:
        said = f"gVisor works on {counted}"
    else:
        said = f"{counted} as declared, gVisor works on {proven} of them"
    counts = containers_line([host.containers for host in run.hosts])
    return f"{said}. {counts}" if counts else said


def containers_line(hosts: Sequence[Counted | None]) -> str:
    """Return what ``in_gvisor`` does; empty if no container runs at all."""
    return in_gvisor(hosts) if added(hosts).running else ""


def in_gvisor(hosts: Sequence[Counted | None]) -> str:
    """
    Return how many containers run in gVisor.

    + hosts: of each host; None if it did not say
    """
    found, seen = added(hosts), sum(host is not None for host in hosts)
    where = "" if seen == len(hosts) else f" on {seen} of {len(hosts)} hosts"
    return f"{found.inside} of {found.running} containers run in gVisor{where}"


def added(hosts: Sequence[Counted | None]) -> Counted:
    """Return the numbers of all hosts together."""
    return Counted(*map(sum, zip((0, 0, 0), *filter(None, hosts), strict=True)))


def _done(run: RunEnd) -> str:
    words: dict[Job, str] = {
        "connect": "reached",
        "doctor": "ready",
        "apps": "looked at",
        "measure": "looked at",
        "try": "looked at",
        "deploy": "as declared",
        "audit": "compliant",
    }
    return words.get(run.job, "unchanged" if run.dry else "done")


def _names(word: Outcome, names: Sequence[str]) -> str:
    said = {
        "changes pending": f"changes pending on {_hosts(len(names))}",
        "proven": "proven by a test container",
        "proven after changes": "changed, then proven by a test container",
        "still proven": "unchanged since it was proven by a test container",
        "changed, still proven": "changed, but nothing that the last proof was about",
    }
    return f"{said.get(word, word)}: {', '.join(names)}"


def _hosts(number: int) -> str:
    return f"{number} host{'' if number == 1 else 's'}"


def _next(run: RunEnd, found: dict[Outcome, list[str]]) -> list[str]:
    """Return what to do, a line for each cause with the hosts that have it."""
    by_cause: dict[str, list[str]] = {}
    for host in run.hosts:
        for cause in (*_causes(host, outcome(host, run)), *_refusals(host, run)):
            by_cause.setdefault(cause, []).append(host.name)
    lines = [f"{', '.join(names)}: {cause}" for cause, names in by_cause.items()]
    if "changes pending" in found:
        lines.append(_change(run))
    if names := found.get("restart pending"):
        how = 'restart dockerd, or run again with gvisor_restart = "auto"'
        lines.append(f"{', '.join(names)}: {how}")
    if "not looked at" in found and not run.executed:
        lines.append(_look(run))
    if "not finished" in found:
        lines.append("run again: the run was ended before these hosts were finished")
    return lines or [*_onwards(run)]


def _change(run: RunEnd) -> str:
    """Return how to make the changes of a plan."""
    if not run.dry:
        return f"run {_command(_COMMANDS[run.job], run)} again, and say yes"
    return _command("apply", run) if run.job == "deploy" else "run without --dry"


def _command(name: str, run: RunEnd) -> str:
    """Return a command of ours for the hosts of a run."""
    if not run.limited:
        return f"pyinfra-gvisor {name}"
    if len(run.hosts) > MOST_LIMITS:
        return f"pyinfra-gvisor {name}, with the same --limit"
    return " ".join((f"pyinfra-gvisor {name}", *(f"--limit {host.name}" for host in run.hosts)))


def _refusals(host: HostEnd, run: RunEnd) -> list[str]:
    if run.job != "deploy" or not host.to_refuse:
        return []
    names = ", ".join(host.to_refuse[:MOST_CAUSES])
    more = f" and {len(rest)} more" if (rest := host.to_refuse[MOST_CAUSES:]) else ""
    todo = f"If the platform needs it: pyinfra-gvisor accept {host.to_refuse[0]}"
    return [f"Docker would refuse to start {names}{more} again. {todo}"]


def _onwards(run: RunEnd) -> Iterator[str]:
    """Yield what to do after a run in which all went well."""
    found = added([host.containers for host in run.hosts])
    others = found.running - found.inside - found.accepted
    back = [host for host in run.hosts if host.changed] if run.job == "rollback" else []
    if back:
        yield "change the settings, or the next apply undoes this rollback"
    if names := [host.name for host in back if not host.proven]:
        yield f"{', '.join(names)}: isolation is not proven now; pyinfra-gvisor audit says more"
    if names := [host.name for host in back if host.ends_containers]:
        yield f"{', '.join(names)}: live-restore is off: a restart of dockerd ends all containers"
    if run.job == "doctor":
        yield _command("plan", run)
    if run.job == "deploy" and others > 0:
        yield f"{_command('audit', run)}, which says what to do about the other {others}"


def _look(run: RunEnd) -> str:
    """Return what to do about hosts that nobody looked at."""
    if run.dry and any(host.pending is None for host in run.hosts):
        return "leave out -y: with --dry and -y pyinfra looks at nothing"
    return "run again: the run was ended before these hosts were looked at"


def _causes(host: HostEnd, word: Outcome) -> list[str]:
    if word == "not reached":
        return ["no connection, see the reason above; check that you can log in yourself"]
    shown = [*host.causes[:MOST_CAUSES]]
    if more := len(host.causes) - len(shown):
        shown.append(f"{more} more, see above")
    return shown or (["see the error above, then run again"] if word == "failed" else [])

"""Read what was seen of a trial, and judge it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pyinfra_gvisor.report.outlooks import REFUSED, AppOutlook
from pyinfra_gvisor.report.trials import Ran, Trial, Verdict
from pyinfra_gvisor.trials.asked import Asked

END = "end of trial"
FIRST_OF_ANYONE = 32768  # such ports are given to whoever asks for none: ip(7), ip_local_port_range
_LOOK = "start it in gVisor on a test node and look at its log; pyinfra-gvisor apps has the rules"
_ELSEWHERE = "try it on a test node, with its volumes and services"
_ASSUMED = ', when gvisor_default is "sandbox"'
_BY_OTHERS = ("watched-files",)  # differs by what others do, and the app may live by it
_SIDES = ("twin", "control")

Seen = defaultdict[tuple[str, str], list[str]]
"""Values by side and observation."""


class Judged(NamedTuple):
    """A verdict with its reasons and what to do."""

    verdict: Verdict
    why: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()


def trial(host: str, lines: Sequence[str], asked: Asked) -> Trial:
    """
    Return the result of a trial.

    + lines: what ``trial.sh`` printed
    + asked: which container was tried, and how

    Raises ``ValueError`` if the lines are malformed or incomplete.
    """
    seen = _read(lines)
    twin = _ran("twin", asked.outlook.runtime, seen)
    control = _ran("control", "runc", seen) if asked.control else None
    news = tuple(seen["twin", "news"])
    limit = next(iter(seen["twin", "limit"]), "")
    judged = _judge(asked, twin, control, news, limit)
    left = tuple(seen["twin", "left"])
    more = int(next(iter(seen["twin", "more"]), 0))
    return Trial(
        host=host,
        container=asked.outlook.name,
        app=asked.outlook.app,
        image=asked.outlook.image,
        runtime=asked.outlook.runtime,
        seconds=asked.seconds,
        unknown=asked.unknown,
        accepted=asked.outlook.outlook == "outside",
        verdict=judged.verdict,
        why=judged.why,
        todo=judged.todo,
        twin=twin,
        control=control,
        news=(*news, f"and {more} more kinds of lines") if more else news,
        left_out=left,
        control_without=tuple(what for what in seen["control", "left"] if what not in left),
        empty=tuple(seen["twin", "empty"]),
        rules=tuple(item for item in asked.outlook.differences if item.rule != REFUSED),
    )


def _read(lines: Sequence[str]) -> Seen:
    if not lines or lines[-1] != END:
        raise ValueError(f"it ends with: {' '.join(lines[-1:])[:60] or 'nothing'}")
    seen: Seen = defaultdict(list)
    for line in lines[:-1]:
        side, key, value = line.split("\t")
        if side not in _SIDES:
            raise ValueError(f"the node's answer is malformed: {line[:60]}")
        seen[side, key].append(value)
    return seen


def _ran(side: str, runtime: str, seen: Seen) -> Ran:
    def one(key: str) -> str | None:
        return next(iter(seen[side, key]), None)

    start = one("start")
    if start is None:
        raise ValueError(f"nothing was seen of the {side}")
    ran_s, code, ready_s = one("ran"), one("exit"), one("ready")
    return Ran(
        runtime=runtime,
        problem="" if start == "ok" else start or "no error message",
        running=one("running") == "yes",
        ran_s=None if ran_s is None else float(ran_s),
        exit_code=None if code is None else int(code),
        out_of_memory=one("oom") == "yes",
        health=one("health"),
        ready_s=None if ready_s is None else float(ready_s),
        ports=tuple(map(int, (one("ports") or "").split())),
    )


def _judge(asked: Asked, twin: Ran, control: Ran | None, news: Sequence[str], limit: str) -> Judged:
    """
    Return the verdict.

    + limit: MiB of memory that the trial itself gave; empty if the app has a limit
    """
    app = asked.outlook
    if refused := tuple(item for item in app.differences if item.rule == REFUSED):
        what = f"{refused[0].what}{_ASSUMED if asked.assumed else ''}"
        why = (f"{what}: {'; '.join(item.seen for item in refused)}",)
        return Judged("fails here", why, (refused[0].todo,))
    if _works(twin) and (foretold := _foretold(app)):
        alone = f"the twin works alone; of what a trial leaves out, rules say otherwise: {foretold}"
        return Judged("not known", (alone,), _remedies(app, _ELSEWHERE))
    if control is None:
        return _without_control(twin)
    if _works(twin):
        found = tuple(_differences(twin, control, news))
        return Judged("works, but differs", found) if found else Judged("works alone")
    if not _works(control):
        why = (f"the control fails, too: it {_how(control)}",)
        return Judged("not known", why, _remedies(app, _ELSEWHERE))
    if twin.out_of_memory and limit:
        why = (f"{limit} MiB were not enough for the twin, a limit of the trial's own",)
        return Judged("not known", why, ("give the app a memory limit, then try again",))
    why = (f"the twin {_how(twin)}; the control {_how(control)}",)
    return Judged("fails here", why, _remedies(app, _LOOK))


def _foretold(app: AppOutlook) -> str:
    """Return the rules that say of the app what no twin meets; empty if there are none."""
    found = (item for item in app.differences if item.outlook == "fails" or item.rule in _BY_OTHERS)
    return ", ".join(sorted({item.rule for item in found}))


def _without_control(twin: Ran) -> Judged:
    todo = ("--control runs one under runc, outside of gVisor",)
    if _works(twin):
        return Judged("works alone")
    return Judged("not known", (f"the twin {_how(twin)}, and there was no control",), todo)


def _works(ran: Ran) -> bool:
    ended_well = ran.running or ran.exit_code == 0
    return not ran.problem and ended_well and not ran.out_of_memory and ran.health != "unhealthy"


def _how(ran: Ran) -> str:
    if ran.problem:
        return f"did not start: {ran.problem}"
    return f"{ran.end}, unhealthy" if ran.health == "unhealthy" else ran.end


def _differences(twin: Ran, control: Ran, news: Sequence[str]) -> Iterator[str]:
    if not _works(control):
        yield f"the control fails, and the twin does not: the control {_how(control)}"
    elif twin.running != control.running:
        yield f"the twin {twin.end}; the control {control.end}"
    elif twin.health != control.health:
        yield f"health of the twin: {twin.health}; of the control: {control.health}"
    ours, theirs = (
        {port for port in ran.ports if port < FIRST_OF_ANYONE} for ran in (twin, control)
    )
    if missing := theirs - ours:
        yield f"the twin did not listen on TCP port {_listed(missing)}; the control did"
    if more := ours - theirs:
        yield f"the twin listened on TCP port {_listed(more)}; the control did not"
    if news:
        yield "the twin's log has errors that the control's has not"


def _listed(ports: set[int]) -> str:
    return ", ".join(map(str, sorted(ports)))


def _remedies(app: AppOutlook, otherwise: str) -> tuple[str, ...]:
    """Return what rules say about what fails; if they say nothing, ``otherwise``."""
    known = {item.rule: item for item in app.differences if item.outlook == "fails"}
    return tuple(f"{item.what}. {item.todo}" for item in known.values()) or (otherwise,)

"""What ``trial.sh`` prints, and trials that are asked for."""

from typing import Any

from pyinfra_gvisor.report.outlooks import AppDifference, AppOutlook
from pyinfra_gvisor.trials.asked import Asked
from pyinfra_gvisor.trials.judged import END


def seen(
    twin: dict[str, Any] | None = None,
    control: dict[str, Any] | None = None,
    news: tuple[str, ...] = (),
) -> list[str]:
    """The lines of a trial: both run to the end, but for what is given. None: not printed."""
    lines = []
    for side, given in (("control", control), ("twin", twin)):
        usual = {"start": "ok", "ports": "80", "ran": "20.1", "running": "yes"}
        told = {**usual, **(given or {})}
        lines += [f"{side}\t{key}\t{value}" for key, value in told.items() if value is not None]
    return [*lines, *(f"twin\tnews\t{text}" for text in news), END]


def ended(code: int, **others: Any) -> dict[str, Any]:
    """One that ended by itself."""
    return {"running": None, "exit": code, "ran": "0.3", "ports": "", **others}


def refused(why: str) -> dict[str, Any]:
    """One that Docker did not start."""
    return {"start": why, "ports": None, "ran": None, "running": None}


def difference(rule: str, outlook: Any = "fails") -> AppDifference:
    """What a rule says of a container."""
    return AppDifference(rule=rule, outlook=outlook, seen="this", what="It fails", todo="Change it")


def asked(*differences: AppDifference, control: bool = True, assumed: bool = False) -> Asked:
    """A trial of 20 seconds."""
    outlook = AppOutlook(
        name="shop",
        image="shop:1",
        now="runc" if control else "gVisor",
        runtime="runsc",
        outlook="nothing known",
        differences=differences,
    )
    return Asked("f" * 64, outlook, 20, control, assumed)

"""Render a survey as text: what would be set, and what an operator must do by hand."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from pyinfra_gvisor.coolify.resources import State, Verdict, quoted
from pyinfra_gvisor.coolify.survey import Choice, Survey

COLUMNS = 100
EXAMPLES = 5  # app names shown for a gap

_WORDS: tuple[tuple[State, str], ...] = (
    ("to_set", "to set"),
    ("enforced", "already set"),
    ("by_hand", "by hand"),
    ("impossible", "impossible"),
    ("exempt", "exempt"),
)


# Characters from Unicode's private use area, which textwrap does not treat as blanks.
_HELD = {ord(" "): "\ue000", ord("\t"): "\ue001"}
_LET_GO = {ord(held): chr(blank) for blank, held in _HELD.items()}


def plan_lines(found: Survey, choice: Choice) -> list[str]:
    """
    Return the changes app by app, what must be done by hand, the gaps, and the counts.

    Lines have about 100 columns, unless a text to write is longer: it is never wrapped. The change
    of an app is one line if its options fit into one.
    """
    if not choice.servers:
        return ["gvisor_coolify_servers is empty: no app is checked or set"]
    lines = [line for item in found.to_set for line in _change(item)]
    for state, word in _WORDS[2:]:
        for item in found.verdicts:
            if item.state == state:
                exact = quoted(item.after) if item.after else ""
                lines += _wrapped(f"{word}: {item.label}: {item.text}", exact)
    return [*lines, *_gaps(found.verdicts), *_wrapped(_numbers(found, choice))]


def _change(item: Verdict) -> list[str]:
    before, after = quoted(item.before), quoted(item.after)
    head = f"{item.label}: custom_docker_run_options"
    change = f"{before} -> {after}"
    if len(change) <= COLUMNS:
        return [f"{head} {change}"]
    return [head, f"     {before}", f"  -> {after}"]


def _gaps(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Yield a line for each gap of apps that run, or will run, in gVisor."""
    names: dict[str, list[str]] = {}
    for item in verdicts:
        if item.state in ("enforced", "to_set", "by_hand"):
            for gap in item.gaps:
                names.setdefault(gap, []).append(item.name or item.uuid)
    for gap, found in names.items():
        shown = ", ".join(found[:EXAMPLES])
        more = f" and {len(found) - EXAMPLES} more" if len(found) > EXAMPLES else ""
        yield from _wrapped(f"gap: {gap}: {shown}{more}")


def _numbers(found: Survey, choice: Choice) -> str:
    counts = Counter(item.state for item in found.verdicts)
    told = ", ".join(f"{counts[state]} {word}" for state, word in _WORDS)
    servers = f"{len(found.servers)} server{'s' if len(found.servers) != 1 else ''}"
    restarts = "; running apps that get set are restarted" if choice.redeploy == "changed" else ""
    return f"--runtime={choice.runtime} on {servers}: {told}{restarts if found.to_set else ''}"


def _wrapped(text: str, exact: str = "") -> list[str]:
    """Wrap a text between words, but never inside ``exact``, which an operator must copy."""
    if len(text) <= COLUMNS:
        return [text]
    held = text.replace(exact, exact.translate(_HELD)) if exact else text
    lines = textwrap.wrap(
        held, COLUMNS, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return [line.translate(_LET_GO) for line in lines]

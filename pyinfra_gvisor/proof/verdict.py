"""
What "isolated" means: checks whose outcome could have been otherwise, and a control where it is.

Every check is made twice, in a container under the runtime and in one under runc. It proves
something only if the sandbox shows what it must and runc shows what it must. The checks themselves
are data: ``proof.checks.CHECKS``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.proof.checks import CHECKS, CONTROL, Check, asked_of
from pyinfra_gvisor.proof.judges import Seen
from pyinfra_gvisor.proof.part import Declared, proofs_of_parts
from pyinfra_gvisor.runtimes.profiles import Runtime

NOT_STARTED = "did not start"
CELL = 26  # columns of the table for what was seen on each side


@dataclass(frozen=True)
class Verdict:
    """
    A check's outcome for one runtime: what was seen there and under runc, and if it proves.

    ``accepted``: it does not, and a danger that was accepted for this runtime says why not.
    ``against``: what was seen there, and not only missed, speaks against the runtime.
    ``not_applicable``: why it was not made, if so; it then proves nothing and fails nothing.
    """

    runtime: str
    check: Check
    seen: str
    control: str
    passed: bool
    accepted: bool = False
    not_applicable: str = ""
    against: bool = False

    @property
    def word(self) -> str:
        """The outcome in a word or two."""
        if self.not_applicable:
            return "n/a"
        return "ok" if self.passed else "accepted" if self.accepted else "NOT PROVEN"


def judge(
    output: Iterable[str],
    release: str,
    runtimes: Mapping[str, Runtime],
    *,
    spared: Mapping[str, str] | None = None,
) -> list[Verdict]:
    """
    The verdict on every check for every runtime.

    + output: the lines of ``scripts/prove.sh``; what is missing in them counts as not proven. An
      observation ``NAME.error`` says why NAME was not made
    + release: the release that the sandboxes must run from
    + spared: why a check is not applicable, by id, where that is known without looking; the
      script may know of more. It counts for checks only that say when they do not apply.
    """
    seen: dict[str, dict[str, str]] = {}
    for line in output:
        subject, _, rest = line.partition("\t")
        key, _, value = rest.partition("\t")
        seen.setdefault(subject, {"subject": subject})[key] = value
    node = {
        **seen.get("node", {}),
        **{f"not_applicable.{check}": why for check, why in (spared or {}).items()},
        "release": release,
    }
    control = seen.get(CONTROL, {})
    return [
        _verdict(check, (name, runtime), seen.get(name, {}), control, node)
        for name, runtime in runtimes.items()
        for check in asked_of(runtime)
    ]


def _verdict(
    check: Check, runtime: tuple[str, Runtime], seen: Seen, control: Seen, node: Seen
) -> Verdict:
    name, profile = runtime
    why_not = node.get(f"not_applicable.{check.id}", "") if check.unless else ""
    otherwise = bool(seen.get(check.observed)) and not check.sandbox(seen, node)
    accepted = check.id in profile.given_up and otherwise and check.control(control, node)
    return Verdict(
        runtime=name,
        check=check,
        seen=_shown(check, seen),
        control=_shown(check, control),
        passed=not why_not and check.sandbox(seen, node) and check.control(control, node),
        accepted=accepted,
        not_applicable=why_not,
        against=otherwise and not accepted and not why_not,
    )


def _shown(check: Check, seen: Seen) -> str:
    if seen.get("start", "ok") != "ok":
        return NOT_STARTED
    return seen.get(check.observed) or seen.get(f"{check.observed}.error") or "nothing seen"


def failures_cut_short(verdicts: Iterable[Verdict]) -> list[str]:
    """What was seen where a check proved nothing and the table shows the end of it, once each."""
    lines = (
        f"{verdict.check.id} under {name}: {seen}"
        for verdict in verdicts
        if verdict.word == "NOT PROVEN"
        for name, seen in ((verdict.runtime, verdict.seen), (CONTROL, verdict.control))
        if len(seen) > CELL
    )
    return list(dict.fromkeys(lines))


def unproven(verdicts: Iterable[Verdict]) -> list[str]:
    """The ids of the checks that proved nothing, each once."""
    return sorted({verdict.check.id for verdict in verdicts if verdict.word == "NOT PROVEN"})


def outcomes(verdicts: Iterable[Verdict]) -> dict[str, dict[str, int]]:
    """Return how many checks had which outcome (``Verdict.word``), by runtime."""
    found: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.runtime, Counter())[verdict.word] += 1
    return {runtime: dict(counts) for runtime, counts in found.items()}


def remedies(verdicts: Iterable[Verdict]) -> list[str]:
    """What to do about the checks that proved nothing, a line each, and how bad it is at worst."""
    by_remedy: dict[str, list[Check]] = {}
    for verdict in verdicts:
        known = by_remedy.setdefault(verdict.check.remedy, [])
        if verdict.word == "NOT PROVEN" and verdict.seen != NOT_STARTED:
            known.append(verdict.check)
    lines = []
    for remedy, checks in by_remedy.items():
        names = ", ".join(dict.fromkeys(check.id for check in checks))
        worst = max((check.severity for check in checks), key=lambda item: item.rank, default=None)
        lines += [f"{names} ({worst}): {remedy}"] if worst else []
    return lines


def table(verdicts: Iterable[Verdict]) -> list[str]:
    """The verdicts as lines of a table of less than 100 columns."""
    items = list(verdicts)
    head = ("check", "runtime", "seen there", f"under {CONTROL} (control)", "")
    rows = [head, *(_row(item) for item in items)]
    sizes = [max(len(row[column]) for row in rows) for column in range(4)]
    sizes[2] = max([sizes[2], *(len(_reason(item)) - 2 - sizes[3] for item in items)])
    lines = []
    for item, row in zip((None, *items), rows, strict=True):
        cells = [cell.ljust(size) for cell, size in zip(row, sizes, strict=False)]
        if item and item.not_applicable:  # the reason takes both cells of what would have been seen
            cells[2:] = [_reason(item).ljust(sizes[2] + 2 + sizes[3])]
        lines.append("  ".join((*cells, row[-1])).rstrip())
    return lines


def _row(item: Verdict) -> tuple[str, str, str, str, str]:
    seen = ("", "") if item.not_applicable else (_fit(item.seen), _fit(item.control))
    return (item.check.id, _fit(item.runtime, 12), *seen, item.word)


def _reason(item: Verdict) -> str:
    text, width = item.not_applicable, 2 * CELL
    return text if len(text) <= width else text[: width - 1] + "…"


def _fit(text: str, width: int = CELL) -> str:
    """The end of a text that is too long: it tells paths apart."""
    return text if len(text) <= width else "…" + text[-(width - 1) :]


def fingerprint(
    node: Node,
    release: str,
    runtimes: Mapping[str, Runtime],
    *,
    image: str | None = None,
    declared: Declared = None,
) -> str | None:
    """
    What has to be the same for an earlier proof to hold; None of a node without Docker.

    + image: the image that it is proven with, if it is not the node's own programs alone
    + declared: the settings whose parts are seen at work; None: none is
    """
    if node.info is None:
        return None
    parts = proofs_of_parts().values()
    state = [
        node.kernel,
        node.info.server_version,
        node.daemon_json.sha256,
        {  # of others it does not depend; Docker 20.10 forgets its own at a reload
            name: (entry.path, node.wrappers.get(entry.path or ""))
            for name, entry in node.info.runtimes.items()
            if name in runtimes or name == CONTROL
        },
        node.sbom(release),
        release,
        {name: runtime.model_dump() for name, runtime in runtimes.items()},
        [check.id for check in CHECKS],
        *([] if image is None else [image]),
        *(found for part in parts if (found := part.state(node, declared)) is not None),
    ]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def is_due(node: Node, runtimes: Mapping[str, Runtime], when: str, now: str | None) -> bool:
    """
    Whether isolation has to be proven now.

    + when: ``changed``, ``always`` or ``never``
    + now: the ``fingerprint`` of what is to be proven
    """
    if not runtimes or when == "never":
        return False
    record = node.state.get("proof")
    proven = record.get("fingerprint") if isinstance(record, dict) else None
    return when == "always" or proven is None or proven != now

"""
What "isolated" means: checks of a container under gVisor, each with a control under runc.

Each check is made in a container under the runtime and in a container under runc. A check passes
only if both containers show what they must. The checks themselves are data:
``proof.checks.CHECKS``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.proof.checks import CHECKS, CONTROL, Check, asked_of
from pyinfra_gvisor.proof.every import proofs_of_parts
from pyinfra_gvisor.proof.judges import Seen
from pyinfra_gvisor.proof.part import Declared
from pyinfra_gvisor.runtimes.profiles import Runtime

NOT_STARTED = "did not start"


@dataclass(frozen=True)
class Verdict:
    """
    A check's outcome for one runtime: what was seen under the runtime and under runc.

    ``accepted``: the check failed because of a danger that was accepted for this runtime.
    ``against``: the observation itself contradicts isolation; it is not only missing.
    ``not_applicable``: why the check was not made; empty if it was. Such a check never fails.
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
        """Return the outcome: ``ok``, ``accepted``, ``n/a`` or ``NOT PROVEN``."""
        if self.not_applicable:
            return "n/a"
        return "ok" if self.passed else "accepted" if self.accepted else "NOT PROVEN"


def judge(
    output: Iterable[str],
    release: str,
    runtimes: Mapping[str, Runtime],
    *,
    skipped: Mapping[str, str] | None = None,
) -> list[Verdict]:
    """
    Return the verdict on every check for every runtime.

    + output: the lines of ``proof/prove.sh``. A missing observation is not proven; the
      observation ``NAME.error`` says why NAME is missing
    + release: the release that the sandboxes must run from
    + skipped: why a check does not apply, by id. The script may add to this. Counts only for checks
      that have ``unless``
    """
    seen: dict[str, dict[str, str]] = {}
    for line in output:
        subject, _, rest = line.partition("\t")
        key, _, value = rest.partition("\t")
        seen.setdefault(subject, {"subject": subject})[key] = value
    node = {
        **seen.get("node", {}),
        **{f"not_applicable.{check}": why for check, why in (skipped or {}).items()},
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


def unproven(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the ids of the checks that failed, each once."""
    return sorted({verdict.check.id for verdict in verdicts if verdict.word == "NOT PROVEN"})


def outcomes(verdicts: Iterable[Verdict]) -> dict[str, dict[str, int]]:
    """Return how many checks had which outcome (``Verdict.word``), by runtime."""
    found: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.runtime, Counter())[verdict.word] += 1
    return {runtime: dict(counts) for runtime, counts in found.items()}


def fingerprint(
    node: Node,
    release: str,
    runtimes: Mapping[str, Runtime],
    *,
    image: str | None = None,
    declared: Declared = None,
) -> str | None:
    """
    Return the fingerprint of everything a proof depends on; None for a node without Docker.

    These are the kernel, dockerd, daemon.json, the runtimes, the release's files and the parts.

    + image: the image of the probes; None for the node's own programs
    + declared: the settings whose parts the proof must see working; None for no part
    """
    if node.info is None:
        return None
    parts = proofs_of_parts().values()
    state = [
        node.kernel,
        node.info.server_version,
        node.daemon_json.sha256,
        {  # no other runtime matters; Docker 20.10 forgets its own ones at a reload
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
    Return True if isolation has to be proven now.

    + when: ``changed``, ``always`` or ``never``
    + now: the ``fingerprint`` of what is to be proven
    """
    if not runtimes or when == "never":
        return False
    return when == "always" or not holds(node, now)


def holds(node: Node, now: str | None) -> bool:
    """
    Return True if the last proof on the node was of the state that it is in now.

    + now: the ``fingerprint`` of what is to be proven
    """
    record = node.state.get("proof")
    proven = record.get("fingerprint") if isinstance(record, dict) else None
    return proven is not None and proven == now


def last_held(record: object) -> object:
    """Return when the last successful proof was, by the record of the last proof; None if never."""
    if not isinstance(record, dict):
        return None
    return record.get("held_at") if record.get("failed") else record.get("at")

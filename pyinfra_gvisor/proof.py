"""
What "isolated" means: checks whose outcome could have been otherwise, and a control where it is.

Every check is made twice, in a container under the runtime and in one under runc. It proves
something only if the sandbox shows what it must and runc shows the opposite.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from pyinfra_gvisor.node import RELEASES_DIR, Node
from pyinfra_gvisor.profiles import Runtime

CONTROL = "runc"

# `uname -v` in every release, pkg/sentry/kernel: it says nothing about the host's kernel.
GVISOR_KERNEL = "#1 SMP Sun Jan 10 15:06:54 PST 2016"

Seen = Mapping[str, str]


@dataclass(frozen=True)
class Check:
    """
    One thing to be seen. ``sandbox`` and ``control`` judge what a container under the runtime and
    one under runc showed; they get the observations of that container and of the node.
    """

    id: str
    shows: str
    observed: str
    sandbox: Callable[[Seen, Seen], bool]
    control: Callable[[Seen, Seen], bool]
    networks: frozenset[str] = frozenset({"host", "sandbox", "none"})


@dataclass(frozen=True)
class Verdict:
    """
    A check's outcome for one runtime: what was seen there and under runc, and if it proves.

    ``accepted``: it does not, and a danger that was accepted for this runtime says why not.
    """

    runtime: str
    check: Check
    seen: str
    control: str
    passed: bool
    accepted: bool = False

    @property
    def word(self) -> str:
        """The outcome in a word or two."""
        return "ok" if self.passed else "accepted" if self.accepted else "NOT PROVEN"


def _same_address(seen: Seen, node: Seen) -> bool:
    address = seen.get("address")
    try:
        inside = ip_address(address or "") in ip_network(node.get("subnet", ""))
    except ValueError:
        return False
    return inside and address == seen.get("given_address")


def _peer_resolved(seen: Seen, node: Seen) -> bool:
    return bool(node.get("peer_address")) and seen.get("dns_peer") == node.get("peer_address")


def _refused(name: str, shows: str) -> Check:
    """A check that something is refused in the sandbox, and allowed under runc."""
    observed = name.replace("-", "_")
    return Check(
        name,
        shows,
        observed,
        lambda seen, _node: seen.get(observed) == "refused",
        lambda seen, _node: seen.get(observed) == "allowed",
    )


CHECKS: tuple[Check, ...] = (
    Check(
        "kernel-inside",
        "the kernel that the container talks to is gVisor's",
        "kernel_version",
        lambda seen, node: (
            seen.get("kernel_version") == GVISOR_KERNEL != node.get("kernel_version")
        ),
        lambda seen, node: (
            bool(seen.get("kernel_version"))
            and seen["kernel_version"] == node.get("kernel_version")
        ),
    ),
    Check(
        "process-outside",
        "the container's process is gVisor's sandbox",
        "argv0",
        lambda seen, _node: seen.get("argv0") == "runsc-sandbox",
        lambda seen, _node: (seen.get("argv0") or "runsc-sandbox") != "runsc-sandbox",
    ),
    Check(
        "release",
        "the sandbox runs from the release asked for",
        "executable",
        lambda seen, node: seen.get("executable", "").startswith(
            f"{RELEASES_DIR}/{node['release']}/"
        ),
        lambda seen, _node: not (seen.get("executable") or RELEASES_DIR).startswith(RELEASES_DIR),
    ),
    Check(
        "dns",
        "Docker's names of other containers resolve",
        "dns_peer",
        _peer_resolved,
        _peer_resolved,
        frozenset({"host"}),
    ),
    Check(
        "address",
        "packets leave from the container's own private address",
        "address",
        _same_address,
        _same_address,
        frozenset({"host", "sandbox"}),
    ),
    _refused("raw-socket", "raw sockets are refused"),
    _refused("packet-socket", "packet sockets are refused"),
    _refused("docker-socket", "a mounted docker.sock cannot be opened"),
    Check(
        "exec",
        "docker exec works",
        "exec",
        lambda seen, _node: seen.get("exec") == "answer 42",
        lambda seen, _node: seen.get("exec") == "answer 42",
    ),
)


def judge(output: Iterable[str], release: str, runtimes: Mapping[str, Runtime]) -> list[Verdict]:
    """
    The verdict on every check for every runtime.

    + output: the lines of ``scripts/prove.sh``; what is missing in them counts as not proven
    + release: the release that the sandboxes must run from
    """
    seen: dict[str, dict[str, str]] = {}
    for line in output:
        subject, _, rest = line.partition("\t")
        key, _, value = rest.partition("\t")
        seen.setdefault(subject, {})[key] = value
    node = {**seen.get("node", {}), "release": release}
    control = seen.get(CONTROL, {})
    return [
        _verdict(check, (name, runtime), seen.get(name, {}), control, node)
        for name, runtime in runtimes.items()
        for check in CHECKS
        if runtime.network in check.networks
    ]


def _verdict(
    check: Check, runtime: tuple[str, Runtime], seen: Seen, control: Seen, node: Seen
) -> Verdict:
    name, profile = runtime
    return Verdict(
        runtime=name,
        check=check,
        seen=_shown(check, seen),
        control=_shown(check, control),
        passed=check.sandbox(seen, node) and check.control(control, node),
        accepted=check.id in profile.given_up and seen.get(check.observed) == "allowed",
    )


def _shown(check: Check, seen: Seen) -> str:
    if seen.get("start", "ok") != "ok":
        return "did not start"
    return seen.get(check.observed) or "nothing seen"


def start_failures(output: Iterable[str]) -> list[str]:
    """Why probes did not start, in the daemon's words."""
    started = (line.partition("\tstart\t") for line in output)
    return [
        f"{name} did not start: {why}"
        for name, is_start, why in started
        if is_start and why != "ok"
    ]


def table(verdicts: Iterable[Verdict], width: int = 26) -> list[str]:
    """The verdicts as lines of a table of less than 100 columns."""
    rows = [("check", "runtime", "seen there", f"under {CONTROL} (control)", "")]
    rows += [
        (
            item.check.id,
            _fit(item.runtime, 12),
            _fit(item.seen, width),
            _fit(item.control, width),
            item.word,
        )
        for item in verdicts
    ]
    sizes = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        "  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True)).rstrip()
        for row in rows
    ]


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[-(width - 1) :]


def fingerprint(node: Node, release: str, runtimes: Mapping[str, Runtime]) -> str | None:
    """What has to be the same for an earlier proof to hold; None of a node without Docker."""
    if node.info is None:
        return None
    state = [
        node.kernel,
        node.info.server_version,
        node.daemon_json.sha256,
        {
            name: (entry.path, node.wrappers.get(entry.path or ""))
            for name, entry in node.info.runtimes.items()
        },
        node.sbom(release),
        release,
        {name: runtime.model_dump() for name, runtime in runtimes.items()},
    ]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def is_due(node: Node, release: str, runtimes: Mapping[str, Runtime], when: str) -> bool:
    """Whether isolation has to be proven now: ``when`` is ``changed``, ``always`` or ``never``."""
    if not runtimes or when == "never":
        return False
    record = node.state.get("proof")
    proven = record.get("fingerprint") if isinstance(record, dict) else None
    return when == "always" or proven is None or proven != fingerprint(node, release, runtimes)

"""Audit the resolver of sandboxes with gVisor's own network stack: does it run, as declared?"""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.parts.resolver.files import NAME, kept_files
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.policy.findings import Severity


def _askers(host: Audited) -> list[str]:
    """Return the runtimes declared with the resolver, and the containers that run with it."""
    declared = [name for name, item in host.settings.runtimes.items() if item.dns]
    return [*declared, *host.node.names_of(host.node.part(ResolverState).asks)]


def _down(host: Audited) -> Iterator[Observation]:
    found = host.node.part(ResolverState)
    states = {"socket": found.socket, "service": found.service}
    down = [
        f"{kind} is {state or 'missing'}" for kind, state in states.items() if state != "active"
    ]
    askers = _askers(host)
    if askers and down:
        yield Observation(NAME, f"its {' and its '.join(down)}; used by {', '.join(askers)}")


def _not_declared(host: Audited) -> Iterator[Observation]:
    found = host.node.part(ResolverState)
    if not any(item.dns for item in host.settings.runtimes.values()) or not found.there:
        return
    files = kept_files(named_resolvers(host.node), host.settings.textfile_dir)
    for item in files:
        if not item.matches(found.files.get(item.path)):
            is_there = item.path in found.files
            yield Observation(
                item.path, "the file was changed" if is_there else "the file is missing"
            )
    for path in found.strays:
        if path not in {item.path for item in files}:
            yield Observation(path, "the file is not part of the resolver")
    if not found.enabled:
        yield Observation(
            NAME, "its socket is not enabled: the resolver will not run after a reboot"
        )


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "resolver-down",
        Severity.HIGH,
        "The resolver is down: sandboxes with gVisor's own network stack cannot resolve names",
        "Read journalctl -u pyinfra-gvisor-resolver on the node, then run pyinfra-gvisor apply",
        _down,
    ),
    Rule(
        "resolver-not-as-declared",
        Severity.HIGH,
        "The resolver's files or units are not as installed",
        "Find out who changed them, then run pyinfra-gvisor apply",
        _not_declared,
    ),
)

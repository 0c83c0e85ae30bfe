"""What is looked for in the resolver that sandboxes with a network stack of their own ask."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Rule, Seen
from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.parts.resolver.files import NAME, kept_files
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.policy.findings import Severity


def _askers(host: Audited) -> list[str]:
    """The runtimes that are declared with it, and the containers that run with it."""
    declared = [name for name, item in host.settings.runtimes.items() if item.dns]
    return [*declared, *host.node.names_of(host.node.part(ResolverState).asks)]


def _down(host: Audited) -> Iterator[Seen]:
    found = host.node.part(ResolverState)
    states = {"socket": found.socket, "service": found.service}
    down = [
        f"{kind} is {state or 'missing'}" for kind, state in states.items() if state != "active"
    ]
    askers = _askers(host)
    if askers and down:
        yield Seen(NAME, f"its {' and its '.join(down)}; asked by {', '.join(askers)}")


def _not_declared(host: Audited) -> Iterator[Seen]:
    found = host.node.part(ResolverState)
    if not any(item.dns for item in host.settings.runtimes.values()) or not found.there:
        return
    files = kept_files(named_resolvers(host.node), host.settings.textfile_dir)
    for item in files:
        if not item.is_as(found.files.get(item.path)):
            is_there = item.path in found.files
            yield Seen(item.path, "it is another" if is_there else "it is not there")
    for path in found.strays:
        if path not in {item.path for item in files}:
            yield Seen(path, "it does not belong there")
    if not found.enabled:
        yield Seen(NAME, "it would not be there behind a reboot")


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "resolver-down",
        Severity.HIGH,
        "sandboxes with a network stack of their own resolve no names",
        "see the journal of pyinfra-gvisor-resolver, and run deploys/gvisor.py",
        _down,
    ),
    Rule(
        "resolver-not-as-declared",
        Severity.HIGH,
        "the resolver that sandboxes ask is not what was installed",
        "find out who changed it, and run deploys/gvisor.py",
        _not_declared,
    ),
)

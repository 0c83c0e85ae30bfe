"""Rules about other container engines on the node, and their containers."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.observed import Engine
from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.policy.findings import Severity

FEW = 3  # containers of an engine to name: a Kubernetes node has hundreds


def _holds_container(engine: Engine) -> bool:
    return engine.program == "conmon" or engine.program.startswith("containerd-shim")


def _owner(engine: Engine) -> str:
    """Return the owner of a container, as far as containerd's shims and conmon show it."""
    if engine.program == "conmon":
        return f"conmon of user {engine.uid}"
    where = f" at {cut(engine.address)}" if engine.address else ""
    return f"namespace {cut(engine.namespace) or 'unknown'}{where}"


def _unowned(host: Audited) -> Iterator[Observation]:
    by_owner: dict[str, list[Engine]] = {}
    for engine in host.observed.engines:
        if _holds_container(engine):
            by_owner.setdefault(_owner(engine), []).append(engine)
    for owner, found in by_owner.items():
        named = [f"{item.program} {item.pid}: {cut(item.id) or 'no id'}" for item in found[:FEW]]
        more = f", and {len(found) - FEW} more" if len(found) > FEW else ""
        yield Observation(owner, f"{', '.join(named)}{more}")


def _engine(host: Audited) -> Iterator[Observation]:
    for engine in host.observed.engines:
        if engine.program == "socket":
            yield Observation(cut(engine.file), "a process listens on this socket")
        elif not _holds_container(engine):
            where = f", listens on {cut(engine.address)}" if engine.address else ""
            yield Observation(
                f"{engine.program} {engine.pid}", f"{cut(engine.file)}, user {engine.uid}{where}"
            )


FOREIGN_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "container-unowned",
        Severity.HIGH,
        "Containers run here that the node's Docker does not know, so nothing checks them",
        "List the containers (ctr -n NAMESPACE tasks ls, podman ps, docker -H ADDRESS ps) and stop "
        "them. Run them with the node's Docker, or waive container-unowned with a reason",
        _unowned,
    ),
    Rule(
        "engine-unknown",
        Severity.MEDIUM,
        "Another container engine runs here, and nothing checks what it starts",
        "Stop the engine and disable its start at boot, or waive engine-unknown with a reason",
        _engine,
    ),
)

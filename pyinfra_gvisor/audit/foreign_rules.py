"""What is looked for beside Docker: other engines on the node, and containers of theirs."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.observed import Engine
from pyinfra_gvisor.audit.rules import Audited, Rule, Seen
from pyinfra_gvisor.errors import cut
from pyinfra_gvisor.policy.findings import Severity

FEW = 3  # of an engine's containers that are named, since a node of Kubernetes has hundreds


def _holds_container(engine: Engine) -> bool:
    return engine.program == "conmon" or engine.program.startswith("containerd-shim")


def _owner(engine: Engine) -> str:
    """Return whose a container is: that much containerd's shims and conmon tell of it."""
    if engine.program == "conmon":
        return f"conmon of user {engine.uid}"
    where = f" at {cut(engine.address)}" if engine.address else ""
    return f"namespace {cut(engine.namespace) or 'unknown'}{where}"


def _unowned(host: Audited) -> Iterator[Seen]:
    by_owner: dict[str, list[Engine]] = {}
    for engine in host.observed.engines:
        if _holds_container(engine):
            by_owner.setdefault(_owner(engine), []).append(engine)
    for owner, found in by_owner.items():
        named = [f"{item.program} {item.pid}: {cut(item.id) or 'no id'}" for item in found[:FEW]]
        more = f", and {len(found) - FEW} more" if len(found) > FEW else ""
        yield Seen(owner, f"{', '.join(named)}{more}")


def _engine(host: Audited) -> Iterator[Seen]:
    for engine in host.observed.engines:
        if engine.program == "socket":
            yield Seen(cut(engine.file), "something listens")
        elif not _holds_container(engine):
            where = f", listens on {cut(engine.address)}" if engine.address else ""
            yield Seen(
                f"{engine.program} {engine.pid}", f"{cut(engine.file)}, user {engine.uid}{where}"
            )


FOREIGN_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "container-unowned",
        Severity.HIGH,
        "containers run here that the node's Docker does not know, and nobody looks at them",
        "see what they are (ctr -n NAMESPACE tasks ls, podman ps, docker -H ADDRESS ps) and stop "
        "them; run them with the node's Docker, or waive container-unowned with a reason",
        _unowned,
    ),
    Rule(
        "engine-unknown",
        Severity.MEDIUM,
        "another container engine is here, and nobody looks at what it starts",
        "stop it and keep it from starting at boot, or waive engine-unknown with a reason",
        _engine,
    ),
)

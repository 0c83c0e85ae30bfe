"""What is looked for in each running container."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.releases import known_escapes
from pyinfra_gvisor.audit.rules import Rule, Running, Seen
from pyinfra_gvisor.errors import cut
from pyinfra_gvisor.policy.findings import Severity


def _is(running: Running) -> str:
    """What a container's process is, in words."""
    container, process = running.container, running.container.process
    program = process.executable or "a process that is gone"
    known = "not known, " if container.verdict.state == "unknown" else ""
    asked = f"asked for {container.runtime}, its process is {program} ({cut(process.argv0)})"
    return f"{known}{container.verdict.why}: {asked}" if container.verdict.why else asked


def _unsandboxed(running: Running) -> Iterator[Seen]:
    if running.must and not running.exempt and not running.sandboxed:
        yield Seen(running.container.name, _is(running))


def _not_as_asked(running: Running) -> Iterator[Seen]:
    asked = running.container.runtime
    ours = asked in running.host.settings.runtimes
    if ours and not running.sandboxed and (not running.must or running.exempt):
        yield Seen(running.container.name, _is(running))


def _exempt(running: Running) -> Iterator[Seen]:
    if running.exempt and not running.sandboxed:
        yield Seen(running.container.name, _is(running), waived=running.exempt)


def _privileged(running: Running) -> Iterator[Seen]:
    if running.given.privileged:
        yield running.seen("--privileged")


def _network(running: Running) -> Iterator[Seen]:
    if running.given.network_mode == "host":
        yield running.seen("--network host")


def _pid(running: Running) -> Iterator[Seen]:
    if running.given.pid_mode == "host":
        yield running.seen("--pid host")


def _ipc(running: Running) -> Iterator[Seen]:
    if running.given.ipc_mode == "host":
        yield running.seen("--ipc host")


def _uts(running: Running) -> Iterator[Seen]:
    if running.given.uts_mode == "host":
        yield running.seen("--uts host")


def _userns(running: Running) -> Iterator[Seen]:
    if running.given.userns_mode == "host":
        yield running.seen("--userns host")


def _old_release(running: Running) -> Iterator[Seen]:
    host, found = running.host, running.container.release
    if not running.sandboxed or found in (host.settings.release, host.expected.release):
        return
    if found is None:
        yield Seen(running.container.name, f"runs from {running.container.process.file}")
        return
    escapes = known_escapes(found)
    worse = Severity.HIGH if escapes else None
    known = f", which is open to {escapes}" if escapes else ""
    accepted = host.settings.accept_risk if escapes else None
    newer = f"{host.expected.release} is {'in use' if host.upgrading_from else 'declared'}"
    yield Seen(running.container.name, f"runs on {found}{known}; {newer}", worse, accepted)


CONTAINER_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "container-unsandboxed",
        Severity.CRITICAL,
        "it has to run in a sandbox, and its process is none",
        "stop it; give it --runtime=runsc (compose: runtime: runsc) and create it anew, or name it "
        "in gvisor_exempt with a reason",
        _unsandboxed,
    ),
    Rule(
        "container-not-as-asked",
        Severity.CRITICAL,
        "it asked for one of our runtimes, and its process is no sandbox",
        "look at the runtime in docker info and at the wrapper it points at, then run "
        "deploys/gvisor.py and create the container anew",
        _not_as_asked,
    ),
    Rule(
        "container-exempt",
        Severity.CRITICAL,
        "it would have to run in a sandbox, and is exempted",
        "see whether the reason still holds",
        _exempt,
    ),
    Rule(
        "container-privileged",
        Severity.HIGH,
        "it is privileged: all capabilities and the node's devices",
        "create it without --privileged",
        _privileged,
        cis="5.5",
    ),
    Rule(
        "container-host-network",
        Severity.HIGH,
        "it shares the node's network",
        "give it a network of its own",
        _network,
        cis="5.10",
    ),
    Rule(
        "container-host-pid",
        Severity.HIGH,
        "it shares the node's processes",
        "create it without --pid host",
        _pid,
        cis="5.16",
    ),
    Rule(
        "container-host-ipc",
        Severity.HIGH,
        "it shares the node's shared memory",
        "create it without --ipc host",
        _ipc,
        cis="5.17",
    ),
    Rule(
        "container-host-uts",
        Severity.MEDIUM,
        "it shares the node's host name",
        "create it without --uts host",
        _uts,
        cis="5.21",
    ),
    Rule(
        "container-host-userns",
        Severity.MEDIUM,
        "it is left out of user namespaces",
        "create it without --userns host",
        _userns,
        cis="5.31",
    ),
    Rule(
        "container-old-release",
        Severity.MEDIUM,
        "its sandbox runs from another release than is declared",
        "restart it: it is then started by the present release (what was created under another "
        "runtime's name has to be created anew)",
        _old_release,
    ),
)

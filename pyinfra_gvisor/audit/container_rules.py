"""Rules about each running container."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.releases import known_escapes
from pyinfra_gvisor.audit.rules import Observation, Rule, Running
from pyinfra_gvisor.base.errors import capitalized, cut
from pyinfra_gvisor.policy.findings import Severity

# Whether a container asked for runc or got it by default, its recorded options do not tell.
_RECREATE = "recreate it: docker compose up -d --force-recreate; in Coolify: Redeploy"
_NO_LINE = "Remove the line runtime: runc first, if its file has one"


def _is(running: Running) -> str:
    """Describe what a container that was not seen in gVisor runs on, and why that is known."""
    container, process = running.container, running.container.process
    unknown = container.verdict.state == "unknown"
    runs = "cannot be verified" if unknown else "runs directly on the host kernel"
    program = f"{process.executable} ({cut(process.argv0)})" if process.executable else "ended"
    because = f"{runs}: {container.verdict.why}" if container.verdict.why else runs
    return f"{because}; runtime {container.runtime}, process {program}"


def _unsandboxed(running: Running) -> Iterator[Observation]:
    if running.must and not running.exempt and not running.sandboxed:
        yield Observation(running.container.name, _is(running), remedy=_remedy(running))


def _remedy(running: Running) -> str | None:
    """Return what to do about this container; None: the rule says it."""
    if running.host.settings.dispatch is None:
        needs = _needs(running)
        return needs and (
            f"The container has {needs}, which cannot work in gVisor. Recreate the container "
            f"without {needs} and with --runtime=runsc. Or exempt it in gvisor_exempt with a reason"
        )
    place = running.place
    if running.container.verdict.state == "unknown":
        return f"Run pyinfra-gvisor apply. Then {_RECREATE}. {_NO_LINE}"
    if place and place.where == "refused":
        return f"Remove the refused options. Then {_RECREATE}. {_NO_LINE}"
    if place and place.when == "start":
        return "Restart the container: it then runs in gVisor"
    moves = place and place.where == "sandbox"
    again = f"Run pyinfra-gvisor move HOST. Or {_RECREATE}" if moves else capitalized(_RECREATE)
    return f"{again}. {_NO_LINE}. If it is infrastructure, run pyinfra-gvisor accept NAME"


def _needs(running: Running) -> str | None:
    """Return what a container has that cannot work in gVisor; None if that is nothing known."""
    if running.container.docker_socket:
        return "docker.sock"
    return "the node's network" if running.given.network_mode == "host" else None


def _not_as_asked(running: Running) -> Iterator[Observation]:
    asked = running.container.runtime
    ours = asked in running.host.settings.runtimes
    if ours and not running.sandboxed and (not running.must or running.exempt):
        yield Observation(running.container.name, _is(running))


def _exempt(running: Running) -> Iterator[Observation]:
    if running.exempt and not running.sandboxed:
        yield Observation(running.container.name, _is(running), waived=running.exempt)


def _privileged(running: Running) -> Iterator[Observation]:
    if running.given.privileged:
        yield running.seen("--privileged")


def _network(running: Running) -> Iterator[Observation]:
    if running.given.network_mode == "host":
        yield running.seen("--network host")


def _pid(running: Running) -> Iterator[Observation]:
    if running.given.pid_mode == "host":
        yield running.seen("--pid host")


def _ipc(running: Running) -> Iterator[Observation]:
    if running.given.ipc_mode == "host":
        yield running.seen("--ipc host")


def _uts(running: Running) -> Iterator[Observation]:
    if running.given.uts_mode == "host":
        yield running.seen("--uts host")


def _userns(running: Running) -> Iterator[Observation]:
    if running.given.userns_mode == "host":
        yield running.seen("--userns host")


def _old_release(running: Running) -> Iterator[Observation]:
    host, found = running.host, running.container.release
    if not running.sandboxed or found in (host.settings.release, host.expected.release):
        return
    if found is None:
        yield Observation(running.container.name, f"runs from {running.container.process.file}")
        return
    escapes = known_escapes(found)
    worse = Severity.HIGH if escapes else None
    known = f", which has known escapes: {escapes}" if escapes else ""
    accepted = host.settings.accept_risk if escapes else None
    newer = f"{host.expected.release} is {'in use' if host.upgrading_from else 'declared'}"
    yield Observation(
        running.container.name, f"runs on runsc {found}{known}; {newer}", worse, accepted
    )


CONTAINER_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "container-unsandboxed",
        Severity.CRITICAL,
        "Must run in gVisor, but runs directly on the host kernel or cannot be verified",
        "Stop the container and recreate it with --runtime=runsc (compose: runtime: runsc). Or "
        "exempt it in gvisor_exempt with a reason",
        _unsandboxed,
    ),
    Rule(
        "container-not-as-asked",
        Severity.CRITICAL,
        "Was created with a gVisor runtime, but was not seen in gVisor",
        "Check the runtime in docker info, and the wrapper that its path names. Then run "
        "pyinfra-gvisor apply and recreate the container",
        _not_as_asked,
    ),
    Rule(
        "container-exempt",
        Severity.CRITICAL,
        "Must run in gVisor by the policy, but is exempt",
        "Check whether the reason of the exemption still holds",
        _exempt,
    ),
    Rule(
        "container-privileged",
        Severity.HIGH,
        "Is privileged: has all capabilities and the node's devices",
        "Recreate the container without --privileged",
        _privileged,
        cis="5.5",
    ),
    Rule(
        "container-host-network",
        Severity.HIGH,
        "Shares the node's network",
        "Recreate the container with its own network",
        _network,
        cis="5.10",
    ),
    Rule(
        "container-host-pid",
        Severity.HIGH,
        "Shares the node's process namespace: can see and signal the node's processes",
        "Recreate the container without --pid host",
        _pid,
        cis="5.16",
    ),
    Rule(
        "container-host-ipc",
        Severity.HIGH,
        "Shares the node's IPC namespace: shared memory and semaphores",
        "Recreate the container without --ipc host",
        _ipc,
        cis="5.17",
    ),
    Rule(
        "container-host-uts",
        Severity.MEDIUM,
        "Shares the node's UTS namespace: its host name",
        "Recreate the container without --uts host",
        _uts,
        cis="5.21",
    ),
    Rule(
        "container-host-userns",
        Severity.MEDIUM,
        "Is excluded from user namespace remapping",
        "Recreate the container without --userns host",
        _userns,
        cis="5.31",
    ),
    Rule(
        "container-old-release",
        Severity.MEDIUM,
        "Runs on another runsc release than declared",
        "Restart the container: it then runs on the release in use. Recreate it instead if it was "
        "created with another runtime name",
        _old_release,
    ),
)

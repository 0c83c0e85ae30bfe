"""
Rules about image builds, which run directly on the host kernel.

BuildKit in dockerd runs each build step with runc, whatever the default runtime is: newExecutor in
moby's executor_linux.go (builder-next).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.base.groups import BUILD
from pyinfra_gvisor.policy.findings import Severity

SUBJECT = "image builds"
BUILDER = "moby/buildkit"  # image of docker buildx's driver docker-container, with its own cache
# The image in which Coolify builds and restarts apps: app/Jobs/ApplicationDeploymentJob.php.
# Coolify's backups use the same image: app/Jobs/DatabaseBackupJob.php.
HELPER, BACKUP = "coolify-helper", "backup-of-"


def _builds(host: Audited) -> Iterator[Observation]:
    runs_apps = bool(host.settings.runtimes)
    surely, perhaps = list(_containers(host, BUILDER)), list[str]()
    if not any(part.takes_runc for part in host.node.parts.values()):
        surely, perhaps = [*_cached(host), *surely], _ran(host)
    now = [name for name in _containers(host, HELPER) if not name.startswith(BACKUP)]
    if not (surely or perhaps or now):
        return
    told = [*surely, *perhaps, *(f"a Coolify deployment is running: {name}" for name in now)]
    if runs_apps and host.builds:
        told.append(f"the node is in group {BUILD} and also has runtimes for apps")
    mild = None if surely else Severity.LOW if perhaps else Severity.INFO
    yield Observation(SUBJECT, "; ".join(told), mild if runs_apps else Severity.INFO)


def _cached(host: Audited) -> Iterator[str]:
    cache = host.observed.build_cache
    if cache.records:
        used = f", last used {cache.last_used}" if cache.last_used else ""
        yield f"{cache.records} records in Docker's build cache{used}"


def _ran(host: Audited) -> list[str]:
    by_s = host.observed.build_cache.ran_by_s
    if by_s is None or host.node.info is None:
        return []
    at = datetime.fromtimestamp(by_s, UTC).isoformat()
    version = host.node.info.server_version
    return [f"a build step ran at {at} or earlier; Docker {version} does not report more"]


def _containers(host: Audited, image: str) -> Iterator[str]:
    for container in host.node.containers:
        given = host.observed.given_to(container)
        if image in given.image:
            yield f"{container.name} ({cut(given.image)})"


def _unknown(host: Audited) -> Iterator[Observation]:
    if error := host.observed.build_cache.error:
        yield Observation(SUBJECT, cut(error))


BUILD_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "builds-unsandboxed",
        Severity.MEDIUM,
        "Images are built on this node, and build steps run directly on the host kernel",
        "If apps run here too, add a build server to Coolify and choose it in each app. Then run "
        "docker builder prune -a to clear this finding. If builds must stay, waive "
        "builds-unsandboxed with a reason",
        _builds,
    ),
    Rule(
        "builds-unknown",
        Severity.LOW,
        "Docker does not report its build cache, so it is unknown whether images are built here",
        "Run the audit again. If this finding remains, read journalctl -u docker",
        _unknown,
    ),
)

"""
What is looked for of image builds, which are in no sandbox.

BuildKit in dockerd runs each step with runc, whatever the default runtime is: newExecutor in
moby's executor_linux.go (builder-next).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pyinfra_gvisor.audit.rules import Audited, Rule, Seen
from pyinfra_gvisor.errors import cut
from pyinfra_gvisor.groups import BUILD
from pyinfra_gvisor.policy.findings import Severity

SUBJECT = "image builds"
BUILDER = "moby/buildkit"  # docker buildx's driver docker-container, with a cache of its own
# Coolify builds in it, and restarts apps: app/Jobs/ApplicationDeploymentJob.php. Its backups use
# the same image: app/Jobs/DatabaseBackupJob.php.
HELPER, BACKUP = "coolify-helper", "backup-of-"


def _builds(host: Audited) -> Iterator[Seen]:
    runs_apps = bool(host.settings.runtimes)
    surely, perhaps = [*_cached(host), *_containers(host, BUILDER)], _ran(host)
    now = [name for name in _containers(host, HELPER) if not name.startswith(BACKUP)]
    if not (surely or perhaps or now):
        return
    told = [*surely, *perhaps, *(f"a deployment of Coolify's runs: {name}" for name in now)]
    if runs_apps and host.builds:
        told.append(f"it is in the group {BUILD} and has runtimes for apps besides")
    mild = None if surely else Severity.LOW if perhaps else Severity.INFO
    yield Seen(SUBJECT, "; ".join(told), mild if runs_apps else Severity.INFO)


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
    return [f"a step of a build has run, at {at} or before; Docker {version} tells no more"]


def _containers(host: Audited, image: str) -> Iterator[str]:
    for container in host.node.containers:
        given = host.observed.given_to(container)
        if image in given.image:
            yield f"{container.name} ({cut(given.image)})"


def _unknown(host: Audited) -> Iterator[Seen]:
    if error := host.observed.build_cache.error:
        yield Seen(SUBJECT, cut(error))


BUILD_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "builds-unsandboxed",
        Severity.MEDIUM,
        "images are built here, and a build is in no sandbox: its steps run on the node's own "
        "kernel",
        "where apps run too, give Coolify a build server and choose it in each app, then docker "
        "builder prune -a, after which this goes; if builds must stay, waive it with a reason",
        _builds,
    ),
    Rule(
        "builds-unknown",
        Severity.LOW,
        "Docker does not tell its build cache, so that it is not known whether images are built",
        "run the audit again; if it is still so, see dockerd's journal",
        _unknown,
    ),
)

"""An app whose containers Coolify makes anew, and the wait for that."""

from __future__ import annotations

from collections.abc import Callable

from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.errors import cut

POLL_S = 5.0

# app/Enums/ApplicationDeploymentStatus.php
_FINISHED = "finished"
_ENDED = {"failed": "failed", "cancelled-by-user": "was cancelled by a user"}


def redeploy(
    api: Api,
    uuid: str,
    *,
    timeout_s: float,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> str | None:
    """
    Have Coolify make an app's containers anew, and wait until it has.

    + timeout_s: how long that may take, in seconds, with the wait for other deployments

    None if it was done, else why not; after a deployment that failed the old container goes on.
    Raises what ``Api.restart`` does.
    """
    ends = clock() + timeout_s
    while True:
        # No uuid: another deployment is under way, which may have read the options before they were
        # set. A uuid that Coolify does not know: its queue is full.
        deployment = api.restart(uuid)
        if deployment and api.deployment(deployment):
            return _end(api, deployment, ends, sleep, clock)
        if clock() >= ends:
            why = "its queue is full" if deployment else "another one of it is under way"
            return f"Coolify began no deployment in {timeout_s:g} s: {why}"
        sleep(POLL_S)


def _end(
    api: Api,
    deployment: str,
    ends: float,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> str | None:
    while True:
        found = api.deployment(deployment)
        if found is None:
            return f"deployment {deployment} is gone"
        if found.status == _FINISHED:
            return None
        if found.status in _ENDED:
            return f"deployment {deployment} {_ENDED[found.status]}; look at its log in Coolify"
        if clock() >= ends:
            return f"deployment {deployment} is still {cut(found.status)}"
        sleep(POLL_S)

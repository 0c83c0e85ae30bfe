"""Redeploy an app in Coolify, and wait for the end."""

from __future__ import annotations

from collections.abc import Callable

from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.coolify.api import Api

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
    Have Coolify recreate an app's containers, and wait until it is done.

    + timeout_s: the time limit in seconds, including the wait for other deployments

    Return None on success, else why it failed; the old container then keeps running. Raises what
    ``Api.restart`` raises.
    """
    ends = clock() + timeout_s
    while True:
        # No uuid: another deployment is running, which may have read the options before they were
        # set. A uuid that Coolify does not know: its queue is full.
        deployment = api.restart(uuid)
        if deployment and api.deployment(deployment):
            return _end(api, deployment, ends, sleep, clock)
        if clock() >= ends:
            why = "its queue is full" if deployment else "another one of this app is running"
            return f"Coolify started no deployment within {timeout_s:g} s: {why}"
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
            return f"deployment {deployment} was deleted in Coolify"
        if found.status == _FINISHED:
            return None
        if found.status in _ENDED:
            return f"deployment {deployment} {_ENDED[found.status]}; read its log in Coolify"
        if clock() >= ends:
            return f"deployment {deployment} is still {cut(found.status)} after the time limit"
        sleep(POLL_S)

"""A client for the parts of Coolify's HTTP API used here: lists, an app's options, restarts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.models import (
    UUID,
    Application,
    Database,
    Deployment,
    Resource,
    Server,
)
from pyinfra_gvisor.coolify.token import Token
from pyinfra_gvisor.coolify.transport import NoAnswer, NotFound, Transport

TIMEOUT_S = 30.0

_VERSION = re.compile(r"v?[0-9]+\.[0-9]+[0-9A-Za-z.+-]*")

M = TypeVar("M", bound=BaseModel)


class Api:
    """
    One Coolify instance, as its API shows it to the team of the token.

    + url: of Coolify, such as ``https://coolify.example.com``, or of its API
    + token: with the permissions ``read``, ``write`` and ``deploy``
    + timeout_s: seconds for connecting, and for each part of an answer

    Every method raises ``Refused`` if every other request would fail too, ``NoAnswer`` if Coolify
    does not answer, and ``Problem`` for a malformed uuid.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = Transport(url, token, timeout_s=timeout_s, sleep=sleep, clock=clock)

    @property
    def url(self) -> str:
        """Return the URL of the API."""
        return self._transport.url

    def version(self) -> str:
        """Return Coolify's version, such as ``4.3.11``."""
        return str(self._transport.read("/version", _version))

    def servers(self) -> tuple[Server, ...]:
        """Return the team's servers."""
        return self._several("/servers", Server)

    def resources(self, server_uuid: str) -> tuple[Resource, ...]:
        """Return everything on a server, of all teams. Also raises ``NotFound``."""
        return self._several(f"/servers/{_checked(server_uuid)}/resources", Resource)

    def applications(self) -> tuple[Application, ...]:
        """Return the team's applications, without their settings."""
        return self._several("/applications", Application)

    def application(self, uuid: str) -> Application | None:
        """Return an application with its settings; None if the team has no such application."""
        return self._one(f"/applications/{_checked(uuid)}", Application)

    def databases(self) -> tuple[Database, ...]:
        """Return the team's databases."""
        return self._several("/databases", Database)

    def set_options(self, uuid: str, text: str) -> None:
        """
        Write an application's Custom Docker Options, and change nothing else.

        The API cannot check that they are still as they were read. Also raises ``Rejected``,
        ``NotFound`` and ``UnknownOutcome``.
        """
        body = {"custom_docker_run_options": text}
        self._transport.write("PATCH", f"/applications/{_checked(uuid)}", body)

    def restart(self, uuid: str) -> str | None:
        """
        Recreate an application's containers from the image that is built; return the deployment.

        Return the deployment's uuid. None: a deployment is running, and Coolify starts no other. If
        its queue is full, Coolify also returns a uuid, but there is no such deployment
        (``action_restart`` in ApplicationsController.php ignores ``queue_full``). Raises what
        ``set_options`` raises.
        """
        answer = self._transport.write("POST", f"/applications/{_checked(uuid)}/restart", {})
        found = answer.get("deployment_uuid") if isinstance(answer, dict) else None
        return found if isinstance(found, str) and re.fullmatch(UUID, found) else None

    def deployment(self, uuid: str) -> Deployment | None:
        """Return a deployment; None if Coolify does not know it."""
        return self._one(f"/deployments/{_checked(uuid)}", Deployment)

    def _several(self, path: str, model: type[M]) -> tuple[M, ...]:
        answer = self._transport.read(path)
        return tuple(_valid(model, item, path) for item in _listed(answer, path))

    def _one(self, path: str, model: type[M]) -> M | None:
        try:
            answer = self._transport.read(path)
        except NotFound:
            return None
        return _valid(model, answer, path)


def _listed(answer: Any, path: str) -> list[Any]:
    if isinstance(answer, dict):  # A PHP array with a missing index becomes an object.
        return list(answer.values())
    if not isinstance(answer, list):
        raise _other(path, "not a list")
    return answer


def _valid(model: type[M], answer: Any, path: str) -> M:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole item"
        raise _other(path, f"{place}: {first['msg']}") from None


def _other(path: str, what: str) -> NoAnswer:
    """Return the error for an unknown answer. ``what`` must hold no values: they may be secret."""
    todo = "check that gvisor_coolify_url is the URL of Coolify"
    return NoAnswer(f"Coolify's answer to GET {path} is not understood", got=what, todo=todo)


def _version(body: bytes) -> str:
    text = body.decode("utf-8").strip().strip('"')
    if not _VERSION.fullmatch(text):
        raise ValueError
    return text


def _checked(uuid: str) -> str:
    """Return the uuid, for a path. Raises ``Problem`` if it is malformed, whoever sent it."""
    if not re.fullmatch(UUID, uuid):
        raise Problem("not a uuid of Coolify", got=uuid, todo="look the resource up in Coolify")
    return uuid

"""Coolify's HTTP API, as far as it is used here: what there is, an app's options, restarts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

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
from pyinfra_gvisor.errors import Problem

TIMEOUT_S = 30.0

_VERSION = re.compile(r"v?[0-9]+\.[0-9]+[0-9A-Za-z.+-]*")

M = TypeVar("M", bound=BaseModel)


class Api:
    """
    One instance of Coolify, as its API shows it to the team of the token.

    + url: Coolify's own, such as ``https://coolify.example.com``, or that of its API
    + token: of the permissions ``read``, ``write`` and ``deploy``
    + timeout_s: for connecting and for each part of an answer, in seconds

    Every method raises ``Refused`` where no other request would fare better, ``NoAnswer`` where
    Coolify does not answer, and ``Problem`` for what is no uuid.
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
        """Where the API is."""
        return self._transport.url

    def version(self) -> str:
        """Coolify's version, such as ``4.3.11``."""
        return str(self._transport.read("/version", _version))

    def servers(self) -> tuple[Server, ...]:
        """The team's servers."""
        return self._several("/servers", Server)

    def resources(self, server_uuid: str) -> tuple[Resource, ...]:
        """What is on a server, of whichever team; raises ``NotFound`` too."""
        return self._several(f"/servers/{_checked(server_uuid)}/resources", Resource)

    def applications(self) -> tuple[Application, ...]:
        """The team's applications, without their settings."""
        return self._several("/applications", Application)

    def application(self, uuid: str) -> Application | None:
        """An application with its settings; None if there is none, or it is another team's."""
        return self._one(f"/applications/{_checked(uuid)}", Application)

    def databases(self) -> tuple[Database, ...]:
        """The team's databases."""
        return self._several("/databases", Database)

    def set_options(self, uuid: str, text: str) -> None:
        """
        Write an application's Custom Docker Options, and nothing else of it.

        Coolify has no way to write them only if they are as they were read. Raises ``Rejected``,
        ``NotFound`` and ``UnknownOutcome`` too.
        """
        body = {"custom_docker_run_options": text}
        self._transport.write("PATCH", f"/applications/{_checked(uuid)}", body)

    def restart(self, uuid: str) -> str | None:
        """
        Have an application's containers made anew from what is built; raises as ``set_options``.

        Gives the deployment's uuid. None: one is under way, and Coolify begins no other. It gives a
        uuid also where its queue is full and there will be no such deployment
        (``action_restart`` in ApplicationsController.php passes over ``queue_full``).
        """
        answer = self._transport.write("POST", f"/applications/{_checked(uuid)}/restart", {})
        found = answer.get("deployment_uuid") if isinstance(answer, dict) else None
        return found if isinstance(found, str) and re.fullmatch(UUID, found) else None

    def deployment(self, uuid: str) -> Deployment | None:
        """A deployment; None if there is none."""
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
    if isinstance(answer, dict):  # PHP's arrays are objects if a number is left out
        return list(answer.values())
    if not isinstance(answer, list):
        raise _other(path, "no list")
    return answer


def _valid(model: type[M], answer: Any, path: str) -> M:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "all of it"
        raise _other(path, f"{place}: {first['msg']}") from None


def _other(path: str, what: str) -> NoAnswer:
    """``what`` is without what is there, which may be a secret."""
    todo = "see that gvisor_coolify_url is Coolify's"
    return NoAnswer(f"Coolify answers GET {path} otherwise than we know it", got=what, todo=todo)


def _version(body: bytes) -> str:
    text = body.decode("utf-8").strip().strip('"')
    if not _VERSION.fullmatch(text):
        raise ValueError
    return text


def _checked(uuid: str) -> str:
    """For a path; some of them were said by a server."""
    if not re.fullmatch(UUID, uuid):
        raise Problem("no uuid of Coolify's", got=uuid, todo="look at it in Coolify")
    return uuid

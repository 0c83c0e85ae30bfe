"""
The parts of Coolify's API answers that this package uses.

Source: app/Http/Controllers/Api/*.php of Coolify 4.3.11. Fields that can contain a secret
(variables, labels, a Dockerfile, a webhook's secret) are left out, so they are never stored.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from pyinfra_gvisor.base.models import Reading

UUID = r"[A-Za-z0-9_-]+"

Uuid = Annotated[str, StringConstraints(pattern=f"^{UUID}$")]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Flag = Annotated[bool, BeforeValidator(lambda value: value or False)]


class _Answer(Reading):
    """An answer of PHP, which may send numbers as strings and strings as numbers."""

    model_config = ConfigDict(coerce_numbers_to_str=True)


class ServerSettings(_Answer):
    """The relevant settings of a server."""

    is_build_server: Flag = False
    is_swarm_manager: Flag = False
    is_swarm_worker: Flag = False


class Server(_Answer):
    """A server of the token's team. ``ip`` may be a name."""

    uuid: Uuid
    name: Text = ""
    ip: Text = ""
    user: Text = ""
    port: Annotated[int, BeforeValidator(lambda value: value or 22)] = 22
    settings: Annotated[ServerSettings, BeforeValidator(lambda value: value or {})] = Field(
        default_factory=ServerSettings
    )

    @property
    def is_build_server(self) -> bool:
        """Return True if the server only builds images, and runs no apps."""
        return self.settings.is_build_server

    @property
    def is_swarm(self) -> bool:
        """Return True if the server is part of a swarm."""
        return self.settings.is_swarm_manager or self.settings.is_swarm_worker


class Resource(_Answer):
    """
    A resource on a server.

    ``type`` is ``application``, ``service``, or for example ``standalone-postgresql``. ``id`` is
    the number in the label ``coolify.applicationId`` of its containers.
    """

    id: int | None = None
    uuid: Uuid
    name: Text = ""
    type: Text = ""
    status: Text = ""


class ApplicationSettings(_Answer):
    """The settings of an application that decide whether its options reach its containers."""

    is_consistent_container_name_enabled: Flag = False
    custom_internal_name: str | None = None
    is_preview_deployments_enabled: Flag = False

    @property
    def keep_options_off(self) -> bool:
        """
        Return True if Coolify creates the containers without the options.

        It does so if both of these are set: ``generate_compose_file`` in
        app/Jobs/ApplicationDeploymentJob.php.
        """
        named = self.custom_internal_name not in (None, "", "0")  # values that are false in PHP
        return self.is_consistent_container_name_enabled and named


class Application(_Answer):
    """
    An application.

    ``settings`` are None if the API does not show them: in the list of all applications, and before
    Coolify 4.2 everywhere.
    """

    uuid: Uuid
    name: Text = ""
    build_pack: Text = ""
    custom_docker_run_options: str | None = None
    status: Text = ""
    settings: Annotated[
        ApplicationSettings | None, BeforeValidator(lambda value: value or None)
    ] = None


class Database(_Answer):
    """A database."""

    uuid: Uuid
    name: Text = ""
    custom_docker_run_options: str | None = None
    status: Text = ""


class Deployment(_Answer):
    """
    A deployment.

    ``status``: ``queued``, ``in_progress``, ``finished``, ``failed`` or ``cancelled-by-user``
    (app/Enums/ApplicationDeploymentStatus.php).
    """

    deployment_uuid: Uuid
    status: Text = ""

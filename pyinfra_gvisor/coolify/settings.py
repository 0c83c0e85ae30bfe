"""The ``gvisor_coolify*`` keys: Coolify's control host, and the apps of its servers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.coolify.address import api_url
from pyinfra_gvisor.policy.selectors import Reason
from pyinfra_gvisor.runtimes.profiles import check_runtime_name


class AppExemption(Strict):
    """An app that is exempt from the runtime, and why."""

    app: str = Field(min_length=1, description="Its name or uuid, or a pattern such as `shop-*`.")
    reason: Reason = Field(description="Why. Every run repeats it.")


class CoolifySettings(Strict):
    """What is declared for Coolify. The token is not a setting, so no settings file contains it."""

    coolify: Annotated[bool, Field(strict=True)] = Field(
        True,
        description="For `deploys/coolify.py`, on hosts of the group `coolify`: patch Coolify so "
        "that it honours `--runtime`, also after upgrades. `False`: remove patch and files.",
    )
    coolify_url: str | None = Field(
        None,
        description="The URL of Coolify, such as `https://coolify.example.com`. With it, apps "
        "are set and audits compare them. `http://` only to this machine, such as an SSH tunnel to "
        "Coolify's host. `None`: Coolify's API is not used.",
    )
    coolify_token_file: str | None = Field(
        None,
        min_length=1,
        description="A file on the controller with the API token (permissions `read`, `write` and "
        "`deploy`), readable only by its owner. `None`: the token is in the environment variable "
        "`COOLIFY_TOKEN`.",
    )
    coolify_servers: tuple[str, ...] = Field(
        (),
        description="The servers whose apps are set: names, uuids or addresses, as patterns. "
        '`["*"]`: all. Name only servers that have the runtime: without it, apps do not start.',
    )
    coolify_runtime: str = Field("runsc", description="The runtime that these apps must ask for.")
    coolify_exempt: tuple[AppExemption, ...] = Field(
        (), description='Apps that are not set, each `{"app": "shop-*", "reason": "…"}`.'
    )
    coolify_redeploy: Literal["never", "changed"] = Field(
        "never",
        description="`changed`: Coolify restarts running apps whose option was set, one after the "
        "other. `never`: the option takes effect with their next deployment.",
    )
    coolify_redeploy_timeout_s: Annotated[int, Field(ge=10, le=86400, strict=True)] = Field(
        1800, description="Time limit of one such restart, in seconds."
    )

    @field_validator("coolify_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None:
            api_url(value)
        return value

    @field_validator("coolify_runtime")
    @classmethod
    def _runtime_name(cls, value: str) -> str:
        check_runtime_name(value)
        return value

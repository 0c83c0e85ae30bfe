"""The ``gvisor_coolify*`` keys: Coolify's control host, and the apps of its servers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pyinfra_gvisor.coolify.address import api_url
from pyinfra_gvisor.models import Strict
from pyinfra_gvisor.policy.selectors import Reason
from pyinfra_gvisor.runtimes.profiles import check_runtime_name


class AppExemption(Strict):
    """An app that need not ask for the runtime, and why."""

    app: str = Field(min_length=1, description="Its name or uuid; a pattern such as `shop-*`.")
    reason: Reason = Field(description="Why; it is repeated in every run.")


class CoolifySettings(Strict):
    """What is wanted of Coolify. Its token is no setting, so that no such file has it."""

    coolify: Annotated[bool, Field(strict=True)] = Field(
        True,
        description="For `deploys/coolify.py`, on hosts of the group `coolify`: whether Coolify is "
        "to honour `--runtime`, and to go on to. `False`: its source and files are as they were.",
    )
    coolify_url: str | None = Field(
        None,
        description="Where Coolify answers, such as `https://coolify.example.com`; with it apps "
        "are set and audits compare. `http://` only to this machine, such as an ssh tunnel to "
        "Coolify's host. `None`: its API is not asked.",
    )
    coolify_token_file: str | None = Field(
        None,
        min_length=1,
        description="A file on the controller with the API token (permissions `read`, `write` and "
        "`deploy`), which nobody else may read. `None`: it is in the environment, as "
        "`COOLIFY_TOKEN`.",
    )
    coolify_servers: tuple[str, ...] = Field(
        (),
        description="The servers whose apps are set: names, uuids or addresses, as patterns; "
        '`["*"]`: all. Only ones that have the runtime: without it no app of theirs would start.',
    )
    coolify_runtime: str = Field("runsc", description="The runtime that these apps are to ask for.")
    coolify_exempt: tuple[AppExemption, ...] = Field(
        (), description='Apps to leave as they are, each `{"app": "shop-*", "reason": "…"}`.'
    )
    coolify_redeploy: Literal["never", "changed"] = Field(
        "never",
        description="`changed`: running apps whose option was set are restarted by Coolify, one "
        "after the other, so that it takes effect. `never`: it does with their next deployment.",
    )
    coolify_redeploy_timeout_s: Annotated[int, Field(ge=10, le=86400, strict=True)] = Field(
        1800, description="Seconds that one of these may take."
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

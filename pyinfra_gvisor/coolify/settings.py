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
        description="With `deploys/coolify.py`, on hosts of the group `coolify`: patch Coolify to "
        "honour `--runtime`, also after upgrades. `False`: remove patch and files.",
    )
    coolify_url: str | None = Field(
        None,
        description="Coolify's URL, such as `https://coolify.example.com`, to set apps and to "
        "compare them in audits. `http://` only to this machine, such as an SSH tunnel. `None`: "
        "the API is not used.",
    )
    coolify_token_file: str | None = Field(
        None,
        min_length=1,
        description="File on the controller with the API token (`read`, `write` and `deploy`), "
        "readable only by its owner. `None`: `COOLIFY_TOKEN` in the environment.",
    )
    coolify_servers: tuple[str, ...] = Field(
        (),
        description='Servers whose apps are set: patterns of names, uuids or addresses. `["*"]`: '
        "all. Without the runtime on a server, its apps do not start.",
    )
    coolify_runtime: str = Field("runsc", description="The runtime that these apps must ask for.")
    coolify_exempt: tuple[AppExemption, ...] = Field(
        (), description='Apps that are not set, each `{"app": "shop-*", "reason": "…"}`.'
    )
    coolify_redeploy: Literal["never", "changed"] = Field(
        "never",
        description="`changed`: Coolify restarts running apps whose option was set, one by one. "
        "`never`: it takes effect at their next deployment.",
    )
    coolify_redeploy_timeout_s: Annotated[int, Field(ge=10, le=86400, strict=True)] = Field(
        1800, description="Seconds that one such restart may take."
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

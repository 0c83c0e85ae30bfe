"""The answer of ``docker info``."""

from __future__ import annotations

import re
from typing import Any

from pydantic import AliasPath, Field, ValidationInfo, field_validator

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.sandbox.verdict import RuntimeEntry


class DockerInfo(Reading):
    """The running dockerd as ``docker info`` describes it."""

    server_version: str = Field(alias="ServerVersion")
    runtimes: dict[str, RuntimeEntry] = Field(default_factory=dict, alias="Runtimes")
    default_runtime: str = Field("runc", alias="DefaultRuntime")
    live_restore: bool = Field(False, alias="LiveRestoreEnabled")
    security_options: tuple[str, ...] = Field((), alias="SecurityOptions")
    root_dir: str = Field("/var/lib/docker", alias="DockerRootDir")
    logging_driver: str = Field("", alias="LoggingDriver")
    log_drivers: tuple[str, ...] = Field((), validation_alias=AliasPath("Plugins", "Log"))
    cgroup_driver: str = Field("", alias="CgroupDriver")
    driver: str = Field("", alias="Driver")
    driver_status: tuple[tuple[str, ...], ...] = Field((), alias="DriverStatus")
    # A version or a commit, depending on the build; moby's ContainerdCommit and RuncCommit.
    containerd: str = Field("", validation_alias=AliasPath("ContainerdCommit", "ID"))
    runc: str = Field("", validation_alias=AliasPath("RuncCommit", "ID"))
    # iptables or nftables, with "+firewalld" if that runs: since 28.1
    firewall: str = Field("", validation_alias=AliasPath("FirewallBackend", "Driver"))
    swarm: dict[str, Any] = Field(default_factory=dict, alias="Swarm")
    # Of dockerd's environment or its daemon.json.
    http_proxy: str = Field("", alias="HttpProxy")
    https_proxy: str = Field("", alias="HttpsProxy")
    registries: dict[str, Any] = Field(default_factory=dict, alias="RegistryConfig")

    @field_validator(
        *("runtimes", "swarm", "registries"),
        *("security_options", "log_drivers", "driver_status"),
        mode="before",
    )
    @classmethod
    def _null_is_none(cls, value: object, field: ValidationInfo) -> object:
        return (
            cls.model_fields[str(field.field_name)].get_default(call_default_factory=True)
            if value is None
            else value
        )

    @field_validator("http_proxy", "https_proxy")
    @classmethod
    def _without_password(cls, value: str) -> str:
        return re.sub(r"//[^/]*@", "//", value)

    @property
    def containerd_store(self) -> bool | None:
        """Return True if images are in containerd's store, None if Docker does not tell."""
        if not self.driver:
            return None
        return ("driver-type", "io.containerd.snapshotter.v1") in self.driver_status

    @property
    def firewall_backend(self) -> str:
        """Return ``iptables`` or ``nftables``; before Docker 28.1 there is only iptables."""
        return self.firewall.partition("+")[0] or "iptables"

    @property
    def swarm_active(self) -> bool:
        """Return True if the node is part of a swarm, or is joining one."""
        return self.swarm.get("LocalNodeState", "inactive") not in ("inactive", "")

    @property
    def mirrors(self) -> tuple[str, ...]:
        """Return the URLs of registry mirrors."""
        return tuple(map(str, self.registries.get("Mirrors") or ()))

    @property
    def insecure_registries(self) -> tuple[str, ...]:
        """Return the registries that are asked without a certificate, some with a port."""
        found = self.registries.get("IndexConfigs") or {}
        return tuple(host for host, item in found.items() if item.get("Secure") is False)

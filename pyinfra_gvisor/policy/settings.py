"""The ``gvisor_*`` keys about the policy, the audit, its reports and the watch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.policy.selectors import COOLIFY, Exemption, Reason, Selector

# An absolute path; characters that a shell or systemd would interpret are refused.
Directory = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]+$")]


class AuditSettings(Strict):
    """Settings of the policy, the audit, its reports and the watch."""

    must_sandbox: tuple[Selector, ...] = Field(
        (COOLIFY,),
        description='Containers that must run in gVisor, each `{"labels": {…}, "name": "shop-*"}` '
        "with either or both. A label's value may be a list of allowed values. `[]`: none. Not "
        "used with `gvisor_default`: then all must, except `gvisor_infrastructure`.",
    )
    exempt: tuple[Exemption, ...] = Field(
        (),
        description="Exceptions from `gvisor_must_sandbox`: the same form, with a `reason` that "
        "every report repeats.",
    )
    waivers: dict[str, Reason] = Field(
        default_factory=dict,
        description="Accepted findings: a reason by rule (`daemon-json-mode`) or by "
        "docker-bench-security's id (`2.9`).",
    )
    audit_fail_on: Severity = Field(
        Severity.HIGH,
        description="The audit fails a host with a finding of this severity or worse.",
    )
    report_dir: str | None = Field(
        None,
        min_length=1,
        description="Directory for reports of audit and deploy, on the controller; relative to "
        "the directory in which pyinfra is started. `None`: no reports.",
    )
    textfile_dir: Directory | None = Field(
        None,
        description="Directory on the node in which Prometheus' node exporter reads textfiles. It "
        "must exist before the run. `None`: no metrics.",
    )
    watch: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="Install a systemd timer on the node that looks for containers that must run "
        "in gVisor and do not.",
    )
    watch_interval_s: Annotated[int, Field(ge=10, le=86400, strict=True)] = Field(
        120, description="Seconds between two checks of the watch."
    )
    watch_action: Literal["report", "stop"] = Field(
        "report",
        description="What the watch does with such a container: `report` it in the journal, or "
        "report and `stop` it.",
    )

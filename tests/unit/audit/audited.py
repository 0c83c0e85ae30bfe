"""What an audit finds on a node that a test describes."""

import re
from collections.abc import Iterable
from typing import Any

from pyinfra_gvisor.audit.judge import judge
from pyinfra_gvisor.audit.observed import parse_observed
from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.coolify.control_host import ControlHost
from pyinfra_gvisor.coolify.declared_apps import DeclaredApps
from pyinfra_gvisor.policy.findings import Finding
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.settings import load_settings
from tests.cases.proven import RELEASE, proven_answer
from tests.unit.answers import END, Running, installed

# Of every node without gvisor_egress and gvisor_kernel, as those of most tests are.
NOTED = ("egress-not-declared", "kernel-not-declared")
AT = "2026-10-01T10:00:00+00:00"
BARE: dict[str, Any] = {"runtime": "runc", "executable": "/usr/bin/node", "argv0": "node"}
COOLIFY = {"coolify.managed": "true", "coolify.type": "application"}


def looked_at(
    *lines: str,
    settings: dict[str, Any] | None = None,
    answer: list[str] | None = None,
    apps: DeclaredApps | None = None,
    control: ControlHost | None = None,
    builds: bool = False,
) -> Audited:
    """A node that is as declared but for these lines of its answer, as an audit sees it."""
    found, problems = load_settings(settings or {})
    assert found, problems
    told = list(answer if answer is not None else proven_answer())
    told[-1:] = [*lines, END]
    return Audited(parse_observed(told), found, apps, control, builds=builds)


def audited(*lines: str, **given: Any) -> HostReport:
    """The report on such a node."""
    return judge("run-1", looked_at(*lines, **given), at=AT, by="audit")


def with_container(
    container: Running, apps: DeclaredApps | None = None, **settings: Any
) -> HostReport:
    """The report on a node as declared on which this container runs."""
    given = {f"gvisor_{key}": value for key, value in settings.items()}
    release = re.match(r"/opt/gvisor/releases/([^/]+)/", container.executable)
    others = installed(release[1]) if release and release[1] != RELEASE else []
    return audited(*others, *container.lines(), settings=given, apps=apps)


def found(report: HostReport) -> dict[str, Finding]:
    """What is found and not waived, by ``rule subject``; what is noted of every node left out."""
    return {
        f"{item.id} {item.subject}": item
        for item in report.findings
        if item.waived is None and item.id not in NOTED
    }


def waived(report: HostReport) -> dict[str, str]:
    """Why what is waived is, by ``rule subject``."""
    return {f"{item.id} {item.subject}": item.waived for item in report.findings if item.waived}


def ids(report: HostReport) -> Iterable[str]:
    """The rules that found something which is not waived, as ``found``."""
    return [item.id for item in found(report).values()]


def app(*, labels: dict[str, str] | None = None, here: bool = True, **others: Any) -> Running:
    """An app of Coolify's in a sandbox of the declared release, without a capability."""
    labels = COOLIFY if labels is None else labels
    given = {"Labels": labels, "CapDrop": ["ALL"], **others.pop("given", {})}
    known = {
        "runtime": "runsc",
        "executable": f"/opt/gvisor/releases/{RELEASE}/runsc",
        "argv0": "runsc-sandbox",
        **others,
    }
    return Running("shop", here=here, given=given, **known)

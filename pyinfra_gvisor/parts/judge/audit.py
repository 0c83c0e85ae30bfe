"""Audit the resident judge: is it asked, does it answer, and are its files as declared?"""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.daemon_json.shared_lists import AUTHORIZATION
from pyinfra_gvisor.judge.rules import PLUGIN
from pyinfra_gvisor.node import DAEMON_JSON
from pyinfra_gvisor.parts.judge.files import NAME
from pyinfra_gvisor.parts.judge.plan import declared_files, names_judge
from pyinfra_gvisor.parts.judge.state import JudgeState
from pyinfra_gvisor.policy.findings import Severity


def _not_asked(host: Audited) -> Iterator[Observation]:
    if not host.settings.has_door:
        return
    if not names_judge(host.node):
        yield Observation(DAEMON_JSON, f"{AUTHORIZATION} does not name {PLUGIN}")
    if down := host.node.part(JudgeState).down(asked=True):
        yield Observation(NAME, " and ".join(down))
    if host.settings.door == "report":
        yield Observation(NAME, 'gvisor_door is "report": nothing is refused', Severity.MEDIUM)


def _links_followed(host: Audited) -> Iterator[Observation]:
    if host.settings.has_door:
        for name in host.node.part(JudgeState).outside:
            yield Observation(name, "started unchecked, and may need links in its volumes")


def _not_resident(host: Audited) -> Iterator[Observation]:
    if host.settings.has_door or host.node.init != "systemd":
        return
    down = host.node.part(JudgeState).down(asked=False)
    if down and declared_files(host.node, host.expected):
        yield Observation(NAME, " and ".join(down))


def _not_declared(host: Audited) -> Iterator[Observation]:
    found = host.node.part(JudgeState)
    files = declared_files(host.node, host.expected)
    if not files or not found.there:
        return
    for path, what in found.other(files):
        yield Observation(path, what)
    if not found.enabled:
        yield Observation(NAME, "its socket is not enabled: it will not listen after a reboot")


def _permitted(host: Audited) -> Iterator[Observation]:
    names = {item.id: item.name for item in host.node.containers}
    for permit in host.node.part(JudgeState).permits:
        about = permit.about
        what = f"{about.by}: {about.reason}: {about.command}" if about else "its file is damaged"
        if permit.container is None:
            yield Observation(NAME, what)
        elif permit.container in names:
            yield Observation(names[permit.container], what)


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "door-open",
        Severity.HIGH,
        "dockerd does not ask pyinfra-gvisor before it acts, so even a refused container can have "
        "changed the node",
        "Read journalctl -u pyinfra-gvisor-judge on the node, then run pyinfra-gvisor apply",
        _not_asked,
    ),
    Rule(
        "links-followed",
        Severity.MEDIUM,
        "dockerd follows symbolic links in volumes while an unchecked container may need them. A "
        "container could have it write elsewhere on the node",
        "Recreate the container. A minute later dockerd follows no links in volumes",
        _links_followed,
    ),
    Rule(
        "judge-not-resident",
        Severity.LOW,
        "The judge does not run as a service, so containers start about 0.1 s later",
        "Read journalctl -u pyinfra-gvisor-judge on the node, then run pyinfra-gvisor apply",
        _not_resident,
    ),
    Rule(
        "judge-not-as-declared",
        Severity.MEDIUM,
        "The files of the judge's service are missing or were changed",
        "Find out who changed them, then run pyinfra-gvisor apply",
        _not_declared,
    ),
    Rule(
        "permit-given",
        Severity.LOW,
        "An operator allowed a Docker command that is refused otherwise: what the command created "
        "may have access to the node",
        "Remove what the command created when nobody needs it, or accept the container",
        _permitted,
    ),
)

"""Try a container under gVisor before it is moved."""

from __future__ import annotations

from functools import partial

from pyinfra import host
from pyinfra.api import operation

from pyinfra_gvisor.apps.outlook import outlooks
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.facts.apps import RunningApps
from pyinfra_gvisor.facts.asking import get, why_unread
from pyinfra_gvisor.facts.node import read_node
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.run_support.converge import Commands, on_node
from pyinfra_gvisor.run_support.ending import only_looks
from pyinfra_gvisor.run_support.messages import tell_detail
from pyinfra_gvisor.run_support.probing import probe
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.trials.asked import USUAL_S, Asked, asked_trial, find_app
from pyinfra_gvisor.trials.judged import trial
from pyinfra_gvisor.trials.script import limit_s, trial_script


@operation(is_idempotent=False)
def container(
    app: str, *, settings: Settings, seconds: int = USUAL_S, control: bool = False
) -> Commands:
    """
    Run a twin of a container under its declared runtime, and a control under runc.

    + app: name or id of a running container
    + settings: as they will be after the move
    + seconds: how long each runs
    + control: also if the container is in gVisor: its code then runs outside for so long

    Tells the verdict. Leaves nothing on the node; no proof and no audit of it can run meanwhile.
    Fails the host if there is no such container, or if the trial did not end.
    """

    def body(node: Node) -> Commands:
        only_looks(host)
        asked = _asked(node, settings, app, seconds, control=control)
        more = ", after a control under runc" if asked.control else ""
        tell_detail(f"try {asked.outlook.name} under {asked.outlook.runtime}{more}")
        script = trial_script(asked, node, settings)
        yield probe("trial.container", script, limit_s(seconds), partial(trial, asked=asked))

    yield from on_node("trial.container", app, body, _reader(settings))


def _reader(settings: Settings) -> partial[Node | None]:
    return partial(read_node, settings=settings)


def _asked(node: Node, settings: Settings, app: str, seconds: int, *, control: bool) -> Asked:
    """Return the trial. Raises ``Problem`` if it cannot be made."""
    found = get(host, RunningApps)
    if found is None:
        what = "running containers cannot be read"
        raise why_unread(host) or Problem(what, todo="run pyinfra-gvisor doctor")
    app_found = find_app(app, found)
    declared = host.data.get("gvisor_default", "off") != "off"
    told = outlooks(host.name, node, settings, found, declared=declared)
    asked = asked_trial(app_found, told, seconds, control=control)
    runtime = asked.outlook.runtime
    if node.info is None or runtime not in node.info.runtimes:
        what = f"dockerd does not have the runtime {runtime}"
        raise Problem(what, todo="run pyinfra-gvisor apply first")
    return asked

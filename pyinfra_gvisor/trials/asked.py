"""Which container is to be tried, and how."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyinfra_gvisor.apps.seen import App, Apps
from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.spelling import did_you_mean, near
from pyinfra_gvisor.report.outlooks import AppOutlook, AppOutlooks
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME

SHORTEST_S, USUAL_S, LONGEST_S = 2, 20, 120
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What Docker takes as the name or the id of a container: moby, daemon/names/names.go."""
_OF_RUNC = ("", "runc", "io.containerd.runc.v2", DEFAULT_RUNTIME)
_ID = re.compile("[0-9a-f]{4,64}")
_MOST = 12  # names in a message


@dataclass(frozen=True)
class Asked:
    """
    A trial that is asked for.

    + id: of the container
    + outlook: what is known of it under the runtime that is declared for it
    + seconds: how long the control and the twin run
    + control: whether there is a control, which runs outside of gVisor
    + assumed: the outlook is for ``gvisor_default = "sandbox"``, which is not declared yet
    + unknown: why it is not known what Docker would refuse; empty if it is
    """

    id: str
    outlook: AppOutlook
    seconds: int
    control: bool
    assumed: bool = False
    unknown: str = ""


def given_trial(app: object, seconds: object, control: object) -> tuple[str, int, bool]:
    """
    Return what a host's data say about a trial. Raises ``Problem`` if that is invalid.

    + seconds, control: None for the usual
    """
    if not isinstance(app, str) or not NAME.fullmatch(app):
        todo = "write --data 'trial_app=\"NAME\"', name or id of a running container"
        raise Problem("trial_app is no container", got=app, todo=todo)
    given = USUAL_S if seconds is None else seconds
    if type(given) is not int or not SHORTEST_S <= given <= LONGEST_S:
        todo = f"write a number from {SHORTEST_S} to {LONGEST_S}"
        raise Problem("trial_seconds is no such number", got=given, todo=todo)
    if control not in (None, True, False):
        raise Problem("trial_control is neither True nor False", got=control, todo="write True")
    return app, given, bool(control)


def find_app(given: str, found: Apps) -> App:
    """
    Return the running container of this name or id.

    Raises ``Problem`` with names that are near if there is none.
    """
    for app in found.apps:
        if given in (app.name, app.id):
            return app
    by_id = [app for app in found.apps if _ID.fullmatch(given) and app.id.startswith(given)]
    if len(by_id) == 1:
        return by_id[0]
    if by_id:
        what = "several running containers have an id that begins like this"
        raise Problem(what, got=given, todo="write more of it")
    names = [app.name for app in found.apps]
    raise Problem("no running container has this name or id", got=given, todo=_todo(given, names))


def _todo(given: str, names: Sequence[str]) -> str:
    if question := did_you_mean(near(given, names)):
        return question
    if inside := [name for name in names if given.casefold() in name.casefold()]:
        return f"did you mean {some(inside, _MOST)}?"
    return f"the running ones are {some(names, _MOST)}" if names else "start it"


def asked_trial(app: App, told: AppOutlooks, seconds: int, *, control: bool) -> Asked:
    """
    Return the trial of a container.

    + told: what is known of the containers of its node
    + control: have one even if the container was not seen under runc: its code may leave a sandbox
    """
    (outlook,) = (item for item in told.apps if item.name == app.name)
    # What was not seen under runc itself may be in a sandbox, ours or another one.
    under_runc = outlook.now == "runc" and app.options.runtime in _OF_RUNC
    has_control = control or under_runc
    return Asked(app.id, outlook, seconds, has_control, told.assumed, told.unknown)

"""Install or remove the keeper, which checks that what is declared is in force."""

from __future__ import annotations

from functools import partial

from pyinfra_gvisor.parts.keeper.files import DIRECTORY, METRICS, NAME
from pyinfra_gvisor.parts.keeper.isolation import FILE
from pyinfra_gvisor.parts.keeper.plan import plan_keeper
from pyinfra_gvisor.parts.keeper.runtimes import Restored
from pyinfra_gvisor.parts_common.timed import timer_variables
from pyinfra_gvisor.run_support.converge import Commands, converge
from pyinfra_gvisor.run_support.run_script import timer_command
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.settings import Settings

OPERATION = "keeper.keeper"
_TIMER = timer_variables(DIRECTORY, NAME, METRICS, FILE)


def apply(settings: Settings) -> None:
    """Install the keeper for what a host's settings declare. Called by a deploy."""
    keeper(wanted=settings, name="Install the keeper")


def rolled_back(settings: Settings, restored: Restored) -> None:
    """Install the keeper for what a rollback has restored. Called by a rollback."""
    keeper(wanted=settings, restored=restored, name="Install the keeper of the restored generation")


def remove(_settings: Settings | None) -> None:
    """Remove the keeper. Called by a deploy."""
    keeper(wanted=None, name="Remove the keeper")


@operation()
def keeper(wanted: Settings | None, *, restored: Restored | None = None) -> Commands:
    """
    Install the systemd timer that checks that what is declared is in force, and restores it.

    + wanted: the settings of the host; None removes the timer and its files
    + restored: what a rollback has restored; None if everything is as the settings declare

    It checks the firewall, sysctls and blocked modules, the resolver, the resident judge, the place
    of runc, dockerd's runtimes and the files of the release. A node without systemd gets none, and
    a warning.
    """

    yield from converge(
        OPERATION,
        NAME,
        lambda node: plan_keeper(node, wanted, restored),
        partial(timer_command, OPERATION, _TIMER),
        settled="the keeper is as declared",
    )

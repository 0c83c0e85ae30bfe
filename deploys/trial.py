"""
Try one running container under gVisor, before it is moved. Leaves nothing on the node.

.. code:: shell

    pyinfra inventories/run.py deploys/trial.py --limit run-1 --data trial_app=shop -y
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.deploys.checks import fail, host_settings
from pyinfra_gvisor.operations import trial
from pyinfra_gvisor.run_support.ending import close_with_summary
from pyinfra_gvisor.settings import load_moved_settings
from pyinfra_gvisor.trials.asked import given_trial


@deploy("Try")
def try_container() -> None:
    """Say how a container does under the runtime that is declared for it."""
    close_with_summary(host, "try")
    settings = host_settings(host, load_moved_settings)
    if settings is None:
        return
    given = (host.data.get(f"trial_{key}") for key in ("app", "seconds", "control"))
    try:
        app, seconds, control = given_trial(*given)
    except Problem as problem:
        fail(host, problem.at("trial", "--data", host.name))
        return
    trial.container(app=app, settings=settings, seconds=seconds, control=control, name=f"Try {app}")


if not __name__.startswith("pyinfra_gvisor."):
    try_container()

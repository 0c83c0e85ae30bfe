"""
Coolify's control host: it honours ``--runtime``, goes on to behind upgrades, and apps ask for it.

.. code:: shell

    pyinfra inventories/run.py deploys/coolify.py --dry
    pyinfra inventories/run.py deploys/coolify.py
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.checks import coolify_settings
from pyinfra_gvisor.operations import coolify


@deploy("Coolify")
def run_control_host() -> None:
    """The option in Coolify's source, what keeps it there, and the apps; others are passed over."""
    settings = coolify_settings(host)
    if settings is None:
        return
    if not settings.coolify:
        take_back()
        return
    coolify.runtime_option(name="Have Coolify honour --runtime")
    coolify.persistence(name="Have that outlive upgrades")
    if settings.coolify_url:
        coolify.apps(settings=settings, name=f"Have apps ask for {settings.coolify_runtime}")


def take_back() -> None:
    """First what would put the option back, then the option."""
    coolify.persistence(present=False, name="Remove what outlives upgrades")
    coolify.runtime_option(present=False, name="Give Coolify's source back")


if not __name__.startswith("pyinfra_gvisor."):
    run_control_host()

"""
Make Coolify honour ``--runtime``, also after upgrades, and make its apps ask for it.

.. code:: shell

    pyinfra inventories/run.py deploys/coolify.py --dry
    pyinfra inventories/run.py deploys/coolify.py
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.control_host import coolify_settings
from pyinfra_gvisor.operations import coolify


@deploy("Coolify")
def run_control_host() -> None:
    """Patch Coolify's source, keep the patch, and set the apps. Skips other hosts."""
    settings = coolify_settings(host)
    if settings is None:
        return
    if not settings.coolify:
        take_back()
        return
    coolify.runtime_option(name="Patch Coolify to honour --runtime")
    coolify.persistence(name="Keep the patch after upgrades of Coolify")
    if settings.coolify_url:
        coolify.apps(settings=settings, name=f"Set --runtime={settings.coolify_runtime} on apps")


def take_back() -> None:
    """Remove first what would restore the patch, then the patch."""
    coolify.persistence(present=False, name="Stop keeping the patch after upgrades of Coolify")
    coolify.runtime_option(present=False, name="Remove the patch from Coolify")


if not __name__.startswith("pyinfra_gvisor."):
    run_control_host()

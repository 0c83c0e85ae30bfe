"""Before the first change on Coolify's control host: find the host, and refuse what cannot work."""

from __future__ import annotations

import os

from pyinfra.api import Host

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.groups import COOLIFY
from pyinfra_gvisor.coolify.refusals import refusals
from pyinfra_gvisor.deploys.checks import fail, host_settings, known, misplaced
from pyinfra_gvisor.facts.coolify import CoolifyState
from pyinfra_gvisor.facts.node import read_once
from pyinfra_gvisor.run_support.ending import close_with_summary
from pyinfra_gvisor.settings import Settings


def coolify_settings(host: Host) -> Settings | None:
    """
    Return the settings of Coolify's control host; None for any other host, which is skipped.

    A host with wrong settings fails, with every reason said. If the run has no control host, every
    host fails.
    """
    close_with_summary(host, "coolify")
    control_hosts = host.inventory.get_group(COOLIFY, None) or ()
    if any(map(host.state.is_host_in_limit, control_hosts)):
        return _control_host(host) if COOLIFY in host.groups or misplaced(host) else None
    what = f"no host is in the group {COOLIFY}"
    todo = f"add Coolify's control host to the list {COOLIFY} in the inventory"
    if control_hosts:
        what, todo = f"--limit leaves no host of the group {COOLIFY}", "add this group to --limit"
    fail(host, Problem(what, todo=todo).at("coolify", "inventory", host.name))
    return None


def _control_host(host: Host) -> Settings | None:
    settings = host_settings(host)
    found = None if settings is None else known(host, read_once(host, CoolifyState), "Coolify")
    if settings is None or found is None:
        return None
    refused = [*refusals(found, settings, os.environ)]
    if refused:
        fail(host, *(problem.at(name, what, host.name) for name, what, problem in refused))
        return None
    return settings

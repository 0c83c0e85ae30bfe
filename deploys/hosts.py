"""
Refuse a run that looks at no host: without hosts pyinfra runs no deploy, and ends with 0.

``config.py`` and ``inventories/group_data/all.py`` call this, one of which pyinfra reads in every
run from a checkout. Your own ``config.py`` can do the same:

.. code:: python

    from pyinfra_gvisor.deploys.hosts import require_hosts

    require_hosts()
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any

import click
from pyinfra.api import Config, Host, Inventory
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_state

from pyinfra_gvisor.drift.record import RECORD_PATH
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.spelling import did_you_mean, near


def require_hosts() -> None:
    """Have pyinfra end with an error, before it connects, if no host is left to look at."""
    if not ctx_state.isset() or RECORD_PATH in os.environ:
        return  # not read by pyinfra's command line, or by the drift command, which sees by itself
    state: Any = ctx_state.get()
    if state.initialised or "init" in vars(state):
        return
    init = state.init

    def init_with_hosts(
        inventory: Inventory, config: Config | None, initial_limit: list[Host] | None = None
    ) -> None:
        init(inventory, config, initial_limit=initial_limit)
        chosen = len(inventory) if initial_limit is None else len(initial_limit)
        try:
            refuse_nobody(inventory, _limits(), chosen=chosen)
        except Problem as problem:
            raise PyinfraError(f"{problem}. Nothing was looked at.") from None

    # pyinfra calls no callback of anybody's before it connects, and none at all without hosts.
    state.init = init_with_hosts


def refuse_nobody(inventory: Inventory, limits: Sequence[str], *, chosen: int) -> None:
    """
    Raise ``Problem`` if a run looks at no host, or a ``--limit`` of several matches none.

    + limits: the patterns of ``--limit``
    + chosen: how many hosts are left
    """
    if not len(inventory):
        raise Problem("the inventory has no host", todo="look at its path, and at its lists")
    names = {*(host.name for host in inventory), *inventory.groups}
    for pattern in limits:
        # As _get_inventory_pattern_matches in pyinfra_cli/cli.py of pyinfra 3.10.
        if not any(fnmatch(host.name, pattern) or pattern in host.groups for host in inventory):
            if pattern in inventory.groups:
                raise Problem("the group has no host", got=pattern, todo="look at its list")
            todo = did_you_mean(near(pattern, names)) or "list the hosts with debug-inventory"
            raise Problem("--limit matches no host and no group", got=pattern, todo=todo)
    if not chosen:
        raise Problem("no host is left after --limit and --exclude", todo="look at both")


def _limits() -> tuple[str, ...]:
    context = click.get_current_context(silent=True)
    return tuple((context.params.get("limit") if context else None) or ())

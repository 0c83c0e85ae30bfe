"""
Refuse a run without hosts, in which pyinfra runs no deploy and exits with 0, or with two of a name.

``config.py`` and ``inventories/group_data/all.py`` call this. Every run from a checkout reads one
of them. Your own ``config.py`` can do the same:

.. code:: python

    from pyinfra_gvisor.deploys.hosts import require_hosts

    require_hosts()
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Container, Iterable, Sequence
from fnmatch import fnmatch
from typing import Any

import click
from pyinfra import logger
from pyinfra.api import Config, Host, Inventory, State
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.state import BaseStateCallback
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.context import ctx_state

from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.base.errors import Problem, sentence
from pyinfra_gvisor.base.spelling import did_you_mean, near
from pyinfra_gvisor.drift.record import RECORD_PATH
from pyinfra_gvisor.planning.names import refuse_same_names
from pyinfra_gvisor.rollout.own import own_shard
from pyinfra_gvisor.run_support.ending import close_state

_MAKE = Inventory.make_hosts_and_groups
_MOST_HOSTS = 10


def require_hosts() -> None:
    """Make pyinfra exit with an error before it connects, if no host or two of a name are given."""
    require_names()
    if not ctx_state.isset() or RECORD_PATH in os.environ:
        return  # not pyinfra's command line, or the drift command, which checks this itself
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
            raise PyinfraError(f"{sentence(str(problem))} No host was contacted.") from None
        given = ctx_state.get()
        given.add_callback_handler(_Unreached())
        close_state(given)

    # pyinfra has no callback before it connects, and none at all without hosts.
    state.init = init_with_hosts


def require_names() -> None:
    """Make inventories refuse two hosts of one name: pyinfra would keep only the last."""
    # pyinfra merges their data before anybody else sees them.
    setattr(Inventory, _MAKE.__name__, _make_with_names)


def _make_with_names(inventory: Inventory, names: Any, groups: Any) -> None:
    lists = {"all": names, **{group: members for group, (members, _) in groups.items()}}
    try:
        refuse_same_names(lists)
    except Problem as problem:
        raise PyinfraError(f"{sentence(str(problem))} No host was contacted.") from None
    if shard := own_shard():
        names = _without(names, shard.others)
        groups = {
            group: (_without(part, shard.others), data) for group, (part, data) in groups.items()
        }
    _MAKE(inventory, names, groups)


def _without(hosts: Iterable[Any], others: Container[str]) -> list[Any]:
    """Return the hosts, each a name or a name with data, that are not among others."""
    return [host for host in hosts if (host if isinstance(host, str) else host[0]) not in others]


class _Unreached(BaseStateCallback):
    """Says of a host that cannot be reached how to try it by hand: pyinfra gives the error only."""

    @staticmethod
    def host_connect_error(_state: State, host: Host, _error: Exception) -> None:
        if issubclass(host.connector_cls, SSHConnector):
            command = shlex.join(_ssh(host))
            todo = f"try {command}, then correct ssh_hostname, ssh_port, ssh_user or ssh_key"
            problem = Problem("no connection", todo=f"{todo} in the inventory")
            host.log(sentence(problem.at("connect", "ssh", host.name)), logger.error)


def _ssh(host: Host) -> list[str]:
    """Return the command that connects as pyinfra does."""
    options = {"ssh_port": "-p", "ssh_user": "-l", "ssh_key": "-i"}
    given = {flag: host.data.get(key) for key, flag in options.items()}
    words = [word for flag, value in given.items() if value for word in (flag, str(value))]
    return ["ssh", *words, str(host.data.get("ssh_hostname") or host.name.removeprefix("@ssh/"))]


def refuse_nobody(inventory: Inventory, limits: Sequence[str], *, chosen: int) -> None:
    """
    Raise ``Problem`` if a run has no host, or if one of several ``--limit`` matches nothing.

    + limits: the patterns of ``--limit``
    + chosen: how many hosts remain
    """
    if not len(inventory):
        raise Problem("the inventory has no host", todo="check its path and its lists")
    names = {*(host.name for host in inventory), *inventory.groups}
    for pattern in limits:
        # As _get_inventory_pattern_matches in pyinfra_cli/cli.py of pyinfra 3.10.
        if not any(fnmatch(host.name, pattern) or pattern in host.groups for host in inventory):
            if pattern in inventory.groups:
                raise Problem("the group has no host", got=pattern, todo="add a host to its list")
            todo = did_you_mean(near(pattern, names)) or _hosts_of(inventory)
            raise Problem("--limit matches no host and no group", got=pattern, todo=todo)
    if not chosen:
        raise Problem("no host is left after --limit and --exclude", todo="check both options")


def _hosts_of(inventory: Inventory) -> str:
    return f"the hosts are {some([host.name for host in inventory], _MOST_HOSTS)}"


def _limits() -> tuple[str, ...]:
    context = click.get_current_context(silent=True)
    return tuple((context.params.get("limit") if context else None) or ())

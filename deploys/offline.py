"""
Say what a run would refuse before it asks a node: ``pyinfra-gvisor check`` runs this file.

Arguments: the inventory, and pairs as of pyinfra's ``--data``. The result goes to stdout, reasons
and notes to stderr. A rollout adds ``--json``: then the hosts are the result.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from pyinfra.api import Inventory, State
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_state
from pyinfra_cli.exceptions import CliError, UnexpectedExternalError
from pyinfra_cli.inventory import make_inventory
from pyinfra_cli.util import parse_cli_arg

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.deploys.checks import (
    operator_files,
    origin,
    settings_or_reasons,
    waiver_refusals,
)
from pyinfra_gvisor.deploys.hosts import require_names
from pyinfra_gvisor.planning.preflight import settings_refusals
from pyinfra_gvisor.rollout.own import settings_hash

JSON = "--json"

_MOST_HOSTS = 3  # named after a problem; of the others it says how many they are


def main(inventory: str, *words: str) -> int:
    """Check the fleet of the working directory, and return 1 if something has to be corrected."""
    pairs = (word.partition("=") for word in words if word != JSON)
    try:
        hosts = _loaded(inventory, {key: parse_cli_arg(value) for key, _, value in pairs})
    except Problem as problem:
        click.echo(f"pyinfra-gvisor: {problem}", err=True)
        return 1
    problems: dict[str, list[str]] = {}
    for host, reason in _reasons(hosts):
        problems.setdefault(reason, []).append(host)
    for reason, names in problems.items():
        click.echo(f"{reason} ({_listed(names)})", err=True)
    if JSON in words and not problems:
        click.echo(json.dumps([*_declared(hosts)]))
        return 0
    for line in _notes(hosts):
        click.echo(f"note: {line}", err=True)
    many = f"{len(hosts)} {'host' if len(hosts) == 1 else 'hosts'} in {inventory}"
    if problems:
        click.echo(f"Summary: {len(problems)} to correct for {many}. No node was asked.")
        return 1
    click.echo(f"Summary: nothing to correct for {many}. Next: pyinfra-gvisor plan")
    return 0


def _declared(hosts: Inventory) -> Iterator[dict[str, object]]:
    """Yield what a rollout has to know of each host."""
    for host in hosts:
        settings, _ = settings_or_reasons(host, operator_files())
        if settings is not None:
            yield {
                "name": host.name,
                "groups": [*host.groups],
                "release": settings.release if settings.runtimes else "",
                "settings": settings_hash(settings),
            }


def _loaded(path: str, data: Mapping[str, object]) -> Inventory:
    """
    Return the inventory that pyinfra would use; its hosts are not connected.

    Raises ``Problem`` if a file cannot be run, or has no host.
    """
    require_names()
    sys.path.insert(0, str(Path.cwd()))  # as pyinfra_cli/cli.py of pyinfra 3.10
    try:
        with ctx_state.use(State()):
            hosts: Inventory = make_inventory(path, override_data=data, cwd=str(Path.cwd()))
    except UnexpectedExternalError as error:
        where = f"{error.filename}: cannot be run: {type(error.exception).__name__}"
        raise Problem(f"{where}: {error.exception}") from None
    except SyntaxError as error:
        raise Problem(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except (CliError, PyinfraError) as error:
        raise Problem(str(error)) from None
    if not len(hosts):
        raise Problem(f"{path}: the inventory has no host", todo="write your nodes into its lists")
    return hosts


def _reasons(hosts: Inventory) -> Iterator[tuple[str, str]]:
    """Yield each host and each reason to refuse it, the same reasons as in a run."""
    more = [Path("config.py"), *sorted(Path("deploys").glob("*.py"))]
    files = operator_files(path for path in more if path.is_file())
    for host in hosts:
        settings, reasons = settings_or_reasons(host, files)
        if settings:
            reasons = [
                f"{origin(host, key)}: {key}: {problem}"
                for key, problem in (*settings_refusals(settings), *waiver_refusals(settings))
            ]
        yield from ((host.name, reason) for reason in reasons)


def _notes(hosts: Inventory) -> Iterator[str]:
    filled = {group for host in hosts for group in host.groups} | {"all"}
    for group, data in hosts.group_data.items():
        if data and group not in filled:
            yield f"group_data/{group}.py: no host of this inventory is in group {group}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_HOSTS
    shown = ", ".join(names[:_MOST_HOSTS])
    return f"{shown} and {more} more" if more > 0 else shown


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

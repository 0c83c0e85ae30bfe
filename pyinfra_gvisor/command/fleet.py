"""Files of a new fleet: inventory, settings, deploys. Each is small and the operator's to edit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.releases.lock import DEFAULT
from pyinfra_gvisor.whole_file import write_whole

INVENTORY = "inventories/run.py"
DEPLOYS: Mapping[str, tuple[str, str]] = {
    "gvisor": ("run_node", "Take each node to proven gVisor isolation"),
    "audit": ("audit_node", "Check each node and container against what is declared"),
    "rollback": ("roll_back", "Go back to the daemon.json and the release before the last change"),
    "remove": ("remove", "Undo everything: daemon.json to the byte, releases, records"),
}
"""The function of each deploy, and what it does."""

_RUN = '''\
"""Your nodes, as ssh knows them."""

# Nodes that get every change first: pyinfra-gvisor apply --limit canary
canary = []

# Nodes that run containers of strangers.
run = [
    *canary,
{hosts}]
'''
_EXAMPLES = """\
    # "run-1.example.com",
    # ("run-2.example.com", {"ssh_user": "debian", "ssh_port": 2222}),
"""
_ALL = '''\
"""Settings of all hosts."""

_sudo = True  # Docker's socket and /etc/docker belong to root
'''
_RUN_SETTINGS = '''\
"""Settings of the nodes in the list `run`."""

# Change it to upgrade. The new release is proven before any container uses it.
gvisor_release = "{release}"

# Docker runtimes by name: docker run --runtime=runsc …
gvisor_runtimes = {{"runsc": {{"network": "host"}}}}
'''
_CONFIG = '''\
"""pyinfra reads this file from the directory that it is started in."""

from pyinfra import config

from pyinfra_gvisor.deploys.hosts import require_hosts

config.TEMP_DIR = "/var/tmp"  # on nodes; unset, pyinfra asks each host for it
require_hosts()  # a run that looks at no host is an error
'''
_DEPLOY = '''\
"""{what}."""

from pyinfra_gvisor.deploys.{name} import {function}

{function}()
'''
_IGNORED = """\
__pycache__/
pyinfra-debug.log
reports/
"""


def files(hosts: Sequence[str]) -> dict[str, str]:
    """
    Return the text of each file of a fleet, by its path.

    + hosts: names or addresses for the list ``run``; empty for examples
    """
    lines = "".join(f"    {json.dumps(host)},\n" for host in hosts) or _EXAMPLES
    deploys = {
        f"deploys/{name}.py": _DEPLOY.format(name=name, function=function, what=what)
        for name, (function, what) in DEPLOYS.items()
    }
    return {
        INVENTORY: _RUN.replace("{hosts}", lines),
        "group_data/all.py": _ALL,
        "group_data/run.py": _RUN_SETTINGS.format(release=DEFAULT),
        **deploys,
        "config.py": _CONFIG,
        ".gitignore": _IGNORED,
    }


def begin(directory: Path, hosts: Sequence[str]) -> list[Path]:
    """
    Write the files of a fleet into an empty directory, and return their paths.

    Raises ``Problem`` if the directory is not empty or cannot be written; nothing is overwritten.
    """
    _check_hosts(hosts)
    there = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    if there:
        todo = "give an empty or new directory with --directory"
        raise Problem(f"{directory} is not empty", got=", ".join(there[:3]), todo=todo)
    written = []
    try:
        for name, text in files(hosts).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text, 0o644)
            written.append(path)
    except OSError as error:
        raise Problem(f"{error.filename}: cannot be written: {error.strerror}") from None
    return written


def _check_hosts(hosts: Sequence[str]) -> None:
    for host in hosts:
        if not host or host.startswith(("-", "@")) or any(char.isspace() for char in host):
            raise Problem(
                "not a host name", got=host, todo="write a name or address that ssh takes"
            )
    twice = {host for host in hosts if hosts.count(host) > 1}
    if twice:
        raise Problem("a host is given twice", got=", ".join(sorted(twice)))

"""Files of a new fleet: inventory, settings, deploys. Each is small, and the operator's to edit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyinfra_gvisor.base.atomic_write import write_whole
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.host_keys import TOP, host_keys
from pyinfra_gvisor.command.running import INVENTORY
from pyinfra_gvisor.platforms.coolify import Coolify
from pyinfra_gvisor.releases.lock import DEFAULT

KNOWN_HOSTS = "known_hosts"
HostEntry = str | tuple[str, dict[str, object]]
"""A host as pyinfra's inventories have it: a name, or a name with data."""

DEPLOYS: Mapping[str, tuple[str, str]] = {
    "gvisor": ("run_node", "Bring each node to what is declared, and prove the isolation"),
    "doctor": ("examine_node", "Say what each node is, and what a deploy would refuse"),
    "audit": ("audit_node", "Check whether every container that must run in gVisor does"),
    "apps": ("list_apps", "Say what would fail or differ in gVisor, for each container"),
    "measure": ("measure_node", "Say what gVisor costs on each node, as ratios to runc"),
    "trial": ("try_container", "Try one running container in gVisor: --data trial_app=NAME"),
    "move": (
        "move_containers",
        "Recreate containers in gVisor, one at a time, each with a way back",
    ),
    "egress": ("list_attempts", "List what the firewall of each node blocked, or would block"),
    "infrastructure": ("list_infrastructure", "List the platform's own containers and images"),
    "generations": ("list_generations", "List what each node can be rolled back to"),
    "rollback": ("roll_back", "Roll back daemon.json and the release to an earlier generation"),
    "remove": ("remove", "Undo everything: our keys of daemon.json, releases, records"),
    "coolify": ("run_control_host", "Make Coolify honour --runtime, and set it on apps"),
}
"""The function of each deploy, and what the deploy does."""

_INVENTORY = '''\
"""Your nodes, as ssh knows them."""

from pyinfra_gvisor.deploys.hosts import require_hosts

require_hosts()  # from any directory: a run without hosts is an error

# Nodes that get every change first: pyinfra-gvisor apply --limit canary
canary = []

# Nodes that run untrusted containers.
run = [
    *canary,
{run}]

# Nodes that only build images.
build = [
{build}]

# Coolify's own host: no gVisor.
coolify = [
{coolify}]
'''
_EXAMPLES = """\
    # "run-1.example.com",
    # ("run-2.example.com", {"ssh_user": "debian", "ssh_port": 2222}),
"""
_LOCAL = '''\
"""This machine, as a run node: for a new server's own cloud-init."""

run = ["@local"]
'''
_ALL = '''\
"""Settings of all hosts."""

_sudo = True  # Docker's socket and /etc/docker belong to root
ssh_known_hosts_file = "known_hosts"
'''
_RUN = '''\
"""Settings of the nodes in the list `run`."""

# Change it to upgrade. The new release is proven before any container uses it.
gvisor_release = "{release}"

# Docker runtimes by name: docker run --runtime=runsc …
gvisor_runtimes = {{"runsc": {{"network": "host"}}}}

{must}
# Run every container in gVisor by default, but never on the host that runs Coolify itself.
# 1. If pyinfra-gvisor infrastructure lists containers, remove the # before the next line. Then
#    accept those that you trust: pyinfra-gvisor accept CONTAINER
# gvisor_infrastructure = "infrastructure.json"
# 2. Remove the # before both lines below, and gvisor_exempt. Every container of the node may mount
#    what binds names. {binds_are}
# gvisor_default = "sandbox"
# gvisor_seal = {{"binds": {binds}}}

# Where the audit writes its reports, on this machine.
# gvisor_report_dir = "reports"
'''
_BINDS: tuple[str, ...] = ("/srv/apps/site/html",)
_BINDS_ARE = "Write the directories and files that your apps mount."
_BINDS_OF_COOLIFY = "Uploads of backups to S3 also need /data/coolify/backups."
_MUST = """\
# All containers must run in gVisor. gvisor_exempt lists the exceptions.
gvisor_must_sandbox = [{"name": "*"}]
# gvisor_exempt = [{"name": "proxy", "reason": "our own reverse proxy"}]
"""
_MUST_COOLIFY = """\
# Containers that must run in gVisor are Coolify's apps, services and databases, unless
# gvisor_must_sandbox selects others.
"""
_BUILD = '''\
"""Settings of the nodes in the list `build`."""

gvisor_runtimes = {}  # builds do not run in gVisor
'''
_COOLIFY = '''\
"""Settings of Coolify's own host."""

gvisor_runtimes = {{}}
gvisor_daemon_json = {{"no-new-privileges": None, "userland-proxy": None}}

# Coolify's installer overwrites daemon.json unless it has default-address-pools.
gvisor_daemon_json_if_absent = {{"default-address-pools": [{{"base": "10.0.0.0/8", "size": 24}}]}}
gvisor_waivers = {{
    "2.14": "no untrusted code runs here, and Coolify's own containers are not changed",
    "2.16": "no untrusted code runs here, and Coolify's own containers are not changed",
}}

gvisor_coolify = False  # Coolify is not patched: each node decides where its containers run

# With the patch instead of that line. An app without the runtime on its server cannot start.
# gvisor_coolify_url = {url}
# gvisor_coolify_token_file = {token_file}
# gvisor_coolify_servers = ["*"]
'''
_CONFIG = '''\
"""pyinfra reads this file from the directory that it is started in."""

from pyinfra import config

from pyinfra_gvisor.deploys.hosts import require_hosts

config.TEMP_DIR = "/var/tmp"  # on nodes; if unset, pyinfra asks each host for it
require_hosts()  # a run without hosts is an error
'''
_DEPLOY = '''\
"""{what}."""

from pyinfra_gvisor import {function}

{function}()
'''
_WRITE_NAME = "write a name or address that ssh takes"
_IGNORED = """\
__pycache__/
pyinfra-debug.log
reports/
.rollouts/
"""


@dataclass(frozen=True)
class Fleet:
    """
    Hosts by group, and where Coolify answers.

    ``coolify_url`` is empty without Coolify; ``token_file`` is empty if the token is in the
    environment.
    """

    run: Sequence[HostEntry] = ()
    build: Sequence[HostEntry] = ()
    coolify: Sequence[HostEntry] = ()
    coolify_url: str = ""
    token_file: str = ""


def from_coolify(
    url: str, token_file: Path | None, ssh_host: str | None, environment: Mapping[str, str]
) -> Fleet:
    """
    Return the servers that a Coolify knows.

    + token_file: a file with the API token; ``None`` for ``COOLIFY_TOKEN`` in ``environment``
    + ssh_host: how ssh reaches Coolify's own host; ``None`` for the host in ``url``

    Raises ``Problem`` if Coolify does not answer, refuses the token or knows no server.
    """
    # Loaded here: of the commands, only this one asks Coolify.
    from pyinfra_gvisor.coolify import servers  # noqa: PLC0415

    asked = {key: text for key, text in environment.items() if key == "COOLIFY_TOKEN"}
    asked["COOLIFY_URL"] = url
    if token_file:
        asked.pop("COOLIFY_TOKEN", None)
        asked["COOLIFY_TOKEN_FILE"] = str(token_file)
    if ssh_host:
        asked["COOLIFY_SSH_HOST"] = ssh_host
    found = servers.groups(asked)
    path = str(token_file.resolve()) if token_file else ""
    return Fleet(found.run, found.build, found.coolify, coolify_url=url, token_file=path)


def host_entry(text: str) -> HostEntry:
    """
    Return a host of an inventory.

    + text: a name or an address, also as ``user@host:port``, as people know it from ssh and scp
    """
    found = re.fullmatch(r"(?:([^@:\s]+)@)?(\[[0-9a-fA-F:]+\]|[^@:\s]+)(?::([0-9]+))?", text)
    if found is None or found[2] == text:
        return text
    user, host, port = found[1], found[2].strip("[]"), found[3]
    data: dict[str, object] = {"ssh_user": user} if user else {}
    return host, {**data, **({"ssh_port": int(port)} if port else {})}


def files(fleet: Fleet, known_hosts: str = TOP) -> dict[str, str]:
    """Return the text of each file of a fleet, by its path."""
    lists = {
        "{run}": _entries(fleet.run) or _EXAMPLES,
        "{build}": _entries(fleet.build),
        "{coolify}": _entries(fleet.coolify),
    }
    inventory = _INVENTORY
    for mark, text in lists.items():
        inventory = inventory.replace(mark, text)
    url = _literal(fleet.coolify_url or "https://coolify.example.com")
    token_file = _literal(fleet.token_file or "/srv/coolify.token")
    must, binds, binds_are = _MUST, _BINDS, _BINDS_ARE
    if fleet.coolify_url:
        must, binds, binds_are = _MUST_COOLIFY, Coolify().binds, _BINDS_OF_COOLIFY
    deploys = {
        f"deploys/{name}.py": _DEPLOY.format(function=function, what=what)
        for name, (function, what) in DEPLOYS.items()
    }
    return {
        INVENTORY: inventory,
        KNOWN_HOSTS: known_hosts,
        "inventories/local.py": _LOCAL,
        "group_data/all.py": _ALL,
        "group_data/run.py": _RUN.format(
            release=DEFAULT, must=must, binds=_literal(binds), binds_are=binds_are
        ),
        "group_data/build.py": _BUILD,
        "group_data/coolify.py": _COOLIFY.format(url=url, token_file=token_file),
        **deploys,
        "config.py": _CONFIG,
        ".gitignore": _IGNORED,
    }


def _entries(hosts: Sequence[HostEntry]) -> str:
    return "".join(f"    {_entry(host)},\n" for host in hosts)


def _entry(host: HostEntry) -> str:
    """Return a host as Python: what JSON writes for texts, numbers and objects is Python too."""
    if isinstance(host, str):
        return _literal(host)
    name, data = host
    return f"({_literal(name)}, {_literal(data)})"


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def begin(directory: Path, fleet: Fleet) -> tuple[list[Path], Sequence[str]]:
    """
    Write the files of a fleet into an empty directory.

    Returns their paths, and the hosts of which this user knows no host key. Raises ``Problem`` if
    the directory is not empty or cannot be written; nothing is overwritten.
    """
    hosts = [
        (host, {}) if isinstance(host, str) else host
        for host in (*fleet.run, *fleet.build, *fleet.coolify)
    ]
    _check_hosts(hosts)
    there = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    if there:
        todo = "give an empty or new directory with --directory"
        raise Problem(f"{directory} is not empty", got=", ".join(there[:3]), todo=todo)
    written, keys = [], host_keys(hosts)
    try:
        for name, text in files(fleet, keys.text).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text, 0o644)
            written.append(path)
    except OSError as error:
        raise Problem(f"{error.filename}: cannot be written: {error.strerror}") from None
    return written, keys.unknown


def next_steps(directory: Path, fleet: Fleet) -> Iterator[str]:
    """Return what to do after the files were written."""
    if not fleet.run:
        yield f"Write your nodes into {directory / INVENTORY}."
    yield f"Settings are in {directory / 'group_data/run.py'}."
    change = f"cd {directory} && " if directory != Path() else ""
    yield f"Next: {change}pyinfra-gvisor doctor, then pyinfra-gvisor plan"


def _check_hosts(hosts: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    names = [name for name, _ in hosts]
    for name, data in hosts:
        address = str(data.get("ssh_hostname", name))
        if any(not text or text[0] in "-@" or not text.isprintable() for text in (name, address)):
            raise Problem("not a host name", got=name, todo=_WRITE_NAME)
        if any(char.isspace() for char in address):
            raise Problem("not a host name", got=address, todo=_WRITE_NAME)
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise Problem("a host is given twice", got=", ".join(sorted(twice)))

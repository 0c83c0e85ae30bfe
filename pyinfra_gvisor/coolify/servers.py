"""Build an inventory from Coolify's list of servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.address import api_url, is_here
from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.models import Server
from pyinfra_gvisor.coolify.token import read_token

Hosts = list[tuple[str, dict[str, object]]]

# The address by which Coolify's container reaches its host: database/seeders/ServerSeeder.php.
CONTROL_HOST = "host.docker.internal"


@dataclass(frozen=True)
class Groups:
    """Hosts with their SSH data: those that run apps, those that only build, the control host."""

    run: Hosts
    build: Hosts
    coolify: Hosts


def groups(environment: Mapping[str, str]) -> Groups:
    """
    Return the servers of the Coolify that the environment names.

    + environment: ``COOLIFY_URL``, and ``COOLIFY_TOKEN`` or ``COOLIFY_TOKEN_FILE``; optionally
      ``COOLIFY_SSH_HOST`` and ``COOLIFY_SSH_KEY``

    Raises ``Problem`` if Coolify does not answer, or has no server.
    """
    url = environment.get("COOLIFY_URL")
    if not url:
        todo = "set it to Coolify's URL, such as https://coolify.example.com"
        raise Problem("COOLIFY_URL is not set", todo=todo)
    api_url(url)
    host = environment.get("COOLIFY_SSH_HOST")
    if not host and is_here(url):
        todo = "set it to the SSH name of Coolify's host, or to localhost if it is this machine"
        what = "COOLIFY_URL leads to this machine, but COOLIFY_SSH_HOST is not set"
        raise Problem(what, todo=todo)
    host = host or str(urlsplit(url).hostname)
    token = read_token(environment, environment.get("COOLIFY_TOKEN_FILE"))
    key = environment.get("COOLIFY_SSH_KEY")
    return grouped(Api(url, token).servers(), control_host=host, key=key)


def grouped(servers: Iterable[Server], *, control_host: str, key: str | None = None) -> Groups:
    """
    Group servers by their purpose.

    + control_host: the SSH name of the host that Coolify runs on
    + key: the path of a private key for all servers; None for SSH's default

    Raises ``Problem`` if there is no server, or if two have the same name.
    """
    found = Groups([], [], [])
    names: set[str] = set()
    for server in servers:
        if server.name in names:
            todo = "rename one of them in Coolify"
            raise Problem("two servers have the same name", got=server.name, todo=todo)
        names.add(server.name)
        _group_of(server, found).append((server.name, _data(server, control_host, key)))
    if not names:
        todo = "check that the token belongs to the right team"
        raise Problem("Coolify shows no server", todo=todo)
    return found


def _group_of(server: Server, found: Groups) -> Hosts:
    if server.ip == CONTROL_HOST:
        return found.coolify
    return found.build if server.is_build_server else found.run


def _data(server: Server, control_host: str, key: str | None) -> dict[str, object]:
    data: dict[str, object] = {
        "ssh_hostname": control_host if server.ip == CONTROL_HOST else server.ip,
        "ssh_port": server.port,
        "ssh_user": server.user,
    }
    return {**data, "ssh_key": key} if key else data

"""An inventory made of Coolify's own list of servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pyinfra_gvisor.coolify.address import api_url, is_here
from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.models import Server
from pyinfra_gvisor.coolify.token import read_token
from pyinfra_gvisor.errors import Problem

Hosts = list[tuple[str, dict[str, object]]]

# How Coolify's own container reaches the host that it runs on: database/seeders/ServerSeeder.php.
CONTROL_HOST = "host.docker.internal"


@dataclass(frozen=True)
class Groups:
    """Hosts with their ssh data: those that run apps, those that only build, the control host."""

    run: Hosts
    build: Hosts
    coolify: Hosts


def groups(environment: Mapping[str, str]) -> Groups:
    """
    Coolify's servers as the environment says where to ask.

    + environment: ``COOLIFY_URL``, and ``COOLIFY_TOKEN`` or ``COOLIFY_TOKEN_FILE``; optionally
      ``COOLIFY_SSH_HOST`` and ``COOLIFY_SSH_KEY``

    Raises ``Problem`` if Coolify does not tell, or knows no server.
    """
    url = environment.get("COOLIFY_URL")
    if not url:
        todo = "set it to where Coolify answers, such as https://coolify.example.com"
        raise Problem("COOLIFY_URL is not set", todo=todo)
    api_url(url)
    host = environment.get("COOLIFY_SSH_HOST")
    if not host and is_here(url):
        todo = "set it to how ssh reaches Coolify's host, localhost if that is this machine"
        raise Problem("COOLIFY_URL leads to this machine, COOLIFY_SSH_HOST is not set", todo=todo)
    host = host or str(urlsplit(url).hostname)
    token = read_token(environment, environment.get("COOLIFY_TOKEN_FILE"))
    key = environment.get("COOLIFY_SSH_KEY")
    return grouped(Api(url, token).servers(), control_host=host, key=key)


def grouped(servers: Iterable[Server], *, control_host: str, key: str | None = None) -> Groups:
    """
    Servers by what they are for.

    + control_host: how ssh reaches the host that Coolify runs on
    + key: the path of a private key for all of them, None for ssh's own

    Raises ``Problem`` if there is none, or two have one name.
    """
    found = Groups([], [], [])
    names: set[str] = set()
    for server in servers:
        if server.name in names:
            todo = "give each server a name of its own in Coolify"
            raise Problem("two servers have one name", got=server.name, todo=todo)
        names.add(server.name)
        _group_of(server, found).append((server.name, _data(server, control_host, key)))
    if not names:
        raise Problem("Coolify knows no server", todo="see that the token is of the right team")
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

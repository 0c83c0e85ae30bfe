"""An inventory made of what Coolify says of its servers."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.models import Server
from pyinfra_gvisor.coolify.servers import Groups, grouped, groups
from tests.coolify.api_server import TOKEN, ApiServer

HOST = "factory.example.com"


def server(name: str, ip: str, **others: Any) -> Server:
    """A server as the API shows it."""
    return Server.model_validate({"uuid": name, "name": name, "ip": ip, "user": "root", **others})


def names(found: Groups) -> tuple[list[str], ...]:
    """Who is in which group."""
    return tuple([name for name, _ in hosts] for hosts in (found.run, found.build, found.coolify))


def test_servers_are_grouped_by_what_they_are_for() -> None:
    servers = [
        server("localhost", "host.docker.internal"),
        server("run-1", "192.0.2.7"),
        server("builder", "192.0.2.8", settings={"is_build_server": True}),
    ]

    found = grouped(servers, control_host=HOST)

    assert names(found) == (["run-1"], ["builder"], ["localhost"])


def test_ssh_goes_where_coolifys_own_goes_and_to_the_control_host_by_its_name() -> None:
    servers = [
        server("localhost", "host.docker.internal"),
        server("run-1", "192.0.2.7", user="deploy", port=2222),
    ]

    found = grouped(servers, control_host=HOST, key="/keys/id")

    assert found.run == [
        (
            "run-1",
            {
                "ssh_hostname": "192.0.2.7",
                "ssh_port": 2222,
                "ssh_user": "deploy",
                "ssh_key": "/keys/id",
            },
        )
    ]
    ((_, data),) = found.coolify
    assert (data["ssh_hostname"], data["ssh_port"], data["ssh_user"]) == (HOST, 22, "root")


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        pytest.param([], "Coolify shows no server", id="none"),
        pytest.param(
            [server("a", "192.0.2.1"), server("a", "192.0.2.2")], "two servers", id="one-name-twice"
        ),
    ],
)
def test_what_makes_no_inventory_is_refused(servers: list[Server], said: str) -> None:
    with pytest.raises(Problem, match=said):
        grouped(servers, control_host=HOST)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({}, "COOLIFY_URL is not set", id="no-url"),
        pytest.param({"COOLIFY_URL": "https://c.example.com"}, "no token", id="no-token"),
        pytest.param({"COOLIFY_URL": "http://c.example.com"}, "in clear", id="no-tls"),
        pytest.param({"COOLIFY_URL": "http://[::1]:8000"}, "SSH_HOST is not set", id="tunnel"),
    ],
)
def test_an_environment_that_does_not_say_enough_is_refused(
    environment: dict[str, str], said: str
) -> None:
    with pytest.raises(Problem, match=said):
        groups(environment)


def test_the_servers_are_asked_for_where_the_environment_says() -> None:
    with ApiServer() as api:
        api.state.add_server("run-1", ip="192.0.2.7")

        found = groups({"COOLIFY_URL": api.url, "COOLIFY_TOKEN": TOKEN, "COOLIFY_SSH_HOST": HOST})

    assert "run-1" in names(found)[0]
    assert [item.asked for item in api.seen] == ["GET /servers"]

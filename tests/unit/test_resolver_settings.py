"""A runtime with ``dns``: which may have it, what is said of another, and what its node needs."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.every import refusals
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import load_settings
from tests.unit.answers import answer
from tests.unit.resolver_answers import ABLE, told


def refusal(**asked: Any) -> str:
    """What is said of a runtime that must be refused, at its key."""
    settings, problems = load_settings({"gvisor_runtimes": {"net": asked}})
    assert settings is None
    assert list(problems) == ["gvisor_runtimes"]
    return problems["gvisor_runtimes"]


def test_a_runtime_has_no_names_of_dockers_unless_it_asks_for_them() -> None:
    assert Runtime().dns is None
    assert Runtime(network="sandbox").dns is None
    assert Runtime(network="sandbox", dns=None).dns is None
    assert Runtime(network="sandbox", dns="docker").dns == "docker"


@pytest.mark.parametrize("network", [pytest.param(name, id=name) for name in ("host", "none")])
def test_they_are_for_gvisors_own_stack_alone(network: str) -> None:
    assert refusal(network=network, dns="docker") == (
        f'[\'net\'] dns "docker" needs network "sandbox", got {network}; remove "dns" (with '
        "network "
        '"host" Docker\'s own resolver answers), or set network "sandbox"'
    )


@pytest.mark.parametrize(
    ("dns", "got"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("Docker", "Docker", id="capital"),
        pytest.param(True, "True", id="true"),
        pytest.param(["docker"], "['docker']", id="list"),
        pytest.param("9.9.9.9", "9.9.9.9", id="address"),
    ],
)
def test_another_value_is_refused_with_the_one_there_is(dns: object, got: str) -> None:
    message = refusal(network="sandbox", dns=dns)

    assert message == f"['net']['dns'] input should be 'docker', got {got}".rstrip()


@pytest.mark.parametrize(
    ("dns", "refused"),
    [pytest.param("docker", True, id="with-dns"), pytest.param(None, False, id="without")],
)
def test_a_node_that_has_not_what_answers_for_docker_is_refused_where_a_runtime_asks_for_it(
    dns: str | None, refused: bool
) -> None:
    runtimes = {"host": {}, "net": {"network": "sandbox", "dns": dns}}
    settings, _ = load_settings({"gvisor_runtimes": runtimes})
    assert settings
    able, unable = (
        parse_node([*told(ResolverState(**{**ABLE, "ip": ip})), *answer()]) for ip in (True, False)
    )

    found = [problem.what for problem in refusals(unable, settings)]

    assert refusals(able, settings) == []
    assert found == ['runtimes with "dns": "docker" need ip'] * refused

"""What is said where the ssh user may not do what has to be done: no sudo, or sudo that asks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.deploys.audit import audit_node
from pyinfra_gvisor.deploys.coolify import run_control_host
from pyinfra_gvisor.deploys.doctor import examine_node
from pyinfra_gvisor.deploys.generations import list_generations
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.deploys.rollback import roll_back
from pyinfra_gvisor.operations import docker
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import proven_answer
from tests.table import table
from tests.unit.answers import answer

DENIED = "permission denied while trying to connect"
REFUSED = answer(without=("info",), user="debian", docker_error=DENIED)
IN_GROUP = proven_answer(user="debian")
ASKED = Reply(broken=EOFError("EOF when reading a line"))
EACH = (run_node, audit_node, roll_back, remove, examine_node)
DEPLOYS = [pytest.param(item, id=item.__name__) for item in EACH]


def errors_of(node: Node, deploy: Callable[..., Any], caplog: Log, **groups: Any) -> list[str]:
    """What a run with ``-y`` says of a host that fails; it must do nothing to it."""
    fleet = Fleet({"a": node}, prepare=False, groups=groups)
    with suppress(PyinfraError):  # no host remains
        fleet.deploy(deploy)
        fleet.run()
    assert {host.name for host in fleet.state.failed_hosts} == {"@fake/a"}
    assert node.acted() == []
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    return [error for error in errors if " on @fake/a: " in error]  # not pyinfra's own last word


@pytest.mark.parametrize("deploy", DEPLOYS)
@table(
    "told, says",
    no_sudo=(
        REFUSED,
        (
            "node on @fake/a: Docker's socket refuses user debian; set `_sudo = True` in "
            "group_data/all.py"
        ),
    ),
    dockers_group=(IN_GROUP, "/etc/docker is not writable for user debian; set `_sudo = True`"),
)
def test_without_sudo_what_is_refused_and_the_setting_are_named(
    deploy: Callable[..., Any], told: list[str], says: str, caplog: Log
) -> None:
    (error,) = errors_of(Node([told]), deploy, caplog)

    assert says in error


@table(
    "operation, given",
    keys=(docker.daemon_json, {"wanted": {"debug": True}, "owner": "me"}),
    generation=(docker.generation, {}),
)
def test_an_operation_in_a_deploy_of_ones_own_says_so_too(
    operation: Callable[..., Any], given: Data, caplog: Log
) -> None:
    """The directory of our records is closed to this user, so the records look lost."""
    node = Node([proven_answer(user="debian", state={}, state_dir="yes")])
    fleet = Fleet({"a": node})

    fleet.add(operation, **given)
    with suppress(PyinfraError):  # no host remains
        fleet.run()

    assert fleet.failed() == {"a"}
    assert node.acted() == []
    assert "/etc/docker is not writable for user debian; set `_sudo = True`" in caplog.text


@pytest.mark.parametrize(
    ("deploy", "group"),
    [
        *(pytest.param(item.values[0], "run", id=item.id) for item in DEPLOYS),
        pytest.param(run_control_host, "coolify", id="run_control_host"),
        pytest.param(list_generations, "run", id="list_generations"),
    ],
)
def test_a_sudo_that_asks_without_a_terminal_fails_its_host_and_says_what_to_set(
    deploy: Callable[..., Any], group: str, caplog: Log
) -> None:
    node = Node([ASKED], {"generations": ASKED})

    (error,) = errors_of(node, deploy, caplog, **{group: {}})

    assert " node on @fake/a: sudo asks for a password, and this run has no terminal" in error
    assert "set _sudo_password" in error
    assert "NOPASSWD" in error


def test_hosts_whose_sudo_does_not_ask_go_on_and_root_needs_none() -> None:
    good, root = Node([proven_answer()]), Node([proven_answer(user="root")])

    fleet = Fleet({"bad": Node([ASKED]), "good": good, "root": root}, prepare=False)

    assert fleet.deployed(run_node).failed() == {"bad"}

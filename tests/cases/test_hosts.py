"""Green means looked at: no run without hosts or rights ends well, and no host is mistaken."""

import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Inventory
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.fleet import Fleet as NewFleet
from pyinfra_gvisor.command.fleet import begin
from pyinfra_gvisor.deploys.audit import audit_node
from pyinfra_gvisor.deploys.coolify import run_control_host
from pyinfra_gvisor.deploys.doctor import examine_node
from pyinfra_gvisor.deploys.generations import list_generations
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.deploys.hosts import refuse_nobody
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.deploys.rollback import roll_back
from pyinfra_gvisor.operations import docker
from pyinfra_gvisor.settings import Settings
from tests.arguments import Data, Log
from tests.cases import cli
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import proven_answer
from tests.table import table
from tests.unit.answers import answer
from tests.unit.compatibility.compatible import proven_lines

NODE = cli.fake(proven_lines(Settings()))
DEPLOYS = cli.CHECKOUT / "deploys"
GROUP_DATA = cli.CHECKOUT / "inventories" / "group_data"


@table(
    "brought, deploy, option",
    config_audit=("config", "audit.py", "-y"),
    config_dry=("config", "gvisor.py", "--dry"),
    group_data_deploy=("group data", "gvisor.py", "-y"),
)
def test_a_run_over_no_host_fails(brought: str, deploy: str, option: str, tmp_path: Path) -> None:
    (tmp_path / "inventories").mkdir()
    if brought == "config":
        shutil.copy(cli.CHECKOUT / "config.py", tmp_path)
    else:
        shutil.copytree(GROUP_DATA, tmp_path / "inventories" / "group_data")
    text = cli.inventory(canary={"run-1": NODE}, run={"run-1": NODE})
    (tmp_path / "inventories" / "run.py").write_text(text)

    ran = cli.pyinfra(tmp_path, "inventories/run.py", DEPLOYS / deploy, option, "--limit", "canry")

    assert "--limit matches no host and no group, got canry; did you mean canary?" in ran.stderr
    assert "No host was contacted." in ran.stderr
    assert ran.returncode == 1


@table(
    "options, said",
    no_host=(
        ("--limit", "nix"),
        "--limit matches no host and no group, got nix; the hosts are @fake/a",
    ),
    no_settings=((), "fleet/group_data are not read in"),
)
def test_a_run_from_elsewhere_fails(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    begin(tmp_path / "fleet", NewFleet())
    inventory = tmp_path / "fleet" / "inventories" / "run.py"
    with inventory.open("a", encoding="utf-8") as file:
        file.write(cli.inventory(run={"a": NODE}))

    ran = cli.pyinfra(tmp_path, inventory, tmp_path / "fleet" / "deploys/audit.py", "-y", *options)

    assert said in ran.stderr
    assert ran.returncode == 1


def test_a_run_over_two_hosts_of_one_name_or_no_inventory_fails(tmp_path: Path) -> None:
    shutil.copy(cli.CHECKOUT / "config.py", tmp_path)
    (tmp_path / "run.py").write_text(
        'run = [("web", {"ssh_hostname": "192.0.2.1"}), ("web", {"ssh_hostname": "192.0.2.2"})]\n'
    )

    ran, missing = (
        cli.pyinfra(tmp_path, name, DEPLOYS / "audit.py", "-y")
        for name in ("run.py", "inventories.rum")
    )

    assert "two hosts called web: ssh_hostname differs (list run), got 192.0.2.1" in ran.stderr
    assert "No host was contacted." in ran.stderr
    assert "the inventory has no host" in missing.stderr
    assert (ran.returncode, missing.returncode) == (1, 1)


def test_hosts_that_are_named_on_the_command_line_are_looked_at(tmp_path: Path) -> None:
    shutil.copy(cli.CHECKOUT / "config.py", tmp_path)
    limit = ("--limit", "*/a")

    ran = cli.pyinfra(tmp_path, "@fake/a,@fake/b", DEPLOYS / "audit.py", "-y", *limit)

    assert "audit.findings: node on @fake/a" in ran.stderr
    assert "inventory on" not in ran.stderr


@table(
    "limits, chosen, said",
    {"r*": (["r*"], 1, "")},
    empty_group=(["empty"], 0, "got empty; the hosts are run-1"),
    one_of_two=(["run", "rum-1"], 1, "got rum-1; did you mean run-1?"),
    all_excluded=([], 0, "no host is left after --limit and --exclude"),
    name=(["run-1"], 1, ""),
    group=(["run"], 1, ""),
)
def test_a_limit_that_misses_somebody_is_refused(limits: list[str], chosen: int, said: str) -> None:
    hosts = Inventory((["run-1"], {}), run=(["run-1"], {}), empty=([], {"data": 1}))

    refusal = pytest.raises(Problem, match=re.escape(said)) if said else nullcontext()
    with refusal:
        refuse_nobody(hosts, limits, chosen=chosen)


@table(
    "deploy",
    gvisor=run_node,
    audit=audit_node,
    remove=remove,
    rollback=roll_back,
)
def test_a_host_of_a_mistyped_group_is_left_unread(deploy: Callable[[], None], caplog: Log) -> None:
    nodes = {"a": Node([answer()])}
    fleet = Fleet(nodes, groups={"cooolify": {}})

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.deploy(deploy)

    where = "preflight: inventory on @fake/a: the host is in an unknown group"
    assert f"{where}, got cooolify; did you mean coolify? If not, rename" in caplog.text
    assert fleet.failed() == {"a"}
    assert nodes["a"].kinds() == []


def test_the_coolify_deploy_fails_where_no_control_host_is_looked_at(caplog: Log) -> None:
    nodes = {"factory": Node([answer()]), "run-1": Node([answer()], data={"mine": True})}
    fleet = Fleet(nodes, limit="run-1")
    fleet.state.inventory.groups["coolify"] = [fleet.host("factory")]

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.deploy(run_control_host)

    assert "--limit leaves no host of the group coolify; add this group to --limit" in caplog.text
    assert "run-1" in fleet.failed()


def test_a_run_refuses_the_mistyped_host_alone_and_not_for_its_files_name(tmp_path: Path) -> None:
    text = cli.inventory(run={"run-1": NODE}, all={"run-1": NODE, "b": NODE}, cooolify={"b": NODE})
    (tmp_path / "builds.py").write_text(text)  # the file's name is a group, too

    ran = cli.pyinfra(tmp_path, "builds.py", DEPLOYS / "gvisor.py", "--dry")

    assert "preflight: inventory on @fake/b: the host is in an unknown group" in ran.stderr
    assert "inventory on @fake/run-1" not in ran.stderr
    assert ran.returncode == 1


@table("options, told", dry_and_y=(["--dry", "-y"], 1), dry=(["--dry"], 0))
def test_a_dry_run_says_once_that_y_hides_the_plan(
    tmp_path: Path, options: list[str], told: int
) -> None:
    (tmp_path / "inventory.py").write_text(cli.inventory(run={"a": NODE, "b": NODE}))

    ran = cli.pyinfra(tmp_path, "inventory.py", DEPLOYS / "audit.py", *options)

    assert ran.stderr.count("With -y pyinfra does not look for changes") == told


DENIED = "permission denied while trying to connect"
REFUSED = answer(without=("info",), user="debian", docker_error=DENIED)
IN_GROUP = proven_answer(user="debian")
ASKED = Reply(broken=EOFError("EOF when reading a line"))
EACH = (run_node, audit_node, roll_back, remove, examine_node)
EACH_DEPLOY = [pytest.param(item, id=item.__name__) for item in EACH]


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


@pytest.mark.parametrize("deploy", EACH_DEPLOY)
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
        *(pytest.param(item.values[0], "run", id=item.id) for item in EACH_DEPLOY),
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

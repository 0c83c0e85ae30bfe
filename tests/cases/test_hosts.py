"""Green means looked at: no run without hosts ends well, and no host is taken for another kind."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from pyinfra.api import Inventory
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.fleet import Fleet as NewFleet
from pyinfra_gvisor.command.fleet import begin
from pyinfra_gvisor.deploys import audit, coolify, gvisor, remove, rollback
from pyinfra_gvisor.deploys.hosts import refuse_nobody
from pyinfra_gvisor.settings import Settings
from tests.arguments import Log
from tests.cases import cli
from tests.cases.fleet import Fleet, Node
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
    no_host=(("--limit", "nix"), "--limit matches no host and no group"),
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
    empty_group=(["empty"], 0, "got empty; list the hosts"),
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
    gvisor=gvisor.run_node,
    audit=audit.audit_node,
    remove=remove.remove,
    rollback=rollback.roll_back,
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
        fleet.deploy(coolify.run_control_host)

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

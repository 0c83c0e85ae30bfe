"""What pyinfra's plan says about parts where hosts differ: each step by its own name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyinfra

from tests.arguments import Data
from tests.cases import cli
from tests.cases.fleet import MARKS
from tests.cases.guarded import LOADED, PLAIN
from tests.cases.kept import users
from tests.cases.proven import proven_answer
from tests.cases.test_watch import there as watching
from tests.table import table
from tests.unit.egress.egress_states import told
from tests.unit.kernel import kernel_answers
from tests.unit.resolver import resolver_answers

DECLARED: Mapping[str, dict[str, Any]] = {
    "egress": {"gvisor_egress": {}},
    "kernel": {"gvisor_kernel": {}},
    "watch": {"gvisor_watch": True},
}
NONE = {"gvisor_egress": None, "gvisor_kernel": None, "gvisor_watch": False}
THERE: Mapping[str, Sequence[str]] = {
    "egress": told(LOADED),
    "kernel": kernel_answers.in_force(),
    "resolver": resolver_answers.told(resolver_answers.there()),
    "watch": watching(),
}
APPLIED = {
    "Block kernel modules and set sysctls": ["all", "has-kernel"],
    "Apply the egress firewall": ["all", "has-egress"],
    "Install the watch for containers outside gVisor": ["all", "has-watch"],
}
REMOVED = {
    "Remove the watch for containers outside gVisor": ["had-all", "had-watch"],
    "Remove the egress firewall": ["had-all", "had-egress"],
    "Remove the DNS resolver for sandboxes": ["had-all", "had-resolver"],
    "Allow blocked kernel modules and revert sysctls": ["had-all", "had-kernel"],
}


def host(*there: str, **data: Any) -> Data:
    """The data of a host on which these parts are."""
    lines = [line for name in there for line in THERE[name]]
    firewall = [] if "egress" in there else told(PLAIN)
    asked = {MARKS["users"]: list(users().stdout)}
    return {**cli.fake([*firewall, *lines, *proven_answer()], **asked), **NONE, **data}


HOSTS = {
    **{f"has-{name}": host(**data) for name, data in DECLARED.items()},
    "all": host(**{key: item for data in DECLARED.values() for key, item in data.items()}),
    **{f"had-{name}": host(name) for name in THERE},
    "had-all": host(*THERE),
    "neither": host(),
    "no-runtimes": host(gvisor_runtimes={}),
}


def wheel(directory: Path) -> Path:
    """Where Python finds an installed package: beside pyinfra, whose name its own begins with."""
    installed = directory / "site-packages"
    ours = installed / "pyinfra_gvisor"
    ours.mkdir(parents=True)
    theirs = Path(pyinfra.__file__).parents[1]
    for name in ("pyinfra", "pyinfra_cli"):
        (installed / name).symlink_to(theirs / name)
    for path in (cli.CHECKOUT / "pyinfra_gvisor").iterdir():
        (ours / path.name).symlink_to(path)
    return installed


@table(
    "deploy, called, expected, is_wheel",
    deploy=("gvisor", "run_node", {**APPLIED, **REMOVED}, False),
    deploy_of_a_wheel=("gvisor", "run_node", {**APPLIED, **REMOVED}, True),
    removal=("remove", "remove", REMOVED, False),
)
def test_hosts_with_different_parts_are_shown_under_the_names_of_their_own_steps(
    deploy: str, called: str, expected: dict[str, list[str]], is_wheel: bool, tmp_path: Path
) -> None:
    (tmp_path / "inventory.py").write_text(cli.inventory(run=HOSTS))
    text = f"from pyinfra_gvisor.deploys.{deploy} import {called}\n{called}()\n"
    (tmp_path / "fleet.py").write_text(text)

    ran = cli.pyinfra(
        tmp_path,
        *("--json", "--dry", "inventory.py", "fleet.py"),
        environment={"PYTHONPATH": str(wheel(tmp_path))} if is_wheel else None,
    )

    plan = json.loads(ran.stdout)["plan"]
    assert [step["names"] for step in plan if len(step["names"]) != 1] == []
    changing = {
        step["name"].partition(" | ")[2]: step["hosts_with_change"]
        for step in plan
        if step["name"].partition(" | ")[2] in {**APPLIED, **REMOVED}
    }
    told = {name: [f"@fake/{host}" for host in hosts] for name, hosts in expected.items()}
    assert changing == told

"""Watch and kernel settings on the real engine, and the steps of hosts with different parts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyinfra

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.operations import kernel, watch
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE
from pyinfra_gvisor.parts.kernel.settings import Kernel
from pyinfra_gvisor.parts.watch.files import POLICY, SCRIPT, SERVICE, TIMER
from pyinfra_gvisor.parts.watch.plan import Watch, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.policy.selectors import COOLIFY
from tests.arguments import Data, Log
from tests.cases import cli
from tests.cases.fleet import MARKS, Fleet, Node
from tests.cases.guarded import LOADED, PLAIN
from tests.cases.kept import users
from tests.cases.proven import proven_answer
from tests.table import table
from tests.unit.answers import answer, node
from tests.unit.egress.egress_states import told
from tests.unit.kernel import kernel_answers
from tests.unit.kernel.kernel_answers import ALL, in_force
from tests.unit.parts.keeper_answers import timed
from tests.unit.resolver import resolver_answers

WANTED: dict[str, Any] = {"wanted": True, "must": (COOLIFY,)}
ON = {"gvisor_watch": True}


def there(wanted: Watch | None = None, state: str = "active") -> list[str]:
    """The lines of a node on which this watch is."""
    plan = plan_watch(node().part(WatchState), wanted or Watch((COOLIFY,), ()), init="systemd")
    return timed("watch", plan.files, state)


def test_a_watch_is_put_there_in_one_command() -> None:
    nodes = {"a": Node([answer(), [*there(), *answer()]])}

    fleet = Fleet(nodes).done(watch.watch, **WANTED, interval_s=30)

    files = nodes["a"].of("watch").files
    modes = {path: mode for path, (mode, _) in files.items()}
    assert modes == {SCRIPT: "755", **dict.fromkeys((POLICY, SERVICE, TIMER), "644")}
    assert "label =coolify.managed =true" in files[POLICY][1]
    assert "\nOnUnitActiveSec=30\n" in files[TIMER][1]
    assert fleet.meta["a"].did_change()


@table(
    "data, lines, expected",
    neither_wanted_nor_there=({}, [], []),
    wanted=(ON, [], ["watch"]),
    wanted_and_there=(ON, there(), []),
    not_wanted_any_more=({"gvisor_watch": False}, there(), ["watch remove"]),
    changed=({"gvisor_watch": True, "gvisor_watch_action": "stop"}, there(), ["watch"]),
)
def test_a_deploy_has_the_watch_declared(data: Data, lines: list[str], expected: list[str]) -> None:
    nodes = {"a": Node([[*lines, *proven_answer()]], data=data)}

    fleet = Fleet(nodes, prepare=False).deployed(run_node)

    assert nodes["a"].acted() == expected
    assert len(fleet.state.get_op_order()) == (6 if expected else 0)


WEAK = [*kernel_answers.told(), *answer()]
STRONG = [*in_force(), *answer()]
KEY = "net.ipv4.conf.all.send_redirects"


def test_files_and_settings_go_there_in_one_command_and_a_diff_shows_how_they_change(
    caplog: Log,
) -> None:
    nodes = {"a": Node([WEAK, STRONG])}
    few = Kernel(modules=("sctp",), sysctls={KEY: None})
    changing = Node([[*in_force(few), *answer()]])

    fleet = Fleet(nodes).done(kernel.surface, ALL)
    Fleet({"a": changing}, DIFF=True).add(kernel.surface, Kernel(modules=()))

    assert nodes["a"].acted() == ["kernel"]
    files = nodes["a"].of("kernel").files
    modes = {path: mode for path, (mode, _) in files.items()}
    assert modes == dict.fromkeys((MODULES_FILE, SYSCTL_FILE), "644")
    assert "install cuse /bin/false\n" in files[MODULES_FILE][1]
    assert f"{KEY} 0\n" in nodes["a"].of("kernel").words[0]
    assert fleet.meta["a"].did_change()
    shown = (f"--- {MODULES_FILE}", "-install sctp /bin/false", f"--- {SYSCTL_FILE}", f"+{KEY} = 0")
    assert [line for line in shown if line not in caplog.text] == []
    assert "-kernel.dmesg_restrict" not in caplog.text


def test_what_is_not_wanted_any_more_is_taken_back_and_then_gone() -> None:
    nodes = {"a": Node([STRONG, WEAK])}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(kernel.surface, None)
    again = fleet.add(kernel.surface, None)
    fleet.run()

    assert nodes["a"].acted() == ["kernel"]
    sent = nodes["a"].of("kernel")
    assert f"gone='{MODULES_FILE}\n{SYSCTL_FILE}'" in sent.words[0]
    assert "settings=''" in sent.words[0]
    assert sent.files == {}
    assert not again["a"].did_change()


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
    "watch": there(),
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

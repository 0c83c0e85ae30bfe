"""Another program writes daemon.json at every step of every change, and nothing of it is lost."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.node.audits import sh
from tests.node.containers import remove_container, start_container
from tests.node.faults import COLD_START, FILE, Faults
from tests.node.running import CURRENT, Outcome
from tests.node.seeing import daemon_json, no_leftovers, processes
from tools.lab import LabNode

pytestmark = pytest.mark.slow

KEY = "insecure-registries"
COUNT = "/root/wrote"
WRITER = f"""
sync() {{
    command sync "$@" || return 1
    wrote=$(($(cat {COUNT}) + 1))
    case "$*$((wrote % 2))" in */.next1) return 0 ;; esac
    echo "$wrote" > {COUNT}
    if grep -q '"{KEY}"' {FILE} 2> /dev/null; then
        sed -i 's/"{KEY}": *\\[/&"w'"$wrote"'.example", /' {FILE}
    elif grep -q '"' {FILE} 2> /dev/null; then
        sed -i '0,/{{/s//{{"{KEY}": ["w'"$wrote"'.example"],/' {FILE}
    else
        echo '{{"{KEY}": ["w'"$wrote"'.example"]}}' > {FILE}.x && mv {FILE}.x {FILE}
    fi
}}
"""
"""
Adds an entry of its own after each step, to those that it finds: one loss loses them all.

A step is what ends with sync(1). Just before a file is put in place, every second time.
"""

DEPLOY = """
from pyinfra_gvisor.daemon_json import transaction
from pyinfra_gvisor.deploys.{module} import {function}

whole = transaction.script
transaction.script = lambda *names, **values: whole(*names, **values).replace(
    "\\nbegan=", "\\n" + {writer!r} + "began=", 1
)
{function}()
"""
"""The deploy with a writer beside it: it writes wherever the script has finished a step."""

PATHS: dict[str, tuple[str, str, Mapping[str, Any], int]] = {
    "converge": ("gvisor", "run_node", {}, 0),
    "change": ("gvisor", "run_node", {"gvisor_runtimes": {"runsc": {}, "second": {}}}, 0),
    "failure": ("gvisor", "run_node", {"gvisor_daemon_json": COLD_START}, 1),
    "rollback": ("rollback", "roll_back", {}, 0),
    "removal": ("remove", "remove", {}, 0),
}


def run(faults: Faults, path: str) -> Outcome:
    """Run one of the deploys with a writer beside it."""
    module, function, data, _ = PATHS[path]
    deploy = Path(faults.fleet.directory) / "writer.py"
    deploy.write_text(DEPLOY.format(module=module, function=function, writer=WRITER))
    return faults.fleet.run(faults.name, deploy=deploy, data={**CURRENT, **data})


def entries(node: LabNode) -> list[int]:
    """Return the numbers of the writes that daemon.json still has, the newest first."""
    found = json.loads(daemon_json(node)).get(KEY, [])
    return [int(entry[1:].partition(".")[0]) for entry in found]


@pytest.fixture
def fresh(plain: Faults) -> Iterator[Faults]:
    """A node that has not met us, with a container; afterwards one without."""
    forget_us(plain.node)
    start_container(plain.node, "beside", "--restart=always")
    yield plain
    remove_container(plain.node, "beside")
    forget_us(plain.node)
    plain.before = {}


def forget_us(node: LabNode) -> None:
    """Remove our records, and daemon.json."""
    sh(node, f"rm -rf /var/lib/pyinfra-gvisor {FILE}; echo 0 > {COUNT}")
    sh(node, "systemctl reset-failed docker; systemctl restart docker")


def test_no_key_of_another_program_is_lost_at_any_step(fresh: Faults) -> None:
    node, running = fresh.node, processes(fresh.node)

    for path, (_, _, _, code) in PATHS.items():
        before = int(sh(node, f"cat {COUNT}"))
        outcome = run(fresh, path)
        wrote = int(sh(node, f"cat {COUNT}"))
        assert outcome.code == code, outcome.text
        assert "another program changed the file meanwhile; its changes stay" in outcome.stderr
        assert wrote > before + 3, path
        assert entries(node) == list(range(wrote, 0, -1)), path
        assert processes(node) == running
        assert no_leftovers(node) == ""

    assert json.loads(daemon_json(node)).keys() == {KEY}

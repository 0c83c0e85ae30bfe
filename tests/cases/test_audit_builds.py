"""The audit on the real engine knows from the inventory which nodes build images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.deploys.audit import audit_node
from tests.cases.fleet import Fleet, Node
from tests.cases.proven import proven_answer

*GOOD, END = proven_answer()
BUILDS = [*GOOD, "build_cache 18 2026-11-25T14:05:19Z", END]
SAID = "the node is in group build and also has runtimes for apps"


@pytest.mark.parametrize(
    ("groups", "is_said"),
    [
        pytest.param({"run": {}}, False, id="a-run-node"),
        pytest.param({"run": {}, "build": {}}, True, id="a-run-node-that-builds"),
    ],
)
def test_a_node_of_the_group_build_that_runs_apps_is_told_to_be_both(
    tmp_path: Path, groups: Mapping[str, Mapping[str, Any]], is_said: bool
) -> None:
    node = Node([BUILDS], data={"gvisor_report_dir": str(tmp_path)})

    fleet = Fleet({"a": node}, prepare=False, groups=groups)
    fleet.deploy(audit_node)
    fleet.run()

    (host,) = json.loads((tmp_path / "fleet.json").read_text())["hosts"]
    (found,) = [item for item in host["findings"] if item["id"] == "builds-unsandboxed"]
    assert found["severity"] == "medium"
    assert (SAID in found["evidence"]) is is_said
    assert fleet.failed() == set()

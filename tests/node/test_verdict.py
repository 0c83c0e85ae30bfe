"""What looks like a sandbox and is none is told by all that tells, on each kind of Docker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.audits import audit
from tests.node.forgeries import REAL, Forgery, forge, forget
from tests.node.running import Fleet
from tests.node.watching import TEXTFILES, have_none, have_watch, journal, look_now, metrics, within

NODES = [pytest.param(name, id=name) for name in ("docker-20", "lived-in", "docker-29")]


@pytest.fixture
def forgeries(
    name: str, converged: dict[str, LabNode], fleet: Fleet
) -> Iterator[dict[str, Forgery]]:
    """All forgeries that Docker starts on a node, with real sandboxes beside them."""
    yield forge(converged[name])
    forget(converged[name])
    have_none(fleet, name)


@pytest.mark.parametrize("name", NODES)
def test_a_forgery_is_told_and_a_sandbox_is_not(
    name: str, forgeries: dict[str, Forgery], converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged[name]
    node.exec("install", "-d", "-m", "0755", TEXTFILES)

    seen = audit(fleet, name, textfile_dir=TEXTFILES)
    have_watch(fleet, name, gvisor_textfile_dir=TEXTFILES)
    assert within(60, lambda: look_now(node) == 0)

    told = {item["name"]: (item["verdict"], item["why"]) for item in seen.report["containers"]}
    assert len(forgeries) >= 12
    assert {item: told[item] for item in forgeries} == {
        item: forgery.verdict for item, forgery in forgeries.items()
    }
    assert {item: told[item] for item in REAL} == dict.fromkeys(REAL, ("sandboxed", ""))
    for item in forgeries:
        assert f"container-unsandboxed {item}" in seen.found
        assert journal(node, f"{item} (")
    for item in REAL:
        assert f"container-unsandboxed {item}" not in seen.found
        assert not journal(node, f"{item} (")
    assert metrics(node)["gvisor_watch_unsandboxed"] == len(forgeries)

"""What looks like a sandbox and is none is told by all that tells, on each kind of Docker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.audits import audit
from tests.node.forgeries import FORGERIES, REAL, forge, forget
from tests.node.running import Fleet
from tests.node.watching import TEXTFILES, have_none, have_watch, journal, look_now, metrics, within

NODES = [pytest.param(name, id=name) for name in ("docker-20", "lived-in", "docker-29")]


@pytest.fixture(params=NODES)
def forged(
    request: pytest.FixtureRequest, converged: dict[str, LabNode], fleet: Fleet
) -> Iterator[LabNode]:
    """A node with all forgeries on it, and with real sandboxes beside them."""
    node = converged[request.param]
    forge(node)
    yield node
    forget(node)
    have_none(fleet, request.param)


def test_a_forgery_is_told_and_a_sandbox_is_not(
    forged: LabNode, fleet: Fleet, request: pytest.FixtureRequest
) -> None:
    name = str(request.node.callspec.params["forged"])
    forged.exec("install", "-d", "-m", "0755", TEXTFILES)

    seen = audit(fleet, name, textfile_dir=TEXTFILES)
    have_watch(fleet, name, gvisor_textfile_dir=TEXTFILES)
    assert within(60, lambda: look_now(forged) == 0)

    told = {item["name"]: (item["verdict"], item["why"]) for item in seen.report["containers"]}
    assert {item: told[item] for item in FORGERIES} == {
        item: forgery.verdict for item, forgery in FORGERIES.items()
    }
    assert {item: told[item] for item in REAL} == dict.fromkeys(REAL, ("sandboxed", ""))
    for item in FORGERIES:
        assert f"container-unsandboxed {item}" in seen.found
        assert journal(forged, f"{item} (")
    for item in REAL:
        assert f"container-unsandboxed {item}" not in seen.found
        assert not journal(forged, f"{item} (")
    assert metrics(forged)["gvisor_watch_unsandboxed"] == len(FORGERIES)

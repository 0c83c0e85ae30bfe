"""A statement says what was seen, of the containers that it may name, and of nobody else."""

import pytest

from pyinfra_gvisor.report.document import FleetReport, fleet_report
from pyinfra_gvisor.report.statement import page, state, unseen
from tests.unit.report.reports import AT, MODE, WAIVED, container, host, unknown


@pytest.fixture
def fleet() -> FleetReport:
    """A host with a container of each kind, and one that does not answer."""
    containers = (
        container("shop-web"),
        container("proxy", asked="runc", sandboxed=False, exempt="our own reverse proxy"),
        container("other\x1b[31m\nroot"),
    )
    return fleet_report(
        [host("a", MODE, WAIVED, containers=containers), unknown("b")], at=AT, by="audit"
    )


def test_all_containers_are_named_by_where_they_were_seen(fleet: FleetReport) -> None:
    text = page(state(fleet, "pyinfra-gvisor 1", ()))

    assert "  seen in gVisor: 2\n    shop-web (9f86d081884c), image registry.example" in text
    assert "  seen on the host's kernel, not in gVisor: 1\n    proxy (" in text
    assert "runtime runc; exempt: our own reverse proxy" in " ".join(text.split())
    assert "  compliant; findings: 1 low, 1 waived\n" in text
    assert "Node b, " in text
    assert "  nobody could look: " in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_others_are_only_counted(fleet: FleetReport) -> None:
    stated = state(fleet, "pyinfra-gvisor 1", ("shop-web",))

    assert [item.name for item in stated.nodes[0].containers] == ["shop-web"]
    assert stated.nodes[0].others == {"sandboxed": 1, "bare": 1, "unknown": 0}
    for told in (page(stated), stated.model_dump_json()):
        assert "proxy" not in told
        assert "root" not in told
    assert unseen(stated, ("shop-web", "shop-db")) == ["shop-db"]

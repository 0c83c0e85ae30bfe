"""``gvisor.absent``: releases, wrappers and records go."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.operations import gvisor
from tests.cases.fleet import Fleet, Node
from tests.cases.proven import INSTALLED, RELEASE
from tests.unit.answers import answer

LEFT: dict[str, Any] = {**INSTALLED, "state_dir": "yes"}
DIRECTORY = f"/opt/gvisor/releases/{RELEASE}"
(WRAPPER,) = INSTALLED["wrappers"]


def test_everything_of_ours_goes_in_one_command() -> None:
    nodes = {"a": Node([answer(**LEFT), answer()])}

    fleet = Fleet(nodes).done(gvisor.absent)

    script, _, *paths = nodes["a"].of("remove").words
    assert sorted(paths) == [DIRECTORY, WRAPPER]
    for line in ("link=yes", "state=yes", "file=/etc/docker/daemon.json"):
        assert f"\n{line}\n" in script
    assert "\nstate_dir=/var/lib/pyinfra-gvisor\n" in script
    assert fleet.meta["a"].did_change()

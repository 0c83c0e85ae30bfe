"""A restart of dockerd on a node where other units of systemd depend on it."""

from collections.abc import Iterator

import pytest

from tests.node.containers import remove_container, start_container
from tests.node.faults import Faults, live, restarting
from tests.node.seeing import processes
from tests.node.unit_files import STARTS, remove_unit, units, write_unit
from tools.lab import LabNode

pytestmark = pytest.mark.slow

OWN_CONTAINERD = """
systemctl stop docker.socket docker containerd && systemctl mask --runtime containerd
mkdir -p /etc/systemd/system/docker.service.d
printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/dockerd -H fd://\\nKillMode=mixed\\n' \\
    > /etc/systemd/system/docker.service.d/own.conf
systemctl daemon-reload && systemctl start docker
"""
AS_BEFORE = """
systemctl stop docker.socket docker && systemctl unmask --runtime containerd
rm -r /etc/systemd/system/docker.service.d
systemctl daemon-reload && systemctl reset-failed && systemctl start containerd docker
"""


@pytest.fixture
def web(plain: Faults) -> Iterator[LabNode]:
    """A node with a unit file for ``docker run`` in the foreground; the unit does not run."""
    write_unit(plain.node, "web", "Wants", "--rm", attached=True)
    yield plain.node
    remove_unit(plain.node, "web")


def test_a_unit_with_a_docker_client_ends_only_if_the_operator_says_so(
    plain: Faults, web: LabNode
) -> None:
    with units(web, bound="BindsTo"):
        plain.remember()
        wanted, start = restarting(plain.before), STARTS.format("web")

        late = plain.run(wanted, hook=f"validate() {{ {start}; }}\n")
        refused = plain.run(wanted)
        kept = processes(web)
        told = plain.run({**wanted}, restart_units=["web.service"])

        assert late.code == refused.code == 1
        assert "end the docker command of web.service" in late.stderr
        assert "nothing was changed" in late.stderr
        assert "got web.service; stop these units first" in refused.stderr
        assert kept.keys() == {*plain.running, "web"}
        assert told.code == 0, told.text
        assert "units that end, perhaps with their containers: web.service (web)" in told.stderr
        assert "depend on dockerd, and are not restarted: bound.service" in told.stderr
        remove_unit(web, "web")
        plain.assert_sound(wanted)


def test_a_restart_that_would_kill_the_shims_is_refused(plain: Faults) -> None:
    made = plain.node.exec("sh", "-c", OWN_CONTAINERD)
    assert made.code == 0, made.stderr
    start_container(plain.node, "kept")
    before = processes(plain.node)

    outcome = plain.run(restarting(live(plain.node)))

    assert outcome.code == 1
    assert "systemd would kill them with dockerd, got kept;" in outcome.stderr
    assert processes(plain.node) == before
    remove_container(plain.node, "kept")
    plain.node.exec("sh", "-c", AS_BEFORE)

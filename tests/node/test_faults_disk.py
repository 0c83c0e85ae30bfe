"""A disk that is full at each write of a change, and full while a change is undone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.node.audits import sh
from tests.node.faults import COLD_START, Faults, live, reloading, restarting
from tests.node.turns import of_turn
from tests.table import table
from tools.lab import LabNode

pytestmark = pytest.mark.slow

STATE = "/var/lib/pyinfra-gvisor"
ETC = "/etc/docker"
PLACES = {"state": STATE, "etc": ETC}
BEFORE = "before"

_MOUNT = """
set -eu
mkdir -p /root/aside && rm -rf /root/aside/* && cp -a "$1/." /root/aside/
mount -t tmpfs -o size=1m,mode=0755 tmpfs "$1"
cp -a /root/aside/. "$1/"
"""
_UNMOUNT = """
set -eu
rm -rf /root/aside/* /root/aside/.[!.]* && cp -a "$1/." /root/aside/
umount "$1"
find "$1" -mindepth 1 -delete
cp -a /root/aside/. "$1/"
rm -rf /root/aside
"""
_FILL = "dd if=/dev/zero of={place}/filler bs=1k 2> /dev/null || true"


@contextmanager
def small(node: LabNode, place: str) -> Iterator[None]:
    """The directory on a file system of one megabyte."""
    sh(node, _MOUNT, place)
    try:
        yield
    finally:
        sh(node, _UNMOUNT, place)


def full_at(step: str, place: str) -> str:
    """Shell that fills the disk when the change comes to a step."""
    fill = _FILL.format(place=place)
    if step == BEFORE:
        return fill + "\n"
    return f'step() {{ say "$1" >> "$work/journal"; if [ "$1" = \'{step}\' ]; then {fill}; fi; }}\n'


# The disk stays full until the end: no later step needs another case than the first that comes
# through, or that is undone for the same reason. A restart begins as a reload does.
FULL: dict[str, tuple[str, Any, str]] = {
    "state-claim": ("state", reloading, "claim"),
    "state-before": ("state", restarting, BEFORE),
    "state-write": ("state", restarting, "write"),
    "state-restart-after": ("state", restarting, "restart after"),
    "state-done": ("state", restarting, "done"),
    "etc-before": ("etc", restarting, BEFORE),
    "etc-write": ("etc", restarting, "write"),
}


@table("where, change, step", of_turn(FULL))
def test_a_disk_that_is_full_at_a_step_leaves_the_old_or_the_new_configuration(
    faults: Faults, where: str, change: Any, step: str
) -> None:
    place = PLACES[where]
    wanted = change(faults.before)
    with small(faults.node, place):
        outcome = faults.run(wanted, hook=full_at(step, place))

        shown = live(faults.node)
        faults.node.exec("rm", "-f", f"{place}/filler")
        assert "Traceback" not in outcome.text
        assert "docker.daemon_json: " in outcome.stderr or outcome.code == 0, outcome.text
        # What later steps need of /etc is written down before the first.
        assert outcome.code == (0 if (where, step) == ("etc", "write") else 1), outcome.text
        if step == BEFORE:
            assert "is the disk full or read-only?; nothing was changed" in outcome.stderr
            assert shown == faults.before
        faults.assert_sound(wanted)


@pytest.mark.parametrize("where", PLACES)
def test_a_full_disk_does_not_keep_a_failed_change_from_being_undone(
    faults: Faults, where: str
) -> None:
    place = PLACES[where]
    wanted = restarting(faults.before)
    with small(faults.node, place):
        outcome = faults.run({**wanted, **COLD_START}, hook=full_at("restart after", place))

        assert outcome.code == 1
        assert live(faults.node) == faults.before
        faults.node.exec("rm", "-f", f"{place}/filler")
        faults.assert_sound(wanted)

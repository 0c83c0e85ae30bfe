"""``releases/users.sh``: which releases something on the node needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from tests.unit.shells import run

TASK = "io.containerd.runtime.v2.task/moby"


WRAPPER = "/opt/gvisor/runtimes/runsc-1-2"


def users(node: Path) -> list[str]:
    """Return what the script prints about a node whose files are in a directory."""
    text = script("releases/users").replace("/run/containerd", str(node))
    text = text.replace("find /proc ", f"find {node} ").replace("/etc/docker", str(node))
    text = text.replace("/run/docker/containerd", str(node / "none"))
    text = text.replace("/var/lib/pyinfra-gvisor", str(node / "none"))
    text = text.replace("/run/pyinfra-gvisor/runtimes", str(node / "marks"))
    ran = run(f"set -eu\n{text}\nrelease_users\necho end")
    *found, end = ran.stdout.splitlines()
    assert (ran.returncode, end) == (0, "end"), ran.stderr
    return found


@pytest.mark.parametrize(
    ("options", "used"),
    [
        pytest.param('{"BinaryName": "runc"}', [], id="none-of-ours"),
        pytest.param(f'{{"BinaryName": "{WRAPPER}"}}', [WRAPPER], id="one-of-ours"),
    ],
)
def test_containers_are_asked_which_release_they_need(
    tmp_path: Path, options: str, used: list[str]
) -> None:
    task = tmp_path / TASK / "4f5c"
    task.mkdir(parents=True)
    (task / "options.json").write_text(options)

    assert users(tmp_path) == used


def test_a_mark_names_what_later_calls_about_its_container_need(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    for id_, target in {"4f5c": WRAPPER, "5e6d": "runc"}.items():
        (tmp_path / "marks" / id_).symlink_to(target)

    assert users(tmp_path) == [WRAPPER]

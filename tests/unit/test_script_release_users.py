"""``release_users.sh``: which releases something on the node needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_gvisor.scripts import script
from tests.unit.shells import run

TASK = "io.containerd.runtime.v2.task/moby"


@pytest.mark.parametrize(
    ("options", "used"),
    [
        pytest.param('{"BinaryName": "runc"}', [], id="none-of-ours"),
        pytest.param(
            '{"BinaryName": "/opt/gvisor/runtimes/runsc-1-2"}',
            ["/opt/gvisor/runtimes/runsc-1-2"],
            id="one-of-ours",
        ),
    ],
)
def test_containers_are_asked_which_release_they_need(
    tmp_path: Path, options: str, used: list[str]
) -> None:
    task = tmp_path / TASK / "4f5c"
    task.mkdir(parents=True)
    (task / "options.json").write_text(options)
    text = script("release_users").replace("/run/containerd", str(tmp_path))
    text = text.replace("find /proc ", f"find {tmp_path} ").replace("/etc/docker", str(tmp_path))
    text = text.replace("/run/docker/containerd", str(tmp_path / "none"))
    text = text.replace("/var/lib/pyinfra-gvisor", str(tmp_path / "none"))

    ran = run(f"set -eu\n{text}\nrelease_users\necho end")

    assert ran.stdout.splitlines() == [*used, "end"], ran.stderr

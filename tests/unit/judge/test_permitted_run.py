"""The program on the node that runs a command of docker with a permit."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.judge.permits import HEADER
from tests.table import table
from tests.unit.dispatch.judged import Judged
from tests.unit.judge.resident import PYTHON
from tests.unit.shells import stub

REASON = "the disk has to be looked at"
TELLS = """
cd "$DOCKER_CONFIG"
cat config.json; stat -c '%a' config.json .
ls {run} | grep ^permit-
echo "${{DOCKER_HOST-}}${{DOCKER_CONTEXT-}}"
cat contexts/one 2>/dev/null
exit ${{CODE:-0}}
"""


@pytest.fixture
def node(tmp_path: Path) -> Judged:
    """A node whose docker shows its settings, and what permits there are."""
    (tmp_path / "run").mkdir(mode=0o700)
    node = Judged(tmp_path, door="refuse")
    stub(node.path, "docker", TELLS.format(run=tmp_path / "run"))
    return node


def begun(node: Judged, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Begin a command with a permit."""
    return subprocess.Popen(
        [*PYTHON, node.wrapper["judge"], "permit", *words],
        env={"PATH": f"{node.path}:/usr/bin:/bin", "HOME": str(node.root), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ran(node: Judged, *words: str, **environment: str) -> tuple[int, str, str]:
    """Return code and output of a command with a permit."""
    with begun(node, *words, **environment) as process:
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err


def test_docker_sends_a_secret_that_only_root_can_read_and_keeps_its_settings(
    node: Judged,
) -> None:
    usual = node.root / ".docker"
    (usual / "contexts").mkdir(parents=True)
    (usual / "contexts" / "one").write_text("kept\n")
    settings = {"auths": {"x": {}}, "HttpHeaders": {"A": "b"}}
    (usual / "config.json").write_text(json.dumps({**settings, "currentContext": "elsewhere"}))
    elsewhere = {"DOCKER_HOST": "tcp://192.0.2.7", "DOCKER_CONTEXT": "elsewhere"}

    words = ("--reason", REASON, "--", "docker", "run", "-e", "PASSWORD=x", "bb:1")
    code, out, err = ran(node, *words, CODE="3", **elsewhere)

    decoder = json.JSONDecoder()
    found, end = decoder.raw_decode(out)
    modes, _, permit, other_node, kept = out[end:].splitlines()
    secret = found["HttpHeaders"].pop(HEADER)
    assert (code, found) == (3, settings)
    assert len(secret) == 64
    assert modes == "600"
    assert permit.endswith(".open")
    assert secret not in permit
    assert (other_node, kept) == ("", "kept")
    assert err == "pyinfra-gvisor: no request used the exception\n"
    assert [*(node.root / "run").iterdir()] == []
    told = (node.root / "journal").read_text()
    assert told == f"-t pyinfra-gvisor -- exception for root: {REASON}: docker run\n"


@table(
    "words, why",
    no_reason=(("--", "docker", "run"), "--reason"),
    short=(("--reason", "x", "--", "docker", "run"), "write 10 characters or more"),
    no_command=(("--reason", REASON), "docker"),
    lines=(("--reason", f"{REASON}\n.", "--", "docker", "run"), "write one line"),
    other=(("--reason", REASON, "--", "sh", "-c", "x"), "got sh -c; write the command after --"),
    node=(
        ("--reason", REASON, "--", "docker", "-H", "x", "run"),
        "got docker -H; write the command",
    ),
)
def test_a_wrong_command_line_gives_nothing(node: Judged, words: tuple[str, ...], why: str) -> None:
    code, out, err = ran(node, *words)

    assert (code, out) == (2, "")
    assert why in err
    assert [*(node.root / "run").iterdir()] == []


@pytest.mark.parametrize("door", ["report", "off"])
def test_where_nothing_is_refused_nothing_is_permitted(tmp_path: Path, door: Any) -> None:
    node = Judged(tmp_path, door=door)
    stub(node.path, "docker", "echo called")

    code, out, err = ran(node, "--reason", REASON, "--", "docker", "run", "bb:1")

    assert (code, out) == (1, "")
    assert err.startswith("pyinfra-gvisor: this node refuses no requests")


@pytest.mark.parametrize("settings", ["{", "[]", '{"HttpHeaders": 5}'])
def test_settings_that_cannot_be_kept_are_named_before_anything_is_permitted(
    node: Judged, settings: str
) -> None:
    (node.root / ".docker").mkdir()
    (node.root / ".docker" / "config.json").write_text(settings)

    code, out, err = ran(node, "--reason", REASON, "--", "docker", "run", "bb:1")

    assert (code, out, err.count("\n")) == (1, "", 1)
    assert not (node.root / "journal").exists()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_ended_leaves_no_permit(node: Judged, by: signal.Signals) -> None:
    stub(node.path, "docker", "echo begun; exec sleep 30")

    with begun(node, "--reason", REASON, "--", "docker", "run", "bb:1") as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        if by == signal.SIGINT:  # a terminal sends it to both
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            os.kill(int(children), by)
        process.send_signal(by)
        code = process.wait(30)

    assert code == 128 + by
    assert [*(node.root / "run").iterdir()] == []

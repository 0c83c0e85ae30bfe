"""Whatever bytes a container or the node's files hold, a fact's answer is ASCII and is read."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyinfra_gvisor.audit.observed import parse_observed
from pyinfra_gvisor.base.scripts import program, script
from pyinfra_gvisor.facts.asking import asked
from pyinfra_gvisor.facts.audit import AuditState
from pyinfra_gvisor.facts.coolify import CoolifyState
from pyinfra_gvisor.facts.generations import Generations
from pyinfra_gvisor.facts.node import NodeState
from pyinfra_gvisor.facts.release_users import ReleaseUsers
from pyinfra_gvisor.facts.users import RuntimeUsers
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.planning.collection import END, parse_release_users
from tests.unit.answers import compact
from tests.unit.fake_docker import container, daemon, routes
from tests.unit.node_script import Machine

EVERY_BYTE = bytes(range(1, 256))
MARKERS = b"x\nend of node state\nend of release users\nrelease 1\n\xff\xfe"
FACTS = (AuditState, CoolifyState, Generations, NodeState, ReleaseUsers, RuntimeUsers)
FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def answered(text: str) -> bytes:
    """What a script's answer is when it has left the node."""
    ran = subprocess.run(["sh", "-c", str(asked(text))], capture_output=True, check=True)
    return ran.stdout


def about(machine: Machine, documents: list[dict[str, Any]]) -> list[str]:
    """The answer of an audit on a node with these containers, line by line."""
    answers = routes(documents)
    answers["/containers/json?all=1"] = answers["/containers/json"]
    with daemon(machine.socket, answers):
        return answered(machine.script()).decode("ascii").rstrip("\n").split("\n")


@pytest.mark.parametrize("fact", FACTS)
def test_every_fact_asks_in_that_way(fact: type) -> None:
    assert str(fact().command()).endswith(str(asked("")).removeprefix("sh -c ''"))


def test_bytes_that_are_no_ascii_are_question_marks_and_the_rest_is_as_it_was() -> None:
    octal = "".join(f"\\{byte:03o}" for byte in EVERY_BYTE)

    found = answered(f"printf '{octal}'")

    kept = {9, 10, *range(32, 127)}
    assert found == bytes(byte if byte in kept else ord("?") for byte in EVERY_BYTE)


@FEW
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_what_docker_says_is_the_same_text_in_ascii(text: str) -> None:
    source = program("node/docker_state.pl")
    start, end = source.index("sub ascii"), source.index("my $info;")
    code = f"{source[start:end]}; local $/; print ascii(<STDIN>)"
    said = json.dumps({"text": text}, ensure_ascii=False).encode()

    ran = subprocess.run(["perl", "-e", code], input=said, capture_output=True, check=True)

    assert json.loads(ran.stdout.decode("ascii")) == {"text": text}


def test_a_process_may_be_called_anything(tmp_path: Path) -> None:
    machine = Machine(tmp_path, wide="yes")
    names = [EVERY_BYTE, MARKERS, b"\xff\xfe", b"runsc-sandbox"]
    given = [[name, b"-c", b"read x", name] for name in names]
    running = [subprocess.Popen(one, executable="/bin/sh", stdin=subprocess.PIPE) for one in given]
    try:
        documents = [container(item.pid, item.pid, name="app") for item in running]
        said = about(machine, documents)
    finally:
        for item in running:
            item.kill()
            item.communicate()

    found = parse_node(said)
    assert len(found.containers) == len(names)
    assert {item.verdict.state for item in found.containers} <= {"bare", "unknown"}


def test_labels_and_networks_may_hold_any_text(tmp_path: Path) -> None:
    machine = Machine(tmp_path, wide="yes", labels="app")
    odd = EVERY_BYTE.decode("latin-1") + MARKERS.decode("latin-1") + "\U0001f600"
    document = container(1, 1, labels={"app": odd})

    line = next(line for line in about(machine, [document]) if line.startswith("container "))
    assert json.loads(line.removeprefix("container "))["Given"]["Labels"] == {"app": odd}
    assert compact(document).isascii() is False


def test_what_a_container_was_given_may_be_any_text(tmp_path: Path) -> None:
    machine = Machine(tmp_path, wide="yes", labels="", guarded=str(tmp_path / "nothing"))
    odd = MARKERS.decode("latin-1") + "engine \t\U0001f600" + '"\\'
    (tmp_path / "real").mkdir()
    link = tmp_path / odd
    link.symlink_to("real")
    host = {
        "SecurityOpt": [f"seccomp={odd * 9}"],
        "MaskedPaths": [odd],
        "Devices": [{"PathOnHost": odd, "PathInContainer": odd, "CgroupPermissions": odd}],
        "Annotations": {f"dev.gvisor.{odd}": odd},
    }
    document = container(1, 1, host=host, mounts=[{"Type": "bind", "Source": str(link)}])
    document["Config"]["Image"] = odd

    seen = parse_observed(about(machine, [document]))
    (given,) = seen.given.values()
    assert (given.annotations, given.devices[0].host) == ({f"dev.gvisor.{odd}": odd}, odd)
    assert given.masked == (odd,)
    assert given.security[0] == f"seccomp={odd * 9}"[: len(given.security[0])]
    assert given.mounts[0].places == (str(tmp_path / "real"),)
    assert seen.engines == () or all(item.pid for item in seen.engines)


def test_a_program_in_a_container_may_lie_at_any_path(tmp_path: Path) -> None:
    odd = "/opt/gvisor/releases/20260101.0\nend of release users\n/opt/gvisor/releases/x/\udcff"
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "exe").symlink_to(odd)
    (tmp_path / "13").mkdir()
    (tmp_path / "13" / "exe").symlink_to("/opt/gvisor/releases/20260905.0/runsc")
    text = script("releases/users").replace("find /proc ", f"find {tmp_path} ")
    for path in ("/run/containerd", "/run/docker/containerd", "/etc/docker", "/var/lib/pyinfra-gv"):
        text = text.replace(path, f"{tmp_path}/none")

    said = answered(f"{text}\nrelease_users\necho '{END}'").decode("ascii")

    assert "20260905.0" in parse_release_users(said.splitlines())
    assert said.splitlines().count(END) == 1

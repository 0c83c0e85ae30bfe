"""Without perl, ``node_state.sh`` asks the docker command, and sees the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.node import Node
from tests.unit.answers import compact, info
from tests.unit.fake_docker import container, daemon, network, port, routes
from tests.unit.node_script import Machine, process
from tests.unit.shells import stub

NASTY = '"Pid":1 {[}] \\ \\" $(id) `id` %s \u2028 gr\u00fc\u00df'

NETWORKS = [
    network("bridge", Options={"com.docker.network.bridge.name": "docker0"}),
    network("shop"),
    network("none", Driver="null"),
]
PORTS = [
    port(8080),
    port(8080, address="203.0.113.7"),
    port(53, "udp"),
    port(5432, address="127.0.0.1"),
]

DOWN = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."

# What docker_by_command asks for, answered from files.
DOCKER = """
case "$1 $2 $3" in
    "--version  ") echo 'Docker version 26.1.5, build a72d7cd' ;;
    "info --format "*) cat info.out; cat info.err >&2; exit "$(cat info.code)" ;;
    "ps -q --no-trunc") cat ids ;;
    "network ls -q") cat networks ;;
    "network inspect --format") shift 4 && cat -- "$@" ;;
    "inspect --format {{range "*) shift 3 && for id; do cat "$id.ports"; done ;;
    "inspect --format {{.State.Pid}}") [ -e "$4.pid" ] && cat "$4.pid" ;;
    "inspect --format "*) [ -e "$4.json" ] && cat "$4.json" ;;
    *) echo "unexpected: $*" >&2; exit 64 ;;
esac
"""


def commanded(
    root: Path,
    documents: Sequence[Mapping[str, Any]],
    *,
    answer: str = compact(info()),
    error: str = "",
    code: int = 0,
    networks: Sequence[Mapping[str, Any]] = (),
) -> Machine:
    """A node without perl, whose docker command knows these containers and networks."""
    root.mkdir()
    machine = Machine(root, perl=False)
    answers = root / "answers"
    answers.mkdir()
    (answers / "info.out").write_text(f"{answer}\n" if answer else "")
    (answers / "info.err").write_text(error)
    (answers / "info.code").write_text(str(code))
    (answers / "ids").write_text("".join(f"{item['Id']}\n" for item in documents))
    for item in documents:
        shown = {key: item[key] for key in ("Id", "Name", "State", "HostConfig", "Mounts")}
        (answers / f"{item['Id']}.json").write_text(compact(shown) + "\n")
        (answers / f"{item['Id']}.pid").write_text(f"{item['State']['Pid']}\n")
        (answers / f"{item['Id']}.ports").write_text(ports(item))
    (answers / "networks").write_text("".join(f"{item['Id']}\n" for item in networks))
    for item in networks:
        (answers / item["Id"]).write_text(
            f"egress network {item['Driver']} {bridge(item)} {item['Name']}\n"
        )
    stub(machine.path, "docker", f"cd '{answers}'\n{DOCKER}")
    return machine


def ports(document: Mapping[str, Any]) -> str:
    """What the docker command says of a container's published ports; a blank line at the end."""
    lines = [f"{it['PublicPort']}/{it['Type']} {it['IP']}\n" for it in document.get("Ports", ())]
    return "".join(lines) + "\n"


def bridge(network: Mapping[str, Any]) -> str:
    """The bridge that its template makes of a network."""
    unnamed = f"br-{network['Id'][:12]}" if network["Driver"] == "bridge" else "-"
    return str(network["Options"].get("com.docker.network.bridge.name", unnamed))


def listening(machine: Machine, answers: Mapping[str, Any] | None = None) -> Node:
    """What is seen of a node on whose socket somebody listens."""
    with daemon(machine.socket, answers or {}):
        return machine.node()


def test_without_perl_the_same_node_is_seen(tmp_path: Path) -> None:
    with process("runsc-sandbox") as sandbox, process("sleep") as plain:
        documents = [
            container(
                1,
                sandbox,
                name="shop",
                host={"Runtime": "runsc", "AutoRemove": True, "Annotations": {NASTY: NASTY}},
                mounts=[{"Source": "/run/docker.sock"}, {"Source": NASTY}],
                others={"Ports": PORTS},
            ),
            container(2, plain, name="gr\u00fc\u00df", state={"Error": NASTY}),
        ]
        (tmp_path / "perl").mkdir()
        by_perl = listening(Machine(tmp_path / "perl"), routes(documents, networks=NETWORKS))

        by_command = listening(commanded(tmp_path / "command", documents, networks=NETWORKS))

    # what is free changes between the two
    assert by_command.model_copy(update={"store": by_perl.store}) == by_perl
    assert [item.name for item in by_command.containers] == ["gr\u00fc\u00df", "shop"]
    assert by_command.containers[1].sandboxed
    bridges = [item.bridge for item in by_command.egress.networks]
    assert bridges == ["docker0", f"br-{NETWORKS[1]['Id'][:12]}", ""]
    assert by_command.egress.published == ("53/udp", "8080/tcp")


@pytest.mark.parametrize(
    ("version", "runc"),
    [
        pytest.param("29.7.1", "1.1.15", id="29"),
        pytest.param("30.0.0", "1.1.15", id="30"),
        pytest.param("28.5.2", None, id="28"),
    ],
)
def test_without_perl_runc_is_asked_for_its_version_from_docker_29_on(
    tmp_path: Path, version: str, runc: str | None
) -> None:
    machine = commanded(tmp_path / "node", [], answer=compact(info(ServerVersion=version)))
    stub(machine.path, "runc", "printf 'runc version 1.1.15\\nspec: 1.0.2-dev\\n'")

    found = listening(machine)

    assert found.runc_version == runc


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        pytest.param("", "permission denied while trying to connect", 1, id="fails"),
        pytest.param(
            compact({"ID": "", "ServerVersion": "", "Runtimes": None, "ServerErrors": [DOWN]}),
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            0,
            id="docker-26-with-exit-code-0",
        ),
    ],
)
def test_a_daemon_that_is_down_is_an_error_with_its_reason(
    tmp_path: Path, answer: str, error: str, code: int
) -> None:
    machine = commanded(tmp_path / "node", [], answer=answer, error=error + "\n", code=code)

    found = listening(machine)

    assert found.info is None
    assert found.docker_error == error


def test_a_warning_of_the_docker_command_does_not_spoil_its_answer(tmp_path: Path) -> None:
    machine = commanded(tmp_path / "node", [], error="WARNING: Error loading config file\n")

    found = listening(machine)

    assert found.info
    assert found.info.server_version == "26.1.5+dfsg1"


def test_a_container_that_went_away_meanwhile_is_not_there(tmp_path: Path) -> None:
    documents = [container(1, 1, name="gone"), container(2, 1, name="here")]
    machine = commanded(tmp_path / "node", documents)
    (machine.root / "answers" / f"{1:064x}.json").unlink()

    found = listening(machine)

    assert [item.name for item in found.containers] == ["here"]


def test_a_process_that_went_away_meanwhile_is_no_sandbox(tmp_path: Path) -> None:
    machine = commanded(tmp_path / "node", [container(1, 2**22 + 1)])

    (found,) = listening(machine).containers

    assert (found.executable, found.argv0) == ("", "")

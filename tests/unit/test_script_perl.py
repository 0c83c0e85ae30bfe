"""The Docker part of ``node_state.sh`` in perl, against a Docker API of the test's own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.sandbox.verdict import Process
from tests.unit.answers import compact
from tests.unit.fake_docker import (
    SECRET,
    Answer,
    breaks_off,
    closes,
    container,
    daemon,
    hangs,
    listed,
    routes,
    says,
)
from tests.unit.node_script import Machine, process

ID = f"/containers/{1:064x}/json"
NASTY = '","Pid":1,"Id":"' + "f" * 64 + '" {[}] \\ \\" end of node state \u2028 gr\u00fc\u00df'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node with perl."""
    return Machine(tmp_path)


def known(machine: Machine) -> Node | None:
    """The node, None where its answer is refused as a whole."""
    try:
        return machine.node(alarm_s=1)
    except ValueError:
        return None


def test_a_sandbox_is_seen_as_docker_and_proc_show_it(machine: Machine, sandbox: int) -> None:
    document = container(
        1,
        sandbox,
        name="shop",
        host={"Runtime": "runsc", "AutoRemove": True},
        mounts=[{"Type": "bind", "Source": "/var/run/docker.sock"}],
    )
    with daemon(machine.socket, routes([document])):
        (found,) = machine.node().containers

    assert (found.id, found.name, found.pid) == (f"{1:064x}", "shop", sandbox)
    assert (found.runtime, found.auto_remove, found.docker_socket) == ("runsc", True, True)
    assert found.process.file == found.process.executable


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"labels": {"a": NASTY, NASTY: "b"}}, id="labels"),
        pytest.param({"labels": {"x": '"Pid":1'}}, id="a-pid-in-a-label"),
        pytest.param(
            {"state": {"Error": NASTY, "Health": {"Log": [{"Output": NASTY}]}}}, id="state"
        ),
        pytest.param({"host": {"Binds": [NASTY], "Annotations": {NASTY: NASTY}}}, id="host-config"),
        pytest.param({"mounts": [{"Source": NASTY, "Destination": "}]"}]}, id="mounts"),
        pytest.param({"others": {"Path": NASTY, "Args": [NASTY, "{", '"']}}, id="arguments"),
        pytest.param({"others": {"Args": [[[{"a": [{}, [], NASTY]}]]]}}, id="deep-nesting"),
        pytest.param({"others": {"Path": "", "Args": [], "ExecIDs": []}}, id="empty-values"),
        pytest.param({"host": {"PidMode": "", "Pid": 7}, "others": {"Pid": 9}}, id="other-pids"),
    ],
)
def test_nasty_strings_change_nothing_about_a_container(
    machine: Machine, changes: dict[str, object]
) -> None:
    with process() as pid:
        document = container(1, pid, name="app", **changes)  # type: ignore[arg-type]
        with daemon(machine.socket, routes([document])):
            (found,) = machine.node().containers

    assert (found.id, found.name, found.pid) == (f"{1:064x}", "app", pid)
    assert (found.runtime, found.process.argv0) == ("runc", "sleep")


def test_neither_environment_nor_command_nor_labels_leave_the_node(machine: Machine) -> None:
    document = container(1, 1, labels={"traefik.auth": SECRET})

    with daemon(machine.socket, routes([document])):
        output = machine.output()

    assert "container {" in output
    assert SECRET not in output
    assert '"Config"' not in output


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"state": {"Health": {"Log": [{"Output": SECRET}]}}}, id="health-output"),
        pytest.param({"host": {"LogConfig": {"Config": {"splunk-token": SECRET}}}}, id="log-token"),
    ],
)
def test_what_we_have_no_name_for_does_not_leave_the_node_either(
    machine: Machine, changes: dict[str, object]
) -> None:
    document = container(1, 1, **changes)  # type: ignore[arg-type]

    with daemon(machine.socket, routes([document])):
        output = machine.output()

    assert SECRET not in output


def test_sixty_containers_are_all_seen_in_one_question_each(machine: Machine) -> None:
    documents = [container(number, 1, name=f"app-{number:02}") for number in range(1, 61)]

    with daemon(machine.socket, routes(documents)) as asked:
        found = machine.node()

    assert [item.name for item in found.containers] == [f"app-{n:02}" for n in range(1, 61)]
    assert len(asked) == 60 + len(("/info", "/containers/json", "/networks"))


def test_a_container_that_went_away_meanwhile_is_not_there(machine: Machine) -> None:
    documents = [container(1, 1, name="gone"), container(2, 1, name="here")]
    answers = routes(documents)
    del answers[ID]

    with daemon(machine.socket, answers):
        found = machine.node()

    assert [item.name for item in found.containers] == ["here"]
    assert found.info


def test_a_process_that_went_away_meanwhile_is_no_sandbox(machine: Machine) -> None:
    with daemon(machine.socket, routes([container(1, 2**22 + 1)])):
        (found,) = machine.node().containers

    assert (found.process, found.sandboxed) == (Process(), False)


def test_docker_info_goes_over_as_it_is(machine: Machine) -> None:
    docker = {"ServerVersion": "28.5.2", "Runtimes": {NASTY: {"path": NASTY}}, "Swarm": {}}

    with daemon(machine.socket, routes([], docker)):
        found = machine.node().info

    assert found
    assert found.runtimes[NASTY].path == NASTY


def test_without_a_socket_there_is_no_docker_and_no_error(machine: Machine) -> None:
    found = machine.node()

    assert (found.info, found.docker_error, found.containers) == (None, None, ())
    assert found.docker_client == "26.1.5"


def test_a_socket_that_nobody_listens_on_is_an_error_with_its_reason(machine: Machine) -> None:
    with daemon(machine.socket, {}):
        pass

    found = machine.node()

    assert found.info is None
    assert found.docker_error == "connect: Connection refused"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says('{"message": "driver broken"}', "500 Internal Server Error"), id="500"),
        pytest.param(says("", "200 OK"), id="empty-body"),
        pytest.param(closes, id="closes-at-once"),
        pytest.param(lambda request: request.wfile.write(b"garbage\r\n\r\n{}"), id="no-http"),
        pytest.param(breaks_off('{"ServerVersion": "26"}', 0.5), id="breaks-off"),
        pytest.param(hangs, id="hangs"),
    ],
)
def test_a_docker_that_does_not_tell_its_state_is_an_error_and_never_a_docker(
    machine: Machine, answer: Answer
) -> None:
    with daemon(machine.socket, {"/info": answer}):
        found = known(machine)

    assert found is None or (found.info is None and found.docker_error)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says('{"message": "no"}', "500 Internal Server Error"), id="500"),
        pytest.param(closes, id="closes-at-once"),
        pytest.param(
            breaks_off(compact([listed(container(n, 1)) for n in (2, 1)]), 0.6), id="breaks-off"
        ),
        pytest.param(hangs, id="hangs"),
    ],
)
def test_containers_that_docker_does_not_list_are_not_taken_for_none(
    machine: Machine, answer: Answer
) -> None:
    answers = {**routes([container(1, 1), container(2, 1)]), "/containers/json": answer}

    with daemon(machine.socket, answers):
        found = known(machine)

    assert found is None or (found.info is None and found.docker_error)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says('{"message": "no"}', "500 Internal Server Error"), id="500"),
        pytest.param(closes, id="closes-at-once"),
        pytest.param(breaks_off(compact(container(1, 1)), 0.5), id="breaks-off"),
        pytest.param(breaks_off(compact(container(1, 1)), 0.95), id="breaks-off-late"),
        pytest.param(hangs, id="hangs"),
    ],
)
def test_a_container_that_docker_does_not_tell_of_is_not_passed_over(
    machine: Machine, answer: Answer
) -> None:
    answers = {**routes([container(1, 1), container(2, 1)]), ID: answer}

    with daemon(machine.socket, answers):
        found = known(machine)

    assert found is None or found.info is None or len(found.containers) == 2


def test_a_docker_that_hangs_does_not_keep_the_rest_of_the_answer_back(machine: Machine) -> None:
    began = time.monotonic()

    with daemon(machine.socket, {"/info": hangs}):
        output = machine.output(alarm_s=1)

    assert time.monotonic() - began < 5
    assert output.endswith("\nend of node state\n")
    assert "\nuname " in f"\n{output}"

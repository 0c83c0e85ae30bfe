"""``watch.pl``: who is said to run without a sandbox, who is stopped, and when it fails."""

from __future__ import annotations

from pathlib import Path
from shutil import copy2
from typing import Any

import pytest

from pyinfra_gvisor.policy.selectors import COOLIFY, Exemption
from tests.unit.answers import compact
from tests.unit.fake_docker import SECRET, container, says
from tests.unit.node_script import process
from tests.unit.watch_script import ID, INSPECT, REASON, RUNSC, Watched

NASTY = '","Pid":1,"Id":"' + "f" * 64 + '" {[}] \\ \\" \n<3>x \u2028 gr\u00fc\u00df'
NO_SUCH_PID = 2**22 + 1


def test_a_container_without_its_sandbox_is_reported_with_what_is_to_be_known(
    tmp_path: Path, bare: int
) -> None:
    looked = Watched(tmp_path).look([container(1, bare, name="shop")])

    assert (looked.code, looked.stderr) == (0, "")
    assert looked.stdout.rstrip("\n") == (
        f"<3>shop ({ID[:12]}) must run in gVisor, but runs directly on the host kernel: "
        f"runtime runc, process {Path('/usr/bin/sleep').resolve()} "
        f"(pid {bare}, calls itself sleep); runc is not gVisor; "
        "recreate the container under a gVisor runtime, or exempt it in gvisor_exempt"
    )


def test_another_engine_at_dockers_socket_is_reported_and_not_checked(
    tmp_path: Path, sandbox: int
) -> None:
    (tmp_path / "docker.pid").write_text("812")

    looked = Watched(tmp_path).look([container(1, sandbox, host=RUNSC)])

    assert looked.code == 1
    assert looked.stdout.startswith("<3>Another program has Docker's socket, so no container was")
    assert looked.stdout.endswith("docker.sock, but dockerd is process 812\n")


def test_a_sandbox_is_in_order_and_that_is_said_once_with_the_number(
    tmp_path: Path, sandbox: int
) -> None:
    looked = Watched(tmp_path).look([container(1, sandbox, host=RUNSC)])

    assert (looked.code, looked.stderr) == (0, "")
    assert looked.stdout == ("<6>1 containers checked: 1 must run in gVisor and do; 0 are exempt\n")


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param("runc", id="runc"),
        pytest.param("io.containerd.runc.v2", id="by-its-other-name"),
        pytest.param("", id="none-named"),
    ],
)
def test_what_was_asked_to_be_runc_is_no_sandbox_whatever_its_process_is(
    tmp_path: Path, sandbox: int, runtime: str
) -> None:
    looked = Watched(tmp_path).look([container(1, sandbox, host={"Runtime": runtime})])

    assert looked.named == ["app"]


def test_a_runtime_that_started_no_sandbox_is_found(tmp_path: Path, bare: int) -> None:
    looked = Watched(tmp_path).look([container(1, bare, host=RUNSC)])

    assert looked.named == ["app"]
    assert "its process is not a gVisor sandbox; recreate the container" in looked.errors[0]


def test_a_program_that_is_not_the_nodes_file_of_that_path_is_no_sandbox(tmp_path: Path) -> None:
    program = tmp_path / "runsc"
    copy2("/usr/bin/sleep", program)
    with process("runsc-sandbox", str(program)) as pid:
        before = Watched(tmp_path).look([container(1, pid, host=RUNSC)])
        program.unlink()
        copy2("/usr/bin/sleep", program)
        after = Watched(tmp_path).look([container(1, pid, host=RUNSC)])

    assert before.named == []
    assert after.named == ["app"]
    assert "its binary was replaced on the node; run deploys/gvisor.py" in after.errors[0]


def test_only_who_must_is_reported_and_who_is_exempted_is_counted(
    tmp_path: Path, bare: int, sandbox: int
) -> None:
    app = {"coolify.managed": "true", "coolify.type": "application"}
    exempt = Exemption(name="old-*", reason=REASON)
    documents = [
        container(1, bare, name="old-app", labels=app),
        container(2, bare, name="proxy", labels={"coolify.managed": "true"}),
        container(3, sandbox, name="shop", labels=app, host=RUNSC),
    ]

    looked = Watched(tmp_path, (COOLIFY,), (exempt,)).look(documents)

    assert looked.stdout == ("<6>3 containers checked: 1 must run in gVisor and do; 1 are exempt\n")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"labels": {"a": NASTY, NASTY: "b"}}, id="labels"),
        pytest.param(
            {"state": {"Error": NASTY, "Health": {"Log": [{"Output": NASTY}]}}}, id="state"
        ),
        pytest.param(
            {"host": {**RUNSC, "Binds": [NASTY], "Annotations": {NASTY: NASTY}}}, id="host"
        ),
        pytest.param({"mounts": [{"Source": NASTY, "Destination": "}]"}]}, id="mounts"),
        pytest.param({"others": {"Path": "\\" * 140_000, "Args": ['"\n' * 70_000]}}, id="long"),
        pytest.param({"others": {"Args": [[[{"a": [{}, [], NASTY]}]]]}}, id="deep"),
        pytest.param({"others": {"Pid": 9, "Args": [1.5e-7, -1, None, False]}}, id="others"),
    ],
)
def test_nasty_values_hide_nothing_and_add_no_line(
    tmp_path: Path, bare: int, changes: dict[str, Any]
) -> None:
    looked = Watched(tmp_path).look([container(1, bare, name="app", **changes)])

    assert looked.named == ["app"]
    assert (len(looked.stdout.splitlines()), looked.stderr, looked.code) == (1, "", 0)
    assert SECRET not in looked.stdout


def test_a_container_that_went_away_meanwhile_is_no_error(tmp_path: Path, bare: int) -> None:
    gone, here = container(1, bare, name="gone"), container(2, bare, name="here")
    missing = says('{"message": "no such container"}', "404 Not Found")

    looked = Watched(tmp_path).look([gone, here], {INSPECT: missing})

    assert (looked.named, looked.code) == (["here"], 0)


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"Running": False, "Pid": 0, "Status": "exited"}, id="ended"),
        pytest.param({"Running": True, "Restarting": True, "Pid": 0}, id="about-to-be-restarted"),
    ],
)
def test_what_does_not_run_any_more_is_not_reported(tmp_path: Path, state: dict[str, Any]) -> None:
    looked = Watched(tmp_path).look([container(1, 1, state=state)])

    assert (looked.named, looked.code) == ([], 0)
    assert looked.stdout.startswith("<6>0 containers")


def test_a_process_that_is_just_being_started_is_looked_at_again(
    tmp_path: Path, sandbox: int
) -> None:
    document = container(1, sandbox, host=RUNSC)
    early = {**document, "State": {**document["State"], "Pid": NO_SUCH_PID}}
    answers = iter([early, early, document])

    def told(request: Any) -> None:
        says(compact(next(answers)))(request)

    looked = Watched(tmp_path).look([document], {INSPECT: told})

    assert (looked.named, looked.code) == ([], 0)
    assert looked.asked.count(INSPECT) == 3


def test_a_process_that_never_shows_what_it_is_is_reported(tmp_path: Path) -> None:
    document = container(1, NO_SUCH_PID, host=RUNSC)

    looked = Watched(tmp_path, changes={"0.3;": "0.01;"}).look([document])

    assert looked.named == ["app"]
    assert "process without an executable" in looked.errors[0]

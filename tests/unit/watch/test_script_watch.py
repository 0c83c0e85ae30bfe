"""``watch.pl``: who is said to run without a sandbox, who is stopped, and when it fails."""

import re
import time
from pathlib import Path
from shutil import copy2
from threading import Timer
from typing import Any

from pyinfra_gvisor.policy.selectors import COOLIFY, Exemption, Selector
from tests.arguments import Data
from tests.table import table
from tests.unit.answers import compact
from tests.unit.fake_docker import (
    SECRET,
    Answer,
    breaks_off,
    closes,
    container,
    hangs,
    listed,
    says,
)
from tests.unit.shells import held
from tests.unit.watch.watch_script import ID, INSPECT, REASON, RUNSC, STOP, STOPPED, Watched

NASTY = '","Pid":1,"Id":"' + "f" * 64 + '" {[}] \\ \\" \n<3>x \u2028 gr\u00fc\u00df'
NO_SUCH_PID = 2**22 + 1


def in_turn(*documents: Any) -> Answer:
    """These one after the other."""
    left = [says(compact(document)) for document in documents]

    def told(request: Any) -> None:
        left.pop(0)(request)

    return told


def test_a_container_without_its_sandbox_is_reported_in_full(tmp_path: Path, bare: int) -> None:
    looked = Watched(tmp_path).look([container(1, bare, name="shop")])

    assert (looked.code, looked.stderr) == (0, "")
    assert looked.stdout.rstrip("\n") == (
        f"<3>shop ({ID[:12]}) must run in gVisor, but runs directly on the host kernel: "
        f"runtime runc, process {Path('/usr/bin/sleep').resolve()} "
        f"(pid {bare}, calls itself sleep); runc is not gVisor; "
        "recreate the container under a gVisor runtime, or exempt it in gvisor_exempt"
    )


def test_another_engine_at_dockers_socket_is_only_reported(tmp_path: Path, sandbox: int) -> None:
    (tmp_path / "docker.pid").write_text("812")

    looked = Watched(tmp_path).look([container(1, sandbox, host=RUNSC)])

    assert looked.code == 1
    assert looked.stdout.startswith("<3>Another program has Docker's socket, so no container was")
    assert looked.stdout.endswith("docker.sock, but dockerd is process 812\n")


def test_a_sandbox_is_fine_and_that_is_said_once_and_counted(tmp_path: Path, sandbox: int) -> None:
    looked = Watched(tmp_path).look([container(1, sandbox, host=RUNSC)])

    assert (looked.code, looked.stderr) == (0, "")
    assert looked.stdout == ("<6>1 containers checked: 1 must run in gVisor and do; 0 are exempt\n")


@table("runtime", runc="runc", by_its_other_name="io.containerd.runc.v2", none_named="")
def test_what_was_asked_to_be_runc_is_no_sandbox_whatever_its_process_is(
    tmp_path: Path, sandbox: int, runtime: str
) -> None:
    looked = Watched(tmp_path).look([container(1, sandbox, host={"Runtime": runtime})])

    assert looked.named == ["app"]


def test_a_process_that_is_no_sandbox_or_never_shows_what_it_is_is_reported(
    tmp_path: Path, bare: int
) -> None:
    watched = Watched(tmp_path, changes={"0.3;": "0.01;"})

    looked, unknown = (watched.look([container(1, pid, host=RUNSC)]) for pid in (bare, NO_SUCH_PID))

    assert (looked.named, unknown.named) == (["app"], ["app"])
    assert "its process is not a gVisor sandbox; recreate the container" in looked.errors[0]
    assert "process without an executable" in unknown.errors[0]


def test_only_who_must_is_reported_and_exempt_are_counted(
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


@table(
    "changes",
    labels={"labels": {"a": NASTY, NASTY: "b"}},
    state={"state": {"Error": NASTY, "Health": {"Log": [{"Output": NASTY}]}}},
    host={"host": {**RUNSC, "Binds": [NASTY], "Annotations": {NASTY: NASTY}}},
    mounts={"mounts": [{"Source": NASTY, "Destination": "}]"}]},
    long={"others": {"Path": "\\" * 140_000, "Args": ['"\n' * 70_000]}},
    deep={"others": {"Args": [[[{"a": [{}, [], NASTY]}]]]}},
    others={"others": {"Pid": 9, "Args": [1.5e-7, -1, None, False]}},
)
def test_nasty_values_hide_or_add_nothing(tmp_path: Path, bare: int, changes: Data) -> None:
    looked = Watched(tmp_path).look([container(1, bare, name="app", **changes)])

    assert looked.named == ["app"]
    assert (len(looked.stdout.splitlines()), looked.stderr, looked.code) == (1, "", 0)
    assert SECRET not in looked.stdout


def test_a_container_that_went_away_meanwhile_is_no_error(tmp_path: Path, bare: int) -> None:
    gone, here = container(1, bare, name="gone"), container(2, bare, name="here")
    missing = says('{"message": "no such container"}', "404 Not Found")

    looked = Watched(tmp_path).look([gone, here], {INSPECT: missing})

    assert (looked.named, looked.code) == (["here"], 0)


@table(
    "state",
    ended={"Running": False, "Pid": 0, "Status": "exited"},
    about_to_be_restarted={"Running": True, "Restarting": True, "Pid": 0},
)
def test_what_does_not_run_any_more_is_not_reported(tmp_path: Path, state: dict[str, Any]) -> None:
    looked = Watched(tmp_path).look([container(1, 1, state=state)])

    assert (looked.named, looked.code) == ([], 0)
    assert looked.stdout.startswith("<6>0 containers")


def test_a_process_that_is_just_starting_is_looked_at_again(tmp_path: Path, sandbox: int) -> None:
    document = container(1, sandbox, host=RUNSC)
    early = {**document, "State": {**document["State"], "Pid": NO_SUCH_PID}}

    looked = Watched(tmp_path).look([document], {INSPECT: in_turn(early, early, document)})

    assert (looked.named, looked.code, looked.asked.count(INSPECT)) == ([], 0, 3)


def test_stopping_stops_only_what_is_reported(tmp_path: Path, bare: int, sandbox: int) -> None:
    documents = [
        container(1, bare, name="bad"),
        container(2, sandbox, name="good", host=RUNSC),
        container(3, bare, name="free"),
    ]
    must = [Selector(name="[bg]*")]

    looked = Watched(tmp_path, must, action="stop").look(documents, {STOP: STOPPED})

    assert [path for path in looked.asked if "stop" in path] == [STOP]
    assert looked.asked[-2:] == [INSPECT, STOP]
    assert f"<3>bad ({ID[:12]}) was stopped" in looked.stdout
    assert looked.code == 0


def test_what_has_its_sandbox_later_is_not_stopped(tmp_path: Path, bare: int, sandbox: int) -> None:
    first, second = container(1, bare, host=RUNSC), container(1, sandbox, host=RUNSC)
    answers = {INSPECT: in_turn(first, second), STOP: STOPPED}

    looked = Watched(tmp_path, action="stop").look([first], answers)

    assert STOP not in looked.asked
    assert looked.code == 0


def test_a_sandbox_of_a_replaced_program_is_only_reported(tmp_path: Path, sandbox: int) -> None:
    program = Path(f"/proc/{sandbox}/exe").readlink()
    program.unlink()
    copy2("/usr/bin/sleep", program)
    watched = Watched(tmp_path, action="stop")

    asked_runsc = watched.look([container(1, sandbox, host=RUNSC)], {STOP: STOPPED})
    asked_runc = watched.look([container(1, sandbox)], {STOP: STOPPED})

    assert asked_runsc.named == ["app"]
    assert "its binary was replaced on the node; run pyinfra-gvisor apply" in asked_runsc.errors[0]
    assert STOP not in asked_runsc.asked
    assert "was not stopped: it may run in gVisor" in asked_runsc.stdout
    assert STOP in asked_runc.asked


def test_what_a_proof_has_started_is_waited_for(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    ended: list[bool] = []

    def listing(request: Any) -> None:
        ended.append(proof.closed)
        says("[]")(request)

    with held(watched.lock) as proof:
        Timer(0.3, proof.close).start()
        looked = watched.look([], {"/containers/json": listing})

    assert (ended, looked.code, looked.errors) == ([True], 0, [])


def test_a_proof_without_end_hides_nothing_and_one_that_has_ended_is_not_waited_for(
    tmp_path: Path, bare: int
) -> None:
    watched = Watched(tmp_path, changes={"* 1.25 + 30": "* 1"})

    with held(watched.lock):
        watched.lock.write_text("1\n")
        looked = watched.look([container(1, bare)])
    ended = watched.look([container(1, bare)])

    assert (looked.named, ended.named, ended.code) == (["app"], ["app"], 0)
    assert "proof" not in ended.stdout
    assert looked.stdout.startswith("<4>containers of a running proof are checked too, because ")
    assert f"{watched.lock} cannot be locked: held for 1 s\n" in looked.stdout


def test_a_container_that_cannot_be_stopped_makes_the_look_fail(tmp_path: Path, bare: int) -> None:
    broken = says('{"message": "no"}', "500 Internal Server Error")

    looked = Watched(tmp_path, action="stop").look([container(1, bare)], {STOP: broken})

    assert looked.code == 1
    assert f"<3>app ({ID[:12]}) cannot be stopped: Docker answers HTTP 500" in looked.stdout


@table(
    "answer",
    status_500=says('{"message": "no"}', "500 Internal Server Error"),
    closes_at_once=closes,
    breaks_off=breaks_off(compact([listed(container(1, 1))]), 0.6),
    hangs=hangs,
)
def test_a_docker_that_lists_no_container_fails_the_look(tmp_path: Path, answer: Answer) -> None:
    quick = {'/containers/json", 20': '/containers/json", 1'}
    watched = Watched(tmp_path, metrics=True, changes=quick)

    looked = watched.look([], {"/containers/json": answer})

    assert looked.code == 1
    assert looked.errors[0].startswith("<3>Docker does not answer, so no container was checked; ")
    assert not watched.textfile.exists()


def test_without_docker_the_look_fails_and_says_so(tmp_path: Path) -> None:
    looked = Watched(tmp_path, changes={"sleep 1 if": "select undef, undef, undef, 0.01 if"}).run()

    assert looked.code == 1
    assert "see systemctl status docker: connect: No such file or directory\n" in looked.stdout


def test_a_container_that_docker_does_not_tell_of_hides_no_other(tmp_path: Path, bare: int) -> None:
    documents = [container(1, bare, name="stuck"), container(2, bare, name="shop")]
    watched = Watched(tmp_path, metrics=True)

    looked = watched.look(documents, {INSPECT: breaks_off(compact(documents[0]), 0.5)})

    assert (looked.code, looked.named) == (1, ["shop"])
    assert f"<3>container {ID} cannot be checked: incomplete JSON" in looked.stdout
    assert not watched.textfile.exists()


def test_the_metrics_are_whole_readable_and_new(tmp_path: Path, bare: int, sandbox: int) -> None:
    documents = [
        container(1, bare, name="bad"),
        container(2, sandbox, name="good", host=RUNSC),
        container(3, sandbox, name="fine", host=RUNSC),
        container(4, bare, name="odd", host={"Runtime": 'a"\\b'}),
        container(5, sandbox, name="lost", host={"Runtime": "gone"}),
    ]
    watched = Watched(tmp_path, (Selector(name="[!o]*"),), metrics=True)
    watched.textfile.write_text("of an earlier look")
    Path(f"{watched.textfile}.new").symlink_to(tmp_path / "elsewhere")
    began = int(time.time())

    looked = watched.look(documents)

    text = watched.textfile.read_text()
    values = [line for line in text.splitlines() if line.startswith("gvisor_watch_")]
    assert looked.code == 0
    assert values[:-1] == [
        'gvisor_watch_containers{runtime="a\\"\\\\b",sandboxed="false"} 1',
        'gvisor_watch_containers{runtime="gone",sandboxed="unknown"} 1',
        'gvisor_watch_containers{runtime="runc",sandboxed="false"} 1',
        'gvisor_watch_containers{runtime="runsc",sandboxed="true"} 2',
        "gvisor_watch_unsandboxed 2",
    ]
    assert began <= int(values[-1].split()[1]) <= time.time()
    assert re.findall("^# TYPE (.*) (?:gauge|counter)$", text, re.MULTILINE) == [
        line.split(" ")[2] for line in text.splitlines() if line.startswith("# HELP")
    ]
    assert watched.textfile.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.glob("*prom*")) == [watched.textfile.name]


def test_metrics_that_cannot_be_written_fail_a_look_that_reports(tmp_path: Path, bare: int) -> None:
    watched = Watched(tmp_path, metrics=True)
    (tmp_path / f"{watched.textfile.name}.new" / "x").mkdir(parents=True)

    looked = watched.look([container(1, bare)])

    assert (looked.named, looked.code) == (["app"], 1)
    assert "cannot be written: File exists" in looked.stdout


def test_a_policy_that_is_not_one_makes_the_look_fail(tmp_path: Path) -> None:
    looked = Watched(tmp_path, changes={'$key eq "must"': '$key eq "never"'}).look([])

    assert looked.code != 0
    assert looked.stderr.startswith(f"<3>{tmp_path}/policy: line 2: not a line of a policy")

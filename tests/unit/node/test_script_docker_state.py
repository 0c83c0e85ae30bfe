"""``docker_state.sh``: containers, runc, build cache, asked of a Docker of the test's own."""

import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.audit.observed import BuildCache, parse_observed
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.sandbox.verdict import Process
from tests.table import table
from tests.unit.answers import compact, info
from tests.unit.fake_docker import (
    SECRET,
    Answer,
    breaks_off,
    closes,
    container,
    daemon,
    ends_at,
    hangs,
    listed,
    routes,
    says,
)
from tests.unit.node_script import Machine, process
from tests.unit.shells import run, stub

ID = f"/containers/{1:064x}/json"
NASTY = '","Pid":1,"Id":"' + "f" * 64 + '" {[}] \\ \\" end of node state \u2028 gr\u00fc\u00df'
RUNC = "printf 'runc version 1.1.15\\nspec: 1.0.2-dev\\n'"
OF_23, OF_25 = "/v1.42/system/df?type=build-cache", "/v1.44/system/df?type=build-cache"


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


@table(
    "changes",
    labels={"labels": {"a": NASTY, NASTY: "b"}},
    a_pid_in_a_label={"labels": {"x": '"Pid":1'}},
    state={"state": {"Error": NASTY, "Health": {"Log": [{"Output": NASTY}]}}},
    host_config={"host": {"Binds": [NASTY], "Annotations": {NASTY: NASTY}}},
    mounts={"mounts": [{"Source": NASTY, "Destination": "}]"}]},
    arguments={"others": {"Path": NASTY, "Args": [NASTY, "{", '"']}},
    deep_nesting={"others": {"Args": [[[{"a": [{}, [], NASTY]}]]]}},
    empty_values={"others": {"Path": "", "Args": [], "ExecIDs": []}},
    other_pids={"host": {"PidMode": "", "Pid": 7}, "others": {"Pid": 9}},
)
def test_nasty_strings_change_no_container(machine: Machine, changes: dict[str, object]) -> None:
    with process() as pid:
        document = container(1, pid, name="app", **changes)  # type: ignore[arg-type]
        with daemon(machine.socket, routes([document])):
            (found,) = machine.node().containers

    assert (found.id, found.name, found.pid) == (f"{1:064x}", "app", pid)
    assert (found.runtime, found.process.argv0) == ("runc", "sleep")


def test_nothing_that_may_be_secret_leaves_the_node(machine: Machine) -> None:
    document = container(
        1,
        1,
        labels={"traefik.auth": SECRET},
        state={"Health": {"Log": [{"Output": SECRET}]}},
        host={"LogConfig": {"Config": {"splunk-token": SECRET}}},
    )

    with daemon(machine.socket, routes([document])):
        output = machine.output()

    assert "container {" in output
    assert SECRET not in output
    assert '"Config"' not in output


def test_where_docker_logs_to_is_told_without_a_password(machine: Machine) -> None:
    addresses = {
        "fluentd": {},
        "gelf": {"gelf-address": "udp://localhost:12201"},
        "splunk": {"splunk-url": f"https://me:{SECRET}@198.51.100.9:8088", "splunk-token": SECRET},
        "syslog": {"syslog-address": NASTY},
        "awslogs": {"awslogs-group": "shop"},
        "json-file": {"max-size": "10m"},
    }
    documents = [
        container(at, 1, name=driver, host={"LogConfig": {"Type": driver, "Config": options}})
        for at, (driver, options) in enumerate(addresses.items(), 1)
    ]

    stub(machine.path, "timeout", 'shift; exec "$@"')
    stub(machine.path, "getent", "[ $2 = localhost ] && echo 127.0.0.1 x || echo $2 x")
    with daemon(machine.socket, routes(documents)):
        output = machine.output()

    found = [line for line in output.splitlines() if line.startswith("egress log ")]
    assert [line for line in found if " syslog " not in line] == [
        "egress log fluentd - =127.0.0.1 fluentd",
        "egress log gelf udp://localhost:12201 =127.0.0.1 gelf",
        "egress log splunk https://198.51.100.9:8088 198.51.100.9 splunk",
        "egress log awslogs - - awslogs",
    ]
    (nasty,) = (line for line in found if " syslog " in line)
    assert nasty.endswith(" - syslog")
    assert len(nasty.split(" ")) == 6
    assert SECRET not in output


def test_sixty_containers_are_seen_in_one_question_each_and_docker_info_as_it_is(
    machine: Machine,
) -> None:
    documents = [container(number, 1, name=f"app-{number:02}") for number in range(1, 61)]
    docker = {"ServerVersion": "28.5.2", "Runtimes": {NASTY: {"path": NASTY}}, "Swarm": {}}

    with daemon(machine.socket, routes(documents, docker)) as asked:
        found = machine.node()

    assert [item.name for item in found.containers] == [f"app-{n:02}" for n in range(1, 61)]
    assert len(asked) == 60 + len(("/info", "/containers/json", "/networks"))
    assert found.info.runtimes[NASTY].path == NASTY


def test_a_container_that_went_away_meanwhile_is_not_there_and_a_process_is_no_sandbox(
    machine: Machine,
) -> None:
    documents = [container(1, 1, name="gone"), container(2, 2**22 + 1, name="ended")]
    answers = routes(documents)
    del answers[ID]

    with daemon(machine.socket, answers):
        found = machine.node()

    assert [(item.name, item.process, item.sandboxed) for item in found.containers] == [
        ("ended", Process(), False)
    ]
    assert found.info


def test_a_volume_that_is_elsewhere_by_a_link_is_named(machine: Machine, tmp_path: Path) -> None:
    volumes = tmp_path / "docker" / "volumes"
    (volumes / "a" / "_data").mkdir(parents=True)
    (volumes / "b").mkdir()
    with daemon(machine.socket, routes([], {**info(), "DockerRootDir": str(tmp_path / "docker")})):
        before = machine.node().linked_volume
        (volumes / "b" / "_data").symlink_to("/srv")

        assert (before, machine.node().linked_volume) == (None, str(volumes / "b" / "_data"))


def test_without_a_socket_there_is_no_docker_no_program_of_its_name_is_started_and_a_deaf_one_told(
    machine: Machine,
) -> None:
    client = machine.path / "docker"
    client.unlink()
    shutil.copy("/bin/false", client)

    found = machine.node()
    with daemon(machine.socket, {}):
        pass
    deaf = machine.node()

    assert (found.info, found.docker_error, found.containers) == (None, None, ())
    assert found.docker_client == "docker"
    assert (deaf.info, deaf.docker_error) == (None, "connect: Connection refused")


def test_a_script_in_the_place_of_docker_is_asked_what_it_is_but_no_build_cache(
    machine: Machine,
) -> None:
    stub(machine.path, "docker", "echo 'podman version 5.4.2'")

    found = machine.node()
    _, asked, _ = seen(machine)

    assert found.docker_client == "podman version 5.4.2"
    assert "remove the package podman-docker" in str(found.engine_problem)
    assert not [path for path in asked if "system/df" in path], "only an audit asks for it"


BODIES = {
    "/info": '{"ServerVersion": "26"}',
    "/containers/json": compact([listed(container(number, 1)) for number in (2, 1)]),
    ID: compact(container(1, 1)),
}
BROKEN: dict[str, Callable[[str], Answer]] = {
    "500": lambda _: says('{"message": "driver broken"}', "500 Internal Server Error"),
    "empty-body": lambda _: says("", "200 OK"),
    "closes-at-once": lambda _: closes,
    "no-http": lambda _: lambda request: request.wfile.write(b"garbage\r\n\r\n{}") and None,
    "breaks-off": lambda body: breaks_off(body, 0.6),
    "breaks-off-late": lambda body: breaks_off(body, 0.95),
    "breaks-off-at-a-bracket": lambda body: ends_at(body, body.index("}") + 1),
    "hangs": lambda _: hangs,
}


@table(
    "path, how",
    {
        f"{path}-{how}": (path, how)
        for path in BODIES
        for how in BROKEN
        if how
        not in (["breaks-off-at-a-bracket"] if path == "/info" else ["empty-body", "no-http"])
    },
)
def test_what_docker_does_not_tell_is_not_nothing(machine: Machine, path: str, how: str) -> None:
    answers = {**routes([container(1, 1), container(2, 1)]), path: BROKEN[how](BODIES[path])}

    with daemon(machine.socket, answers):
        found = known(machine)

    is_whole = path == ID and found is not None and len(found.containers) == 2
    assert found is None or is_whole or (found.info is None and found.docker_error)


def test_a_docker_that_hangs_does_not_keep_the_rest_of_the_answer_back(machine: Machine) -> None:
    began = time.monotonic()

    with daemon(machine.socket, {"/info": hangs}):
        output = machine.output(alarm_s=1)

    assert time.monotonic() - began < 5
    assert output.endswith("\nend of node state\n")
    assert "\nuname " in f"\n{output}"


@table(
    "docker, runc, version",
    ubuntu=({"RuncCommit": {"ID": ""}}, RUNC, "1.1.15"),
    hash=({"RuncCommit": {"ID": "0123abcd"}}, RUNC, "1.1.15"),
    null=({"RuncCommit": None}, RUNC, "1.1.15"),
    another=({"RuncCommit": {"ID": "v9-0-g01"}, "default_runtime": "runsc"}, RUNC, "1.1.15"),
    docker_tells=({"RuncCommit": {"ID": "v1.3.3-0-gd842d771"}}, RUNC, None),
    docker_tells_debians=({"RuncCommit": {"ID": "1.1.15+ds1-2+b4"}}, RUNC, None),
    older_docker=({"RuncCommit": {"ID": ""}, "ServerVersion": "28.5.2"}, RUNC, None),
    no_runc=({}, None, None),
    a_runc_that_fails=({}, "exit 1", None),
    another_program=({}, "echo crun version 1.14", None),
)
def test_runc_is_asked_for_its_version_where_docker_29_does_not_tell_it(
    machine: Machine, docker: dict[str, Any], runc: str | None, version: str | None
) -> None:
    if runc:
        stub(machine.path, "runc", runc)

    with daemon(machine.socket, routes([], info(**{"ServerVersion": "29.7.1", **docker}))):
        found = machine.node()

    assert found.info
    assert (found.runc_version, found.docker_error) == (version, None)


def test_a_kernel_without_core_scheduling_says_so(machine: Machine) -> None:
    cookie = "my $cookie = qq(\\0) x 8; print syscall($ARGV[0], 62, 0, 0, 0, $cookie) ? $! : q()"
    number = {"x86_64": "157", "aarch64": "167"}[platform.machine()]
    asked = run('exec perl -e "$1" "$2"', cookie, number)

    found = machine.node()

    assert found.info is None, "it is asked before there is a Docker"
    assert found.no_core_scheduling == (asked.stdout or None)


@pytest.fixture
def audited(tmp_path: Path) -> Machine:
    """A node with perl that is asked for all that an audit looks at."""
    return Machine(tmp_path, wide="yes", labels="")


def record(last_used: str | None, **others: Any) -> dict[str, Any]:
    """A record as Docker shows it, members in Docker's own order."""
    return {
        "ID": "zi7q1tztez5yb4pnbeifoguvb",
        " Parents": ["bzg6a0ywumy1tu7wptbi0im1r"],  # moby's own slip of the pen
        "Type": "regular",
        "Description": f'mount / from exec /bin/sh -c curl -H "token: {SECRET}" x | tar -x {{}}]',
        "InUse": False,
        "Size": 150,
        "CreatedAt": "2026-11-25T14:05:19.311095027Z",
        "LastUsedAt": last_used,
        "UsageCount": 1,
        **others,
    }


def usage(records: object) -> Answer:
    """Docker's answer, with all that was not asked for left out."""
    document = {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": None}
    return says(compact({**document, "BuildCache": records}) + "\n")


def seen(
    machine: Machine,
    *,
    version: str = "28.5.2+dfsg4",
    answers: dict[str, Answer] | None = None,
    alarm_s: int = 10,
) -> tuple[BuildCache, list[str], str]:
    """What is known of the build cache, what the daemon was asked for, and all that was printed."""
    docker = info(ServerVersion=version, DockerRootDir=str(machine.root))
    known = {"/containers/json?all=1": says("[]"), **routes([], docker), **(answers or {})}
    text = machine.script().replace("alarm $limit_s;", f"alarm {alarm_s};")
    with daemon(machine.socket, known) as asked:
        output = run(text, path=machine.path).stdout
    return parse_observed(output.rstrip("\n").split("\n")).build_cache, asked, output


@table(
    "version, path",
    docker_23=("23.0.6", OF_23),
    docker_24=("24.0.9", OF_23),
    docker_25=("25.0.0", OF_25),
    docker_26=("26.1.5+dfsg1", OF_25),
    docker_29=("29.1.0", OF_25),
)
def test_each_docker_is_asked_in_a_suitable_api(audited: Machine, version: str, path: str) -> None:
    used = ["2026-11-25T14:05:19.351171851Z", "2026-11-26T09:00:00Z", None]

    found, _, output = seen(audited, version=version, answers={path: usage([*map(record, used)])})

    assert found == BuildCache(records=3, last_used="2026-11-26T09:00:00Z")
    assert SECRET not in output


@table(
    "records, expected",
    empty=([], BuildCache(records=0)),
    null=(None, BuildCache(records=0)),
    never_used=([record(None)], BuildCache(records=1)),
    in_the_nodes_own_time=(
        [record("2026-11-25T16:05:19.35+02:00")],
        BuildCache(records=1, last_used="2026-11-25T16:05:19+02:00"),
    ),
)
def test_the_records_are_counted(audited: Machine, records: object, expected: BuildCache) -> None:
    found, _, _ = seen(audited, answers={OF_25: usage(records)})

    assert found == expected


@table("ran", a_step_has_run=True, none_has=False)
def test_an_old_docker_is_not_asked_as_its_builder_leaves_logs(audited: Machine, ran: bool) -> None:
    executor = audited.root / "buildkit" / "executor"
    executor.mkdir(parents=True)
    if ran:
        (executor / "runc-log.json").touch()
    os.utime(executor, (1764079522, 1764079522))

    found, asked, _ = seen(audited, version="20.10.24+dfsg1")

    assert found == (BuildCache(ran_by_s=1764079522) if ran else BuildCache())
    assert not [path for path in asked if "system/df" in path]


@table(
    "answer, error",
    an_error=(says("{}", "500 Internal Server Error"), "answer 500 to "),
    a_panic=(closes, "no answer to "),
    nothing=(hangs, "no answer within 10 s"),
    half_an_answer=(says(json.dumps({})[:1]), "incomplete answer to "),
)
def test_without_an_answer_the_rest_is_known(audited: Machine, answer: Answer, error: str) -> None:
    found, _, output = seen(audited, answers={OF_25: answer}, alarm_s=1)

    assert (found.error or "").startswith(error)
    assert "\ninfo {" in f"\n{output}"
    assert "docker_error" not in output

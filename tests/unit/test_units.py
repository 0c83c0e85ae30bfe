"""Units of systemd beside dockerd's: what is read of them, and what a plan says and refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.base.scripts import program
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.render_plan import plan_lines
from pyinfra_gvisor.node import Node, parse_node
from tests.unit.answers import END, Running, answer, info
from tests.unit.shells import replaced, run, stub, toolbox

RESTART: dict[str, Json] = {"userland-proxy": False}
ATTACHED = ("attached web.service web", "attached web.service", "attached stack.service")
SHIM = ["containerd-shim-runc-v2", "-namespace", "moby", "-id", "c0ffee", "-address", "/run/c.sock"]
RUN = ["docker", "run", "--rm", "--name", "web", "-v", "a:b", "nginx", "start"]
LOST = "the change is undone if a container ends with these units, which name none"
SHOWN = "RequiredBy=stack.service\nBoundBy=\nConsistsOf=docker.socket part.service\nKillMode={}"


def beside(lines: Sequence[str], **given: object) -> Node:
    """Return a node on which ``units.pl`` prints these lines."""
    given.setdefault("containers", [Running("web", pid=2), Running("app", pid=3)])
    printed = [line for line in answer(**given) if line != END]  # type: ignore[arg-type]
    return parse_node([*printed, *(f"beside {line}" for line in lines), END])


def test_a_restart_is_refused_while_units_wait_for_their_containers() -> None:
    with pytest.raises(Problem, match=r"got stack\.service, web\.service; stop these units"):
        plan_daemon_json(beside(ATTACHED), RESTART)


def test_units_that_may_end_are_named_with_their_containers() -> None:
    found = beside([*ATTACHED, "dependent db.service", "dependent web.service"])

    plan = plan_daemon_json(found, RESTART, restart_units=["web.service", "stack.service"])

    lines = plan_lines(plan, found, wait_s=300)
    assert [line for line in lines if "--rm" not in line][-4:] == [
        "  containers that keep running: app",
        "  units that end, perhaps with their containers: stack.service, web.service (web)",
        f"  {LOST}: stack.service",
        "  units that depend on dockerd, and are not restarted: db.service",
    ]


@pytest.mark.parametrize(
    ("length", "running"), [(64, "app"), (12, "app"), (11, "app, web")], ids=["id", "short", "less"]
)
def test_a_client_may_name_its_container_by_id(length: int, running: str) -> None:
    found = beside([])
    (web,) = (item.id for item in found.containers if item.name == "web")
    found = beside([f"attached web.service {web[:length]}"])

    plan = plan_daemon_json(found, RESTART, restart_units=["web.service"])

    assert f"  containers that keep running: {running}" in plan_lines(plan, found, wait_s=300)


def test_one_unit_that_may_end_does_not_stand_for_another() -> None:
    with pytest.raises(Problem, match=r"got stack\.service;"):
        plan_daemon_json(beside(ATTACHED), RESTART, restart_units=["web.service"])


def test_a_restart_that_kills_shims_is_refused_with_what_to_set() -> None:
    web = answer(containers=[Running("web")])[-2].split('"Id":"')[1][:64]

    with pytest.raises(Problem, match=r"got web; run systemctl edit docker\.service .*KillMode"):
        plan_daemon_json(beside([f"killed {web}"]), RESTART, restart_units=["docker.service"])


@pytest.mark.parametrize("lines", [ATTACHED, ["killed c0ffee"]], ids=["attached", "killed"])
def test_without_a_restart_no_unit_is_a_reason_to_refuse(lines: Sequence[str]) -> None:
    forgetful = info(ServerVersion="28.5.2")

    assert plan_daemon_json(beside(lines), RESTART, restart="reload").changes
    assert plan_daemon_json(beside(lines, docker=forgetful), {"debug": True}).action is Force.RELOAD


class Processes:
    """A /proc directory with processes of a test's own, and a systemctl that knows one unit."""

    def __init__(self, root: Path) -> None:
        self.root = root / "proc"
        self.path = toolbox(root / "bin", "perl")
        self.shows("process")
        self.add("self", [], group="/")

    def shows(self, kill_mode: str) -> None:
        """Have dockerd's unit and this KillMode."""
        stub(self.path, "systemctl", f"cat <<'end'\n{SHOWN.format(kill_mode)}\nend")

    def add(self, pid: str, words: list[str], group: str, *, space: str = "pid:[1]") -> None:
        """Add a process with this command line, control group and pid namespace."""
        home = self.root / pid
        (home / "ns").mkdir(parents=True)
        (home / "ns" / "pid").symlink_to(space)
        (home / "comm").write_text(f"{(words or ['sh'])[0].rpartition('/')[2][:15]}\n")
        (home / "cmdline").write_text("".join(f"{word}\0" for word in words))
        (home / "cgroup").write_text(f"12:cpu:/x.service\n1:name=systemd:{group}\n0::{group}\n")

    def printed(self, unit: str = "docker.service") -> list[str]:
        """Return what the program prints about them."""
        text = replaced(program("node/units.pl"), {"/proc/": f"{self.root}/"})
        ran = run('exec perl -e "$1" "$2"', text, unit, path=self.path)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    """A machine with one unit that depends on dockerd's."""
    return Processes(tmp_path)


DEPENDENT = ["beside dependent stack.service", "beside dependent part.service"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        pytest.param(RUN, " web", id="run"),
        pytest.param(["/usr/bin/docker", "run", "--name=web", "nginx"], " web", id="name-in-one"),
        pytest.param(["docker", "run", "nginx"], "", id="without-a-name"),
        pytest.param(["docker", "start", "-a", "web"], " web", id="start"),
        pytest.param(["docker", "-H", "x", "container", "attach", "web"], " web", id="attach"),
        pytest.param(["docker-compose", "-f", "a.yml", "up"], "", id="compose"),
        pytest.param(["docker", "wait", "web", "db"], " web db", id="wait"),
    ],
)
def test_a_docker_client_that_waits_is_told_with_its_unit(
    processes: Processes, words: list[str], names: str
) -> None:
    processes.add("7", words, "/system.slice/web.service")

    assert processes.printed() == [*DEPENDENT, f"beside attached web.service{names}"]


@pytest.mark.parametrize(
    ("words", "group", "space"),
    [
        pytest.param(["docker", "logs", "-f", "run"], "/a.service", "pid:[1]", id="logs"),
        pytest.param(["docker", "exec", "app", "start"], "/a.service", "pid:[1]", id="exec"),
        pytest.param(RUN, "/user.slice/session-1.scope", "pid:[1]", id="a-person"),
        pytest.param(RUN, "/docker/c0ffee/a.service", "pid:[2]", id="in-a-container"),
        pytest.param(["sh", *RUN], "/a.service", "pid:[1]", id="another-program"),
        pytest.param(SHIM, "/system.slice/containerd.service", "pid:[1]", id="a-shim-elsewhere"),
    ],
)
def test_other_processes_are_not(
    processes: Processes, words: list[str], group: str, space: str
) -> None:
    processes.shows("control-group")
    processes.add("7", words, group, space=space)

    assert processes.printed() == DEPENDENT


@pytest.mark.parametrize(
    ("kill_mode", "lines"),
    [
        pytest.param("process", [], id="process"),
        pytest.param("none", [], id="none"),
        pytest.param("mixed", ["beside killed c0ffee"], id="mixed"),
        pytest.param("control-group", ["beside killed c0ffee"], id="control-group"),
    ],
)
def test_a_shim_in_dockerds_unit_is_killed_as_its_kill_mode_says(
    processes: Processes, kill_mode: str, lines: list[str]
) -> None:
    processes.shows(kill_mode)
    processes.add("7", SHIM, "/system.slice/docker.service/a")

    assert processes.printed() == [*DEPENDENT, *lines]


def test_a_dockerd_without_a_unit_has_no_dependents(processes: Processes) -> None:
    processes.add("7", RUN, "/system.slice/web.service")
    processes.add("8", SHIM, "/user.slice/session-1.scope")

    assert processes.printed("") == ["beside attached web.service web"]

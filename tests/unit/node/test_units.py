"""Units of systemd: dockerd's own arguments, and those beside it, in a plan."""

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
from pyinfra_gvisor.node.dockerd_unit import Supervisor, next_arguments, unit_arguments
from tests.table import table
from tests.unit.answers import END, Running, answer, info
from tests.unit.shells import replaced, run, stub, toolbox

RESTART: dict[str, Json] = {"userland-proxy": False}
ATTACHED = ("attached web.service web", "attached web.service", "attached stack.service")
SHIM = ["containerd-shim-runc-v2", "-namespace", "moby", "-id", "c0ffee", "-address", "/run/c.sock"]
RUN = ["docker", "run", "--rm", "--name", "web", "-v", "a:b", "nginx", "start"]
LOST = (
    "these units name no container. If a container ends with one of them, the change is rolled back"
)
SHOWN = "RequiredBy=stack.service\nBoundBy=\nConsistsOf=docker.socket part.service\nKillMode={}"
DEPENDENT = ["beside dependent stack.service", "beside dependent part.service"]


def beside(lines: Sequence[str], **given: object) -> Node:
    """Return a node on which ``units.pl`` prints these lines."""
    given.setdefault("containers", [Running("web", pid=2), Running("app", pid=3)])
    printed = [line for line in answer(**given) if line != END]  # type: ignore[arg-type]
    return parse_node([*printed, *(f"beside {line}" for line in lines), END])


@table(
    "may_end, got",
    none=([], r"stack\.service, web\.service"),
    one=(["web.service"], r"stack\.service"),
)
def test_a_restart_is_refused_while_units_wait_for_containers_and_if_it_kills_shims(
    may_end: list[str], got: str
) -> None:
    web = answer(containers=[Running("web")])[-2].split('"Id":"')[1][:64]

    with pytest.raises(Problem, match=f"got {got}; stop these units"):
        plan_daemon_json(beside(ATTACHED), RESTART, restart_units=may_end)
    with pytest.raises(Problem, match=r"got web; run systemctl edit docker\.service .*KillMode"):
        plan_daemon_json(beside([f"killed {web}"]), RESTART, restart_units=["docker.service"])


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


@table("length, running", id=(64, "app"), short=(12, "app"), less=(11, "app, web"))
def test_a_client_may_name_its_container_by_id(length: int, running: str) -> None:
    found = beside([])
    (web,) = (item.id for item in found.containers if item.name == "web")
    found = beside([f"attached web.service {web[:length]}"])

    plan = plan_daemon_json(found, RESTART, restart_units=["web.service"])

    assert f"  containers that keep running: {running}" in plan_lines(plan, found, wait_s=300)


@table("lines", attached=ATTACHED, killed=["killed c0ffee"])
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


@table(
    "words, names",
    run=(RUN, " web"),
    name_in_one=(["/usr/bin/docker", "run", "--name=web", "nginx"], " web"),
    without_a_name=(["docker", "run", "nginx"], ""),
    start=(["docker", "start", "-a", "web"], " web"),
    attach=(["docker", "-H", "x", "container", "attach", "web"], " web"),
    compose=(["docker-compose", "-f", "a.yml", "up"], ""),
    wait=(["docker", "wait", "web", "db"], " web db"),
)
def test_a_docker_client_that_waits_is_told_with_its_unit(
    processes: Processes, words: list[str], names: str
) -> None:
    processes.add("7", words, "/system.slice/web.service")

    assert processes.printed() == [*DEPENDENT, f"beside attached web.service{names}"]


@table(
    "words, group, space",
    logs=(["docker", "logs", "-f", "run"], "/a.service", "pid:[1]"),
    exec=(["docker", "exec", "app", "start"], "/a.service", "pid:[1]"),
    a_person=(RUN, "/user.slice/session-1.scope", "pid:[1]"),
    in_a_container=(RUN, "/docker/c0ffee/a.service", "pid:[2]"),
    another_program=(["sh", *RUN], "/a.service", "pid:[1]"),
    a_shim_elsewhere=(SHIM, "/system.slice/containerd.service", "pid:[1]"),
)
def test_others_are_not(processes: Processes, words: list[str], group: str, space: str) -> None:
    processes.shows("control-group")
    processes.add("7", words, group, space=space)

    assert processes.printed() == DEPENDENT


@table(
    "kill_mode, lines",
    process=("process", []),
    none=("none", []),
    mixed=("mixed", ["beside killed c0ffee"]),
    control_group=("control-group", ["beside killed c0ffee"]),
)
def test_a_shim_in_dockerds_unit_is_killed_as_its_kill_mode_says(
    processes: Processes, kill_mode: str, lines: list[str]
) -> None:
    processes.shows(kill_mode)
    processes.add("7", SHIM, "/system.slice/docker.service/a")
    killed = processes.printed()
    processes.add("8", RUN, "/system.slice/web.service")

    assert killed == [*DEPENDENT, *lines]
    assert processes.printed("") == ["beside attached web.service web"], "without a unit"


DEBIAN = """# /usr/lib/systemd/system/docker.service
[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
ExecReload=/bin/kill -s HUP $MAINPID
"""
RESET = "ExecStart=\nExecStart="
FIXED = ("-H", "fd://", "--containerd=/run/containerd/containerd.sock")


@table(
    "drop_in, expected",
    none=("", FIXED),
    reset=("[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -D\n", ("-D",)),
    reset_and_nothing=("[Service]\nExecStart=\n", ()),
    reset_twice=(f"{RESET}/bin/dockerd -D\n{RESET}/bin/dockerd -l x", ("-l", "x")),
    goes_on=(f"{RESET}/bin/dockerd \\\n  -D \\\n# a remark\n\t--icc=0\n", ("-D", "--icc=0")),
    spaces=("ExecStart = /usr/bin/dockerd -D", ("-D",)),
    commented_out=("#ExecStart=/usr/bin/dockerd -D", FIXED),
    another_key=("ExecStartPre=/bin/true -x", FIXED),
    prefixes=("ExecStart=-+/usr/bin/dockerd -D", ("-D",)),
    name_of_its_own=("ExecStart=@/usr/bin/dockerd name -D", ("-D",)),
    quotes=("ExecStart=/bin/dockerd -l 'a b' \"--l=c d\"", ("-l", "a b", "--l=c d")),
    open_quote=("ExecStart=/usr/bin/dockerd --label 'a", ("--label", "'a")),
    specifier=("ExecStart=/usr/bin/dockerd --label %H", ("--label", "%H")),
    variables=(
        "Environment=A=1 'B=x y'\nExecStart=/usr/bin/dockerd --l=${A}-${B} $B $$ $NONE",
        ("--l=1-x y", "x", "y", "$"),
    ),
)
def test_the_last_command_counts(drop_in: str, expected: tuple[str, ...]) -> None:
    assert unit_arguments(DEBIAN + drop_in, {}) == expected


@table(
    "unit, options, expected",
    nothing_is_newer=(None, None, None),
    unit_without_a_command=("", None, ()),
    unit=(DEBIAN, None, FIXED),
    unit_and_options=(DEBIAN, 'DOCKER_OPTS="-D"\n', (*FIXED, "-D")),
    init_script=(None, "DOCKER_OPTS='-D --icc'\n", ("-D", "--icc")),
    init_script_without_options=(None, "", ()),
    open_quote=(None, 'DOCKER_OPTS="-D\n', ('"-D',)),
)
def test_the_next_start_is_known_from_whatever_says_it(
    unit: str | None, options: str | None, expected: tuple[str, ...] | None
) -> None:
    assert next_arguments(unit, options) == expected


def test_a_variable_of_a_file_wins_and_another_kind_of_supervisor_is_an_error() -> None:
    text = DEBIAN + "Environment=DOCKER_OPTS=--icc\n"

    found = unit_arguments(text, {"DOCKER_OPTS": "-D --dns 9.9.9.9"})

    assert found == (*FIXED, "-D", "--dns", "9.9.9.9")
    with pytest.raises(ValueError, match="kind"):
        Supervisor.of("runit")

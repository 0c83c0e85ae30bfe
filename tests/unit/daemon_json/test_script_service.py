"""The parts that reload and restart dockerd, and which containers count as ended or lost."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.service import PARTS, service_script
from tests.table import table
from tests.unit.answers import node
from tests.unit.node_script import process
from tests.unit.shells import replaced, run, stub, toolbox

FUNCTIONS = (
    *("service_reload", "service_restart", "service_runs", "service_log", "service_name"),
    *("service_delay_retries", "service_restore_retries"),
)
OLD, NEW = 'level=error msg="old"\n', 'level=info msg="new"\nlevel=fatal msg="no luck"\n'
BELOW = """
seconds() { read -r up _ < /proc/uptime; printf '%s\\n' "${up%.*}"; }
within() {
    end=$(($(seconds) + $1)); shift
    until "$@"; do if [ "$(seconds)" -ge "$end" ]; then return 1; fi; sleep 0.1; done
}
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH of the test's own."""
    return toolbox(tmp_path / "bin", "setsid", "rmdir")


def part(name: str, *, unit: str = "", timeout_s: int = 1) -> str:
    """The part, for which no dockerd runs on this machine, and what it needs of ``dockerd.sh``."""
    text = script(name, unit=unit, timeout_s=timeout_s)
    return text.replace("/proc/[0-9]*", "/nonexistent") + BELOW


SYSTEMD = part("daemon_json/service_systemd", unit="a.service")


@table(
    "supervisor, part",
    systemd=("systemd docker.service", "systemd"),
    openrc=("openrc", "init"),
    sysvinit=("sysvinit", "init"),
    process=("process", "process"),
)
def test_the_part_is_the_one_for_who_starts_dockerd(supervisor: str, part: str) -> None:
    assert service_script(node(supervisor=supervisor)) == f"daemon_json/service_{part}"


@pytest.mark.parametrize("name", sorted(set(PARTS.values())))
def test_every_part_defines_the_same_functions_and_prints_nothing(name: str) -> None:
    types = "".join(f"type {function}\n" for function in FUNCTIONS)

    ran = run(part(name, unit="docker.service") + types)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(" function") == ran.stdout.count("\n") == len(FUNCTIONS)
    assert "timeout_s" in run(script(name, unit="")).stderr, "it says which variable it misses"


ALONE = "--job-mode=ignore-dependencies"
ENDED = [
    f"stop --no-block {ALONE} a.service",
    "kill --kill-who=main --signal=KILL a.service",
    "kill --kill-who=control --signal=KILL a.service",
    f"stop {ALONE} a.service",
]


def systemctl(tools: Path, restart: str, state: str = "activating") -> Path:
    """A systemctl that notes what it is told; ``restart`` is what it does then."""
    told = tools.parent / "told"
    cases = f"restart | start) {restart} ;; is-active) echo {state} ;;"
    stub(tools, "systemctl", f'echo "$*" >> {told}\ncase "$1" in {cases} esac')
    return told


@table(
    "restart, state, verb, ended",
    starts=("exit 0", "active", f"restart {ALONE}", []),
    fails=("exit 1", "active", f"restart {ALONE}", ENDED),
    hangs=("exec sleep 60", "activating", f"restart {ALONE}", ENDED),
    does_not_run=("exit 0", "failed", "start", []),
)
def test_systemds_restart_is_bounded_reaches_no_other_unit_and_ends_a_start_that_fails(
    tools: Path, restart: str, state: str, verb: str, ended: list[str]
) -> None:
    told = systemctl(tools, restart, state)

    ran = run(f"{SYSTEMD}service_restart", path=tools)

    said = [line for line in told.read_text().splitlines() if not line.startswith("is-active")]
    assert ran.returncode == (1 if ended else 0)
    assert said == ["reset-failed a.service", f"{verb} a.service", *ended]


SHOWN = """
echo "$*" >> {told}
case $* in *RequiredBy*) printf '{dependents}' ;; *NeedDaemonReload*) echo {pending} ;; esac
"""


@table(
    "dependents, pending, delayed",
    a_unit_that_stops_with_it=("\\n\\nstack.service docker.socket\\n", "no", True),
    nobody=("\\n\\n", "no", False),
    only_dockers_socket=("\\ndocker.socket\\n", "no", False),
    a_change_that_is_not_loaded=("stack.service\\n", "yes", False),
)
def test_where_units_stop_with_dockerd_systemd_gets_no_time_to_repeat_a_failed_start(
    tools: Path, tmp_path: Path, dependents: str, pending: str, delayed: bool
) -> None:
    told, units = tmp_path / "told", tmp_path / "run"
    stub(tools, "systemctl", SHOWN.format(told=told, dependents=dependents, pending=pending))
    text = replaced(SYSTEMD, {"/run/systemd/system": units})
    show = f"cat {units}/a.service.d/*.conf 2> {os.devnull} || true\n"

    ran = run(f"{text}service_delay_retries\n{show}service_restore_retries\n", path=tools)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == ("[Service]\nRestartSec=15\n" if delayed else "")
    assert told.read_text().splitlines().count("daemon-reload") == (2 if delayed else 0)
    assert not (units / "a.service.d").exists()


def test_a_unit_that_cannot_be_reloaded_gets_the_signal(tools: Path) -> None:
    told = tools.parent / "told"
    stub(tools, "systemctl", f'echo "$*" >> {told}; [ "$1" != reload ]')

    assert run(f"{SYSTEMD}service_reload", path=tools).returncode == 0
    assert "kill --kill-who=main --signal=HUP a.service" in told.read_text()


def test_systemds_log_is_that_of_this_unit_since_then(tools: Path) -> None:
    stub(tools, "journalctl", f"echo \"$*\" >&2; for n in 1 2 3 4; do printf '{NEW}'; done")

    ran = run(f"{SYSTEMD}began=7; service_log", path=tools)

    assert ran.stdout == 'level=fatal msg="no luck"\n' * 3
    assert "-u a.service" in ran.stderr
    assert "--since @7" in ran.stderr


@pytest.mark.parametrize("name", ["daemon_json/service_init", "daemon_json/service_process"])
@table(
    "before, change, expected",
    news=(OLD, f"printf '%s' '{NEW}' >> LOG", 'level=fatal msg="no luck"\n'),
    nothing_new=(OLD, "true", ""),
    rotated=(OLD * 9, f"printf '%s' '{OLD}' > LOG", OLD),
    gone=(OLD, "rm LOG", ""),
    long_line=(
        "",
        "printf '%0400d failed to x\\n' 0 | tr 0 y >> LOG",
        "y" * 400 + " failed to x\n",
    ),
)
def test_a_log_file_is_read_from_where_it_ended_before(
    tmp_path: Path, name: str, before: str, change: str, expected: str
) -> None:
    log = tmp_path / "docker.log"
    log.write_text(before)
    text = replaced(part(name), {"/var/log/docker.log": log, "/run/docker.pid": tmp_path / "pid"})

    ran = run(text + change.replace("LOG", str(log)) + "\nservice_log")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == expected


@table(
    "words",
    spaces_and_nothing=["a", "b c", ""],
    what_a_shell_knows=["it's", '"', "$HOME `id` \\ * ;"],
    newlines=["a\nb", "\n"],
    unicode_and_tab=["gr\u00fc\u00df", "\t"],
)
def test_words_survive_being_quoted(tmp_path: Path, words: list[str]) -> None:
    given = tmp_path / "words"
    given.write_text("".join(f"{word}\0" for word in words))
    quoted = f'eval "set -- $(service_quoted < {given})"; printf "%s\\0" "$@"'

    ran = run(part("daemon_json/service_process") + quoted)

    assert ran.stdout == given.read_text(), ran.stderr


@table(
    "flags, expected",
    none=([], "/run/docker.pid"),
    two_words=(["-D", "--pidfile", "/a b"], "/a b"),
    one_word=(["--pidfile=/x=y"], "/x=y"),
    short=(["-p", "/x"], "/x"),
    short_run_together=(["-p/x"], "/x"),
    another_flag=(["--label", "pidfile=/x"], "/run/docker.pid"),
)
def test_the_pid_file_is_the_one_that_dockerd_was_told(flags: list[str], expected: str) -> None:
    with subprocess.Popen(["sh", "-c", "read -r _", *flags], stdin=subprocess.PIPE) as running:
        ran = run(part("daemon_json/service_process") + f"service_pid_file_of {running.pid}")
        running.communicate(b"\n")

    assert ran.stdout == f"{expected}\n"


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A process called dockerd, started by hand, and the script for it with its pid file."""
    program, pid_file = tmp_path / "dockerd", tmp_path / "pid"
    shutil.copy("/usr/bin/sleep", program)
    with process(str(program), str(program)) as pid:
        pid_file.write_text(str(pid))
        text = replaced(
            part("daemon_json/service_process", timeout_s=5), {"/run/docker.pid": pid_file}
        )
        yield f"work='{tmp_path}'\n{text}", pid_file


@pytest.mark.root
def test_a_process_that_takes_the_old_ones_place_has_its_words_and_no_locks(
    by_hand: tuple[str, Path],
) -> None:
    text, pid_file = by_hand
    old = pid_file.read_text()
    # sleep writes no pid file, hence what "answers" does for it
    answers = f'answers() {{ true; }}\nwithin_pid() {{ echo "$service_new" > {pid_file}; }}\n'
    watch = "service_died() { within_pid; service_gone $service_new; }\n"
    lock = f"exec 9> {pid_file}.lock; flock 9\n"

    ran = run(f"{text}{answers}{watch}{lock}service_restart")
    new = pid_file.read_text().strip()

    try:
        assert ran.returncode == 0, ran.stderr
        assert new != old
        assert Path(f"/proc/{new}/cmdline").read_bytes().split(b"\0")[1] == b"1000"
        assert run(f"flock -n {pid_file}.lock true").returncode == 0
    finally:
        os.kill(int(new), 9)


def test_a_process_whose_successor_ends_at_once_is_a_start_that_failed(
    by_hand: tuple[str, Path],
) -> None:
    text, pid_file = by_hand
    program = pid_file.parent / "dockerd"
    spoil = f"answers() {{ true; }}\nrm {program}; ln -s /bin/false {program}\n"
    began_s = time.monotonic()

    ran = run(f"{text}{spoil}service_restart && echo started || echo failed")

    assert ran.stdout == "failed\n", ran.stderr
    assert time.monotonic() - began_s < 4


def test_pid_1_is_left_to_whoever_runs_the_container(tmp_path: Path) -> None:
    text = f"work='{tmp_path}'\n{part('daemon_json/service_process')}service_pid() {{ echo 1; }}\n"

    assert run(f"{text}service_restart || echo refused").stdout == "refused\n"


DOCKER = "case $1 in ps) ;; info) echo 2026-11-29T16:00:01Z ;; events) printf '{}' ;; esac"


def with_docker(directory: Path, docker: str, body: str) -> subprocess.CompletedProcess[str]:
    """Run ``body`` with the functions of ``dockerd.sh``, and a docker client of this text."""
    path = toolbox(directory / "bin")
    stub(path, "docker", docker)
    given = {"runtimes": "", "live_restore": "", "default_runtime": "", "work": str(directory)}
    head = 'say() { printf "%s\\n" "$*"; }\n'
    return run(script("daemon_json/dockerd", timeout_s=5, **given) + head + body, path=path)


@table(
    "events, back, lost",
    gone_before_dockerd_answered=("", True, "web"),
    died=("die 137\\n", True, "web"),
    stopped_later=("kill <no value>\\ndie 137\\n", True, ""),
    removed_later=("destroy <no value>\\n", True, ""),
    ended_by_itself=("die 0\\n", True, ""),
    not_known_since_when=("kill <no value>\\n", False, "web"),
)
def test_a_container_is_lost_unless_it_ended_after_dockerd_was_back(
    tmp_path: Path, events: str, back: bool, lost: str
) -> None:
    (tmp_path / "running").write_text("c0ffee 42 0 /web\n")
    (tmp_path / "back").write_text("2026-11-29T16:00:00Z\n" if back else "")

    ran = with_docker(tmp_path, DOCKER.format(events), 'none_lost || echo "$lost"')

    told = f"container {lost} was stopped or restarted\n" if lost else ""
    assert (ran.stdout, ran.stderr) == (told, "")


def test_a_container_that_runs_is_not_lost_behind_one_that_ended_later(tmp_path: Path) -> None:
    (tmp_path / "running").write_text("dead 41 0 /ended\nc0ffee 42 0 /web\n")
    (tmp_path / "back").write_text("2026-11-29T16:00:00Z\n")
    docker = """case "$1 $*" in
        ps*) echo c0ffee ;;
        inspect*) echo c0ffee 42 0 /web ;;
        *container=dead*) echo die 0 ;;
    esac"""

    ran = with_docker(tmp_path, docker, 'none_lost || echo "$lost"')

    assert (ran.stdout, ran.stderr) == ("", "")


def test_on_a_full_disk_no_container_is_called_lost(tmp_path: Path) -> None:
    (tmp_path / "running").write_text("c0ffee 42 0 /web\n")
    docker = "case $1 in ps) echo c0ffee ;; inspect) echo c0ffee 42 0 /web || true ;; esac"
    full = "trap '' XFSZ; ulimit -f 0\n"  # every write to a file fails

    ran = with_docker(tmp_path, docker, full + 'none_lost || echo "$lost"')

    assert ran.stdout.startswith("cannot tell whether containers still run")


@table(
    "spared, watched",
    name=("web", False),
    short_id=("c0ffee123456", False),
    longer=("c0ffee1234567", False),
    less_than_docker_shows=("c0ffee", True),
    another_id=("c0ffee123456f", True),
)
def test_a_container_that_may_end_is_known_by_name_and_by_id(
    tmp_path: Path, spared: str, watched: bool
) -> None:
    docker = "case $1 in ps) echo id ;; *) echo c0ffee12345678 42 0 /web ;; esac"

    ran = with_docker(tmp_path, docker, f'spared=" {spared} "\nsnapshot')

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "running").read_text() == "c0ffee12345678 42 0 /web\n" * watched


# The first list has three containers, of which c3 ends; inspect says of the others what it found.
LISTS = """
case $1 in
    ps) if [ -e @/listed ]; then echo "$second"; else : > @/listed; printf '%s\\n' c1 c2 c3; fi ;;
    inspect) printf '%s\\n' "c1 /job" "c2 "; exit "$code" ;;
esac
"""


@table(
    "code, second, printed",
    described=(0, "c1 c2 c3", "job"),
    one_has_ended=(1, "c1 c2", "job"),
    one_has_ended_and_one_come=(1, "c1 c2 c4", "job"),
    one_not_described=(1, "c1 c2 c3", "unknown\n"),
    no_answer_in_time=(124, "c1 c2", "unknown\n"),
)
def test_a_container_of_which_docker_says_nothing_is_not_one_that_may_end(
    tmp_path: Path, code: int, second: str, printed: str
) -> None:
    docker = f"code={code} second='{second}'\n{LISTS.replace('@', str(tmp_path))}"

    ran = with_docker(tmp_path, docker, "ephemeral || echo unknown")

    assert (ran.stdout, ran.stderr) == (printed, "")

"""``node_state.sh`` and ``audit/state.sh``: files and processes of a machine, without Docker."""

import base64
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.dispatch.policy import Dispatch, Infrastructure
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.node.dockerd_unit import Supervisor
from pyinfra_gvisor.node.python import Python
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import Wrapper, wrappers
from tests.table import table
from tests.unit.node_script import Machine, process
from tests.unit.shells import replaced, run, stub, toolbox

WRAPPER = '#!/bin/sh\nexec runsc "$@"\n'
MANIFEST_STAT = "find . ! -type d ! -path ./manifest.json -printf '%P %y %m %U:%G %s %T@ %C@\\n'"


def test_the_machine_is_the_one_it_runs_on_and_where_releases_go(machine: Machine) -> None:
    found = machine.node()

    assert (found.kernel, found.arch) == (platform.release(), platform.machine())
    assert found.page_size_bytes == os.sysconf("SC_PAGESIZE")
    assert found.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert found.distribution == platform.freedesktop_os_release()["ID"]
    assert found.store.free_bytes is not None
    assert abs(found.store.free_bytes - shutil.disk_usage("/opt").free) < 1 << 30
    assert "rw" in found.store.options
    assert found.store.stray_sidecars is Path("/usr/local/bin/gvisor-bin").exists()


def test_a_machine_without_docker_is_told_too(machine: Machine) -> None:
    (machine.path / "docker").unlink()

    found = machine.node()

    assert (found.docker_client, found.info, found.dockerd) == (None, None, None)
    assert found.writers == ()


def test_a_daemon_json_is_read_to_the_byte(machine: Machine) -> None:
    text = '{\r\n\t"gr\u00fc\u00df": "$(id) \\" %s"\r\n}'
    machine.daemon_json.write_bytes(text.encode())
    machine.daemon_json.chmod(0o640)

    found = machine.node().daemon_json

    assert (found.state, found.text) == ("text", text)
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert (found.mode, found.owner) == ("640", f"{os.getuid()}:{os.getgid()}")


def linked(path: Path) -> None:
    """A link to a file."""
    path.with_name("real").write_text("{}")
    path.symlink_to("real")


@table(
    "make, state, text",
    nothing=(Path.exists, "absent", None),
    no_directory=(lambda path: path.parent.rmdir(), "absent", None),
    empty=(Path.touch, "text", ""),
    bytes=(lambda path: path.write_bytes(b"\xff\xfe"), "not utf-8", None),
    directory=(Path.mkdir, "directory", None),
    dangling=(lambda path: path.symlink_to("nothing"), "dangling", None),
    link=(linked, "text", "{}"),
)
def test_what_is_in_the_place_of_daemon_json_is_told(
    machine: Machine, make: Callable[[Path], object], state: str, text: str | None
) -> None:
    make(machine.daemon_json)

    found = machine.node().daemon_json

    assert (found.state, found.text) == (state, text)


def installed(machine: Machine, name: str) -> Path:
    """A release as the installation leaves it."""
    home = machine.gvisor / "releases" / name
    (home / "gvisor-bin").mkdir(parents=True)
    for member in ("runsc", "gvisor-bin/gvisor_sentry", "gvisor-bin/manifest.json"):
        (home / member).write_text(member)
        (home / member).chmod(0o755)
    stat = run(f"cd '{home}' && {MANIFEST_STAT}")
    manifest = {"release": name, "source": "debian", "stat": sorted(stat.stdout.splitlines())}
    (home / "manifest.json").write_text(json.dumps(manifest) + "\n")
    return home


def test_a_release_that_is_as_it_was_installed_is_there(machine: Machine) -> None:
    for name in ("20260928.0", "20240729.0"):
        installed(machine, name)
    staging = machine.gvisor / "releases" / ".staging-20260928.0"
    staging.mkdir()
    (staging / "runsc").touch()

    found = machine.node()

    assert (found.releases, found.damaged) == (("20240729.0", "20260928.0"), ())
    assert found.manifests["20260928.0"].source == "debian"


DAMAGE: dict[str, Callable[[Path], object]] = {
    "20260901.0": lambda home: (home / "runsc").write_text("other content"),
    "20260902.0": lambda home: (home / "runsc").write_text(""),
    "20260903.0": lambda home: (home / "runsc").chmod(0o644),
    "20260904.0": lambda home: (home / "gvisor-bin/gvisor_sentry").unlink(),
    "20260905.0": lambda home: (home / "gvisor-bin/stray").touch(),
    "20260906.0": lambda home: (home / "stray").symlink_to("runsc"),
    "20260907.0": lambda home: (home / "manifest.json").unlink(),
    "20260908.0": lambda home: (home / "manifest.json").write_text("{"),
    "20260909.0": lambda home: (home / "manifest.json").write_text("{}"),
}


def test_a_release_that_is_not_as_it_was_installed_is_damaged(machine: Machine) -> None:
    for name, damage in DAMAGE.items():
        damage(installed(machine, name))
    other = installed(machine, "20240728.0")
    other.rename(other.with_name("20260928.0"))  # with the manifest of another release
    installed(machine, "20240729.0")

    found = machine.node()

    assert (found.releases, found.damaged) == (("20240729.0",), (*DAMAGE, "20260928.0"))


@pytest.fixture
def runtimes(machine: Machine) -> Path:
    """The directory of wrappers."""
    directory = machine.gvisor / "runtimes"
    directory.mkdir(parents=True)
    return directory


def write(directory: Path, items: Iterable[Wrapper]) -> None:
    """Have these wrappers."""
    for item in items:
        (directory / name_of(item.path)).write_text(item.text)


def name_of(path: str) -> str:
    """The name of a wrapper's file."""
    return path.rsplit("/", 1)[-1]


def test_wrappers_are_told_with_the_checksum_of_their_text_and_whether_they_can_be_executed(
    machine: Machine, runtimes: Path
) -> None:
    for name, mode in (("runsc-20260928.0-00000000", 0o644), ("a b", 0o755)):
        (runtimes / name).write_text(WRAPPER)
        (runtimes / name).chmod(mode)

    found = machine.node()

    digest = hashlib.sha256(WRAPPER.encode()).hexdigest()
    assert found.wrappers == {
        f"{runtimes}/a b": digest,
        f"{runtimes}/runsc-20260928.0-00000000": digest,
    }
    assert found.not_executable == (f"{runtimes}/runsc-20260928.0-00000000",)


def test_what_a_wrapper_starts_is_told_which_have_a_seal_and_which_one_the_default_starts(
    machine: Machine, runtimes: Path
) -> None:
    named = Runtime(network="sandbox", dns="docker")
    made = wrappers("20260928.0", {"runsc": Runtime(), "named": named})
    write(runtimes, made)
    (runtimes / "other").write_text("#!/bin/sh\necho exec x")
    (runtimes / "directory").mkdir()

    found = machine.node()
    sealed = wrappers("20260928.0", {"sealed": Runtime(seal=Seal())}, Dispatch("sealed", ()))
    write(runtimes, sealed)
    later = machine.node()

    starts = {name_of(path): words for path, words in found.starts.items()}
    assert starts == {name_of(item.path): item.text.splitlines()[-1] for item in made}
    assert found.sealed == ()
    ((default, sandbox),) = later.sandboxes.items()
    (path,) = later.sealed
    assert name_of(path).startswith("sealed-20260928.0-")
    assert name_of(default).startswith("gvisordefault-20260928.0-")
    assert name_of(sandbox) == name_of(path)


def test_what_a_policy_says_is_not_what_wrappers_start(machine: Machine, runtimes: Path) -> None:
    entry = Infrastructure(
        image=f"sha256:{'a' * 64}",
        reason="its command is odd",
        command=("\nexec /bin/sh --evil",),
        without_labels=("com.docker.compose.",),
    )
    write(runtimes, wrappers("20260928.0", {"runsc": Runtime()}, Dispatch("runsc", (entry,))))

    found = machine.node().starts

    assert {name_of(path).split("-")[0]: words for path, words in found.items()} == {
        "runsc": 'exec /opt/gvisor/releases/20260928.0/runsc --network=host --overlay2=none "$@"',
        "gvisordefault": 'exec /opt/gvisor/releases/20260928.0/runsc "$@"',
    }


@table(
    "make, expected",
    nothing=(Path.exists, (None, False)),
    a_file=(Path.touch, (None, True)),
    link=(lambda path: path.symlink_to("/a b/runsc"), ("/a b/runsc", False)),
)
def test_what_usr_local_bin_runsc_is_is_told(
    machine: Machine, make: object, expected: tuple[str | None, bool]
) -> None:
    assert callable(make)
    make(machine.runsc)

    found = machine.node()

    assert (found.runsc_link, found.runsc_file) == expected


def test_our_records_are_read_and_damaged_ones_are_not(machine: Machine) -> None:
    (machine.state_dir / "owned.json").write_text('{"paths":{"/a":{"wrote":"x\\\\y"}}}\n')
    (machine.state_dir / "applied.json").write_text('{"dockerd": \n')
    (machine.state_dir / "proof.json").write_text("")

    (machine.state_dir / "last-run.json").write_text('{\n  "result":\n"applied"\n}')
    (machine.state_dir / "owned.copy.json").mkdir()

    found = machine.node()

    assert found.state["owned"] == {"paths": {"/a": {"wrote": "x\\y"}}}
    assert found.state["last-run"] == {"result": "applied"}
    unusable = {item.name: (item.newer, item.got) for item in found.unusable}
    assert unusable == {
        "owned.copy": (False, "0 characters that are not a record"),
        "applied": (False, "13 characters that are not a record"),
        "proof": (False, "0 characters that are not a record"),
    }


@table("kept", kept=True, none=False)
def test_a_generation_with_a_record_shows_that_there_was_one(machine: Machine, kept: bool) -> None:
    generation = machine.state_dir / "generations" / "3"
    generation.mkdir(parents=True)
    (generation / "daemon.json").touch()
    if kept:
        (generation / "owned.json").touch()

    assert machine.node().generations_owned is kept


def test_a_stale_pid_file_and_one_of_another_program_is_no_dockerd(machine: Machine) -> None:
    with process() as pid:
        for content in ("", "999999999\n", "nonsense\n", str(pid)):
            (machine.root / "docker.pid").write_text(content)

            assert machine.node().dockerd is None, content


def test_packages_that_write_daemon_json_are_told(machine: Machine) -> None:
    packages = machine.root / "packages"
    packages.mkdir()
    for name, text in {
        "runsc.postinst": "#!/bin/sh\nif [ -e /etc/docker/daemon.json ]; then runsc install; fi\n",
        "runsc.prerm": "runsc uninstall\n",
        "nvidia-docker2.conffiles": "/etc/docker/daemon.json\n",
        "gpu:amd64.postinst": "nvidia-ctk runtime configure --runtime=docker\n",
        "docker.io.postinst": "addgroup docker\n",
        "docker.io.list": "/etc/docker/daemon.json\n",
        "old.postrm": "rm /etc/docker/daemon.json\n",
        "sample.conffiles": "/etc/docker/daemon.json.example\n",
        "kept.postinst": "touch /etc/docker/daemon.json\n",
    }.items():
        (packages / name).write_text(text)
    stub(machine.path, "dpkg-query", "printf 'install runsc hold kept install gpu '")

    assert set(machine.node().writers) == {"runsc", "nvidia-docker2", "gpu"}


@table(
    "detects, marked, told",
    virtual_machine=("echo kvm", False, ["virtualization kvm"]),
    server=("echo none; exit 1", False, ["virtualization none"]),
    without_systemd_marked_by_docker=("", True, ["virtualization docker"]),
    nobody_knows=("", False, []),
)
def test_what_it_runs_on_is_told(
    detects: str, marked: bool, told: list[str], tmp_path: Path
) -> None:
    path, mark = toolbox(tmp_path / "bin"), tmp_path / "dockerenv"
    if detects:
        stub(path, "systemd-detect-virt", detects)
    if marked:
        mark.touch()

    ran = run(replaced(script("audit/state", observed=""), {"/.dockerenv": mark}), path=path)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert [line for line in ran.stdout.splitlines() if line.startswith("virtual")] == told


OLD_S = 1_600_000_000
PROXY = "Environment=HTTPS_PROXY=http://user:password@proxy"
UNIT, SNAP = "/system.slice/docker.service", "snap.docker.dockerd.service"
V1 = "9:name=systemd:{0}\n8:pids:{0}\n7:blkio:/\n0::{0}\n"


@pytest.fixture
def dockerd(machine: Machine) -> Iterator[int]:
    """A process called dockerd, in the machine's pid file; on a machine with systemd."""
    program = machine.root / "dockerd"
    shutil.copy("/usr/bin/sleep", program)
    (machine.root / "run-systemd").mkdir()
    with process("dockerd", str(program)) as pid:
        (machine.root / "docker.pid").write_text(str(pid))
        machine.cgroup.write_text("0::/system.slice/docker.service\n")
        yield pid


@table(
    "cgroup, supervisor",
    v2=(f"0::{UNIT}\n", "systemd docker.service"),
    cgroup_v1=(V1.format(UNIT), "systemd docker.service"),
    node_in_a_container=(V1.format(f"/docker/0123{UNIT}"), "systemd docker.service"),
    snap=(f"0::/system.slice/{SNAP}\n", f"systemd {SNAP}"),
    own_unit=("0::/docker.slice/moby.service\n", "systemd moby.service"),
    by_hand_over_ssh=("0::/system.slice/ssh.service\n", "process"),
    session=("0::/user.slice/user-0.slice/session-3.scope\n", "process"),
    a_users_own=("0::/user.slice/user@1000.service/app.slice/docker.service\n", "process"),
    docker_exec=("9:name=systemd:/\n0::/\n", "process"),
    another_hierarchy=(f"5:cpu:{UNIT}\n", "process"),
)
def test_the_control_group_tells_who_starts_dockerd(
    machine: Machine, dockerd: int, cgroup: str, supervisor: str
) -> None:
    machine.units.mkdir()
    (machine.units / "moby.service").write_text("[Service]\nExecStart=/usr/bin/dockerd\n")
    (machine.units / "ssh.service").write_text("[Service]\nExecStart=/usr/sbin/sshd\n")
    machine.cgroup.write_text(cgroup)

    assert machine.node().supervisor == Supervisor.of(supervisor)


@table(
    "files, supervisor",
    nothing=({}, "process"),
    by_hand_beside_the_script=({"init-script": ""}, "process"),
    stale_script=({"init-script": "", "docker-ssd.pid": "1\n"}, "process"),
    debians_script=({"init-script": "", "docker-ssd.pid": "@"}, "sysvinit"),
    red_hats_script=({"init-script": "", "subsys": ""}, "sysvinit"),
    openrc=({"init-script": "", "openrc/started/docker": ""}, "openrc"),
)
def test_without_systemd_an_init_script_is_asked_only_about_what_it_has_started(
    machine: Machine, dockerd: int, files: dict[str, str], supervisor: str
) -> None:
    (machine.root / "run-systemd").rmdir()
    for name, content in files.items():
        path = machine.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("@", str(dockerd)))

    assert machine.node().supervisor == Supervisor.of(supervisor)


@table(
    "name, supervisor",
    systemd=("run-systemd", "systemd docker.service"),
    init_script=("init-script", "sysvinit"),
    neither=("something", "process"),
)
def test_a_dockerd_that_does_not_run_is_started_by_what_is_there(
    machine: Machine, name: str, supervisor: str
) -> None:
    (machine.root / name).mkdir()

    assert machine.node().supervisor == Supervisor.of(supervisor)


def test_a_drop_in_newer_than_dockerd_tells_the_next_start(machine: Machine, dockerd: int) -> None:
    stub(machine.path, "systemctl", "echo 'ExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS'")
    unit = machine.units / "docker.service.d" / "debug.conf"
    unit.parent.mkdir(parents=True)
    unit.write_text(f"[Service]\n{PROXY}\nExecStart=\nExecStart=dockerd \\\n--debug $DOCKER_OPTS")
    machine.defaults.write_text('# a remark\nDOCKER_OPTS="--icc=false"\n')

    _age(machine.root / "docker.pid")

    assert machine.node().next_arguments == ("--debug", "--icc=false")
    assert base64.b64encode(PROXY.encode())[:20].decode() not in machine.output()


def test_a_unit_older_than_dockerd_costs_no_question_and_an_old_pid_file_tells_its_start(
    machine: Machine, dockerd: int
) -> None:
    stub(machine.path, "systemctl", f"touch '{machine.root}/asked'")
    machine.units.mkdir()
    (machine.units / "docker.service").write_text("ExecStart=/usr/sbin/dockerd --debug\n")
    _age(machine.units / "docker.service")

    assert machine.node().next_arguments is None
    assert not (machine.root / "asked").exists()
    _age(machine.root / "docker.pid")
    assert machine.node().dockerd.started_s == OLD_S


def test_a_copy_with_the_time_of_an_old_file_is_newer(machine: Machine, dockerd: int) -> None:
    old = machine.root / "old.json"
    old.write_text("{}")
    _age(old)
    time.sleep(0.05)
    shutil.copy2(old, machine.daemon_json)

    found = machine.node()

    assert old.stat().st_mtime < found.dockerd.started_s < found.daemon_json.changed_s


def _age(path: Path) -> None:
    os.utime(path, (OLD_S, OLD_S))


NEEDS = "the sample needs"
INSTALL = "apt-get install python3"


@table(
    "link, found",
    two_links=("alternatives", "3.13"),
    to_nothing=("nowhere", ""),
    none=(None, ""),
)
def test_the_version_is_behind_all_links(tmp_path: Path, link: str | None, found: str) -> None:
    machine = Machine(tmp_path)
    (machine.root / "python3.13").touch()
    (machine.root / "alternatives").symlink_to("python3.13")
    if link:
        (machine.root / "python3").symlink_to(machine.root / link)

    assert machine.node().python == Python(version=found)


@table("modules", minimal=(), one=("json",), all=("asyncio", "ctypes", "json"))
def test_the_modules_are_those_of_that_version(tmp_path: Path, modules: tuple[str, ...]) -> None:
    machine = Machine(tmp_path)
    (machine.root / "python3.13").touch()
    (machine.root / "python3").symlink_to("python3.13")
    for name in (*(f"python3.13/{module}" for module in modules), "python3.11/re"):
        directory = machine.root / "lib" / name
        directory.mkdir(parents=True)
        (directory / "__init__.py").touch()
    (machine.root / "lib" / "python3.11" / "dataclasses.py").touch()

    assert machine.node().python == Python(version="3.13", modules=modules)


@table(
    "line, message",
    no_python=("", f"Python 3.10 or later, got none; {INSTALL}"),
    too_old=("3.9 json", f"Python 3.10 or later, got 3.9; {INSTALL}"),
    minimal=("3.13", f"Python's json, which python3-minimal lacks, got Python 3.13; {INSTALL}"),
    the_oldest=("3.10 json", None),
    with_more=("3.12.3 asyncio json", None),
    of_later=("4.0 json", None),
)
def test_what_it_lacks_is_told_with_what_to_do(line: str, message: str | None) -> None:
    problem = Python.of(line).lacks(NEEDS, "json")

    assert (problem and str(problem)) == (message and f"{NEEDS} {message}")

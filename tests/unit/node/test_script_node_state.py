"""``node_state.sh`` and ``audit/state.sh``: files and processes of a machine, without Docker."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.dispatch.policy import Dispatch, Infrastructure
from pyinfra_gvisor.dispatch.seal import Seal
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


def test_what_a_wrapper_starts_is_told(machine: Machine, runtimes: Path) -> None:
    named = Runtime(network="sandbox", dns="docker")
    made = wrappers("20260928.0", {"runsc": Runtime(), "named": named})
    write(runtimes, made)
    (runtimes / "other").write_text("#!/bin/sh\necho exec x")
    (runtimes / "directory").mkdir()

    found = machine.node()

    starts = {name_of(path): words for path, words in found.starts.items()}
    assert starts == {name_of(item.path): item.text.splitlines()[-1] for item in made}
    assert found.sealed == ()


def test_which_wrappers_have_a_seal_and_which_one_the_default_starts_is_told(
    machine: Machine, runtimes: Path
) -> None:
    profiles = {"runsc": Runtime(), "sealed": Runtime(seal=Seal())}
    write(runtimes, wrappers("20260928.0", profiles, Dispatch("sealed", ())))

    node = machine.node()

    ((default, sandbox),) = node.sandboxes.items()
    (path,) = node.sealed
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

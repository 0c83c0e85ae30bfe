"""``parts/resolver/install.sh`` and ``remove.sh``: all of it is there and runs, or nothing is."""

import subprocess
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import packed, script
from tests.table import table
from tests.unit.shells import replaced, run, stub, toolbox

HOST = {"operation": "resolver.resolver", "host": "run-1"}
UNIT = "pyinfra-gvisor-resolver"
METRICS = "pyinfra_gvisor_resolver.prom"
CONTENT = "$(touch /nonexistent/x) 'quoted' \u00fc\n"

# A unit is a file below active, with its state; one that is not there is not loaded. What a unit
# was when it was started is kept beside it, as what runs is.
SYSTEMCTL = """
echo "$*" >> {0}/asked
for last; do :; done
state=$(cat "{0}/active/$last" 2> /dev/null)
if [ "$1" = "$(cat {0}/breaks 2> /dev/null)" ]; then echo "no $1" >&2; exit 1; fi
up() {{ echo active > "{0}/active/$1"; cp "{0}/units/$1" "{0}/running/$1"; }}
case "$1" in
    is-active) echo "${{state:-inactive}}"; [ "$state" = active ] ;;
    is-failed) [ "$state" = failed ] ;;
    stop) shift; for unit; do rm -f "{0}/active/$unit" "{0}/running/$unit"; done ;;
    start) [ "$state" = active ] || up "$last" ;;
    restart) up "$last"; cp {0}/gvisor/resolver/__main__.py {0}/running/ ;;
    reset-failed) rm "{0}/active/$last" ;;
    enable) mkdir -p {0}/units/sockets.target.wants
        ln -sf "../$last" {0}/units/sockets.target.wants/ ;;
    daemon-reload) ;;
    *) exit 64 ;;
esac
"""

# The addresses of lo are lines of a file.
IP = """
case "$*" in
    "address show dev lo to "*) grep -xF "$6" {0} || : ;;
    "address del "*" dev lo")
        grep -qxF "$3" {0} || exit 2
        grep -vxF "$3" {0} > {0}.new || :
        mv {0}.new {0} ;;
    *) exit 64 ;;
esac
"""


class Host:
    """A node without a resolver."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.program = root / "gvisor" / "resolver"
        self.units = root / "units"
        self.texts = root / "texts"
        self.path = toolbox(root / "bin", "rmdir", "ln")
        for directory in (self.units, self.texts, root / "active", root / "running"):
            directory.mkdir()
        stub(self.path, "systemctl", SYSTEMCTL.format(root))
        self.addresses = root / "addresses"
        self.addresses.write_text("")
        stub(self.path, "ip", IP.format(self.addresses))
        stub(self.path, "journalctl", "printf 'first\\n%s\\n' 'Failed to listen: Address in use'")

    def wanted(self, socket: str = "1", program: str = CONTENT, text: str = "") -> dict[str, str]:
        """The files of a resolver; ``text``: the directory of its metrics."""
        option = f" --textfile={text}/{METRICS}" if text else ""
        return {
            f"{self.program}/__main__.py": program,
            f"{self.program}/pyinfra_gvisor/__init__.py": "",
            f"{self.units}/{UNIT}.service": f"ExecStart=python3 x --resolver=1{option}\n",
            f"{self.units}/{UNIT}.socket": f"[Socket]\nBacklog={socket}\n",
        }

    def install(self, *, breaks: str = "", **wanted: str) -> subprocess.CompletedProcess[str]:
        """Put it there; ``breaks``: what systemctl fails at."""
        (self.root / "breaks").write_text(breaks)
        files = self.wanted(**wanted).items()
        words = [word for path, text in files for word in (path, "644", packed(text))]
        parts = ("base/put_files", "parts/resolver/metrics", "parts/resolver/install")
        text = script(*parts, **HOST, textfile_dir=wanted.get("text", ""))
        return run(self._here(text), *words, path=self.path)

    def remove(self, *, breaks: str = "") -> subprocess.CompletedProcess[str]:
        """Take it off."""
        (self.root / "breaks").write_text(breaks)
        addresses = {"resolver": "192.0.2.53", "resolver6": "2001:db8::53"}
        parts = ("base/put_files", "parts/resolver/metrics", "parts/resolver/remove")
        text = script(*parts, **HOST, **addresses)
        text = replaced(text, {"/usr/sbin/ip": self.path / "ip"})
        return run(self._here(text), path=self.path)

    def unit(self, kind: str, state: str) -> None:
        """Have a unit in this state."""
        (self.root / "active" / f"{UNIT}.{kind}").write_text(f"{state}\n")

    def states(self) -> dict[str, str]:
        """The state of each unit that systemd knows."""
        return {
            path.name.removeprefix(f"{UNIT}."): path.read_text().strip()
            for path in (self.root / "active").iterdir()
        }

    def running(self) -> dict[str, str]:
        """What runs: units and the program, as they were when they were started."""
        return {path.name: path.read_text() for path in (self.root / "running").iterdir()}

    def told(self) -> list[str]:
        """What systemctl was asked to do since the last time, without the units' common name."""
        path = self.root / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.replace(f"{UNIT}.", "") for line in lines if not line.startswith("is-")]

    def files(self) -> dict[str, str]:
        """Every file there, with its content."""
        return {
            str(path): "link" if path.is_symlink() else path.read_text()
            for top in (self.program.parent, self.units, self.texts)
            for path in sorted(top.rglob("*"))
            if path.is_file() or path.is_symlink()
        }

    @property
    def link(self) -> Path:
        """What starts its sockets at boot."""
        return self.units / "sockets.target.wants" / f"{UNIT}.socket"

    def _here(self, text: str) -> str:
        changes = {"/opt/gvisor/resolver": self.program, "/etc/systemd/system": self.units}
        return replaced(text, changes)


STARTED = ["enable --quiet socket", "start socket", "restart service"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node without a resolver."""
    return Host(tmp_path)


def as_wanted(host: Host, **wanted: str) -> None:
    """Check that everything is there, runs as it was sent, and that nothing else is."""
    files = host.wanted(**wanted)
    assert host.files() == {**files, str(host.link): "link"}
    assert host.states() == {"socket": "active", "service": "active"}
    assert host.running() == {Path(path).name: text for path, text in files.items() if text}
    for path in files:
        assert Path(path).stat().st_mode & 0o777 == 0o644


def test_every_file_is_there_as_it_was_sent_the_sockets_before_the_program_and_nothing_else(
    host: Host,
) -> None:
    ran = host.install()

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    as_wanted(host)
    assert host.told() == ["daemon-reload", "stop service socket", *STARTED]
    (host.program / "asyncio.py").write_text("evil")
    (host.program / "pyinfra_gvisor" / "link.py").symlink_to("/nowhere")
    (host.program / "more").mkdir()
    assert host.install().returncode == 0
    as_wanted(host)
    assert not (host.program / "more").exists()


@table(
    "state, wanted, opens",
    another_program=("active", {"program": "another"}, False),
    other_sockets=("active", {"socket": "2"}, True),
    sockets_failed=("failed", {}, True),
    sockets_do_not_listen_yet=("activating", {}, True),
)
def test_sockets_may_stay_open(host: Host, state: str, wanted: dict[str, str], opens: bool) -> None:
    host.install()
    host.told()
    host.unit("socket", state)

    ran = host.install(**wanted)

    assert ran.returncode == 0
    as_wanted(host, **wanted)
    assert host.told() == ["daemon-reload", *["stop service socket"] * opens, *STARTED]


@table("first", first=True, later=False)
@pytest.mark.parametrize("step", ["daemon-reload", "stop", "enable", "start", "restart"])
def test_a_run_that_breaks_off_is_mended_by_the_next(host: Host, step: str, first: bool) -> None:
    if not first:
        host.install(program="old", socket="old")

    broken = host.install(breaks=step)
    left = host.files()
    again = host.install()

    assert broken.returncode == 1
    assert f"no {step}" in broken.stderr
    assert str(host.program / "unfinished") in left
    assert (again.returncode, again.stderr) == (0, "")
    as_wanted(host)


def test_a_run_that_is_killed_while_it_writes_is_mended_too(host: Host) -> None:
    host.install(program="old", socket="old")
    (host.path / "mv").rename(host.path / "real-mv")
    stub(host.path, "mv", f"case $2 in *.socket) kill -9 $PPID ;; esac; {host.path}/real-mv $*")

    killed = host.install()
    left = host.files()
    (host.path / "real-mv").rename(host.path / "mv")
    again = host.install()

    assert killed.returncode == -9
    assert str(host.program / "unfinished") in left
    assert again.returncode == 0
    as_wanted(host)


@table(
    "breaks, told",
    port_taken=("start", "port 53 on run-1: the resolver cannot listen on this port"),
    program=("restart", f"{UNIT}.service on run-1: this service does not start"),
)
def test_what_does_not_start_is_told_with_what_was_said(host: Host, breaks: str, told: str) -> None:
    ran = host.install(breaks=breaks)

    said = f"resolver.resolver: {told}: Failed to listen: Address in use"
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (1, said)


def test_a_directory_for_metrics_that_is_not_there_is_told_first(host: Host) -> None:
    ran = host.install(text=f"{host.root}/nowhere")

    assert ran.returncode == 1
    assert ran.stderr == (
        f"resolver.resolver: {host.root}/nowhere on run-1: this directory does not exist; "
        "create it, or remove gvisor_textfile_dir\n"
    )
    assert (host.files(), host.told(), host.program.exists()) == ({}, [], False)


def test_metrics_that_go_elsewhere_or_nowhere_are_not_left_to_grow_old(host: Host) -> None:
    old, new = host.texts / "old", host.texts / "new"
    for directory in (old, new):
        directory.mkdir()
        (directory / "other.prom").write_text("")
        (directory / METRICS).write_text("")
        (directory / f".{METRICS}.new").write_text("")
    others = {f"{directory}/other.prom": "" for directory in (old, new)}

    host.install(text=str(old))
    host.install(text=str(old))
    kept = (old / METRICS).exists()
    host.install(text=str(new))
    moved = [path.exists() for path in (old / METRICS, new / METRICS)]
    ran = host.install()

    assert (kept, moved, ran.returncode) == (True, [False, True], 0)
    assert host.files() == {**host.wanted(), **others, str(host.link): "link"}


STOPPED = ["stop socket", "stop service"]


@pytest.fixture
def installed(host: Host) -> Host:
    """A node with a resolver that writes its counters."""
    host.install(text=str(host.texts))
    for name in (METRICS, f".{METRICS}.new"):
        (host.texts / name).write_text("")
    host.told()
    return host


def test_nothing_is_left_and_a_second_removal_ends_well_too(installed: Host) -> None:
    for kind in ("socket", "service"):
        (installed.units / f"{UNIT}.{kind}.new").write_text("of a run that was killed")
    installed.addresses.write_text("192.0.2.53/32\n2001:db8::53/128\n127.0.0.1/8\n")

    ran, first = installed.remove(), installed.told()
    again, second = installed.remove(), installed.told()

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert (again.returncode, again.stderr) == (0, "")
    assert (installed.files(), installed.states()) == ({}, {})
    assert installed.addresses.read_text() == "127.0.0.1/8\n"
    assert not installed.program.parent.exists()
    assert (first, second) == ([*STOPPED, "daemon-reload"], ["daemon-reload"])


def test_what_else_lies_beside_it_is_left_and_units_that_failed_are_forgotten(
    installed: Host,
) -> None:
    release = installed.program.parent / "releases"
    release.mkdir()
    wants = installed.link.parent
    beside = [installed.texts / "other.prom", installed.units / "other.socket", wants / "other"]
    for path in beside:
        path.write_text("")
    installed.unit("socket", "inactive")
    installed.unit("service", "failed")
    systemctl = installed.path / "systemctl"
    systemctl.write_text(systemctl.read_text().replace("stop) shift", "stop) exit 0; shift"))

    ran = installed.remove()

    assert (ran.returncode, set(installed.files())) == (0, {str(path) for path in beside})
    assert release.exists()
    assert not installed.program.exists()
    assert installed.told() == ["stop service", "reset-failed service", "daemon-reload"]


@table(
    "gone",
    no_socket_unit=f"units/{UNIT}.socket",
    no_service_unit=f"units/{UNIT}.service",
    no_program="gvisor/resolver/__main__.py",
    not_enabled=f"units/sockets.target.wants/{UNIT}.socket",
)
def test_a_part_of_it_goes_too_and_what_still_runs_is_stopped(installed: Host, gone: str) -> None:
    for path in (gone, f"texts/{METRICS}", f"texts/.{METRICS}.new"):
        (installed.root / path).unlink()

    ran = installed.remove()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (installed.files(), installed.states()) == ({}, {})


@table("step", stop="stop", reload="daemon-reload")
def test_a_removal_that_breaks_off_is_told_and_ended(installed: Host, step: str) -> None:
    broken = installed.remove(breaks=step)

    again = installed.remove()

    assert broken.returncode == 1
    assert f"no {step}" in broken.stderr
    assert (again.returncode, installed.files(), installed.states()) == (0, {}, {})


@table("remove", install=False, remove=True)
def test_a_unit_that_somebody_wrote_has_no_file_of_others_removed(host: Host, remove: bool) -> None:
    other = host.texts / "other.prom"
    other.write_text("")
    (host.units / f"{UNIT}.service").write_text(f"ExecStart=x --textfile={other}\n")

    ran = host.remove() if remove else host.install()

    assert ran.returncode == 0
    assert other.exists()

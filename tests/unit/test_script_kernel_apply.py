"""``parts/kernel/apply.sh`` in a directory of a test, with files for what the kernel would have."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE, kernel_files
from pyinfra_gvisor.parts.kernel.names import sysctl_path
from tests.unit.shells import replaced, run, stub, toolbox

WEAK = {"a.one": "1", "a.two": "1", "a.words": "1\t2  3", "net/conf/eth0.100/x": "1"}
WANTED = {"a.one": "0", "a.two": "0"}


class Host:
    """A node's files under a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = toolbox(root / "bin", "rmdir")
        for key, value in WEAK.items():
            self.set(key, value)

    def set(self, key: str, value: str) -> None:
        """A setting of its kernel, by somebody else."""
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")

    def values(self) -> dict[str, str]:
        """What its kernel has."""
        return {key: self._file(key).read_text().rstrip("\n") for key in WEAK}

    def behind(self, key: str, device: str) -> None:
        """Have what is written to a setting go to a device, while it is read as 1."""
        file = self._file(key)
        file.unlink()
        file.symlink_to(device)
        real = shutil.which("cat")
        stub(self.path, "cat", f'[ "$2" = {file} ] && echo 1 && exit\nexec {real} "$@"')

    def apply(
        self,
        settings: Mapping[str, str],
        modules: tuple[str, ...] = (),
        *,
        gone: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Have these settings and modules, and their files."""
        words = [word for item in kernel_files(modules, settings) for word in item.words]
        lines = "\n".join(f"{key} {value}" for key, value in settings.items())
        text = script(
            "base/put_files",
            "parts/kernel/apply",
            operation="kernel.surface",
            host="run-1",
            settings=lines,
            gone="\n".join(gone),
        )
        places = {"/proc/sys": f"{self.root}/sys", "/opt/": f"{self.root}/opt/"}
        words = [word.replace("/etc/", f"{self.root}/etc/") for word in words]
        text = replaced(text, places).replace("/etc/", f"{self.root}/etc/")
        return run(text, *words, path=self.path)

    def files(self) -> dict[str, str]:
        """Every file but those of its kernel."""
        return {
            str(path.relative_to(self.root)): path.read_text()
            for top in ("etc", "opt")
            for path in sorted((self.root / top).rglob("*"))
            if path.is_file()
        }

    def _file(self, key: str) -> Path:
        return self.root / "sys" / sysctl_path(key)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node whose kernel is weak and that has nothing of ours."""
    return Host(tmp_path)


MODULES, SYSCTLS = MODULES_FILE.lstrip("/"), SYSCTL_FILE.lstrip("/")
BEFORE, WRITTEN = "opt/gvisor/kernel/before", "opt/gvisor/kernel/written"


def test_settings_are_in_force_written_down_and_there_for_the_next_boot(host: Host) -> None:
    ran = host.apply(WANTED, ("sctp",))

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert host.values() == {**WEAK, **WANTED}
    files = host.files()
    assert set(files) == {MODULES, SYSCTLS, BEFORE, WRITTEN}
    assert "install sctp /bin/false\n" in files[MODULES]
    assert files[SYSCTLS].endswith("\na.one = 0\na.two = 0\n")
    assert files[BEFORE] == "a.one 1\na.two 1\n"
    assert files[WRITTEN] == "a.one 0\na.two 0\n"


def test_a_second_time_changes_nothing(host: Host) -> None:
    host.apply(WANTED)
    files, values = host.files(), host.values()

    ran = host.apply(WANTED)

    assert ran.returncode == 0
    assert (host.files(), host.values()) == (files, values)


def test_what_was_before_us_is_remembered_whatever_happens_since(host: Host) -> None:
    host.apply({"a.one": "0"})
    host.set("a.one", "5")

    host.apply({"a.one": "7", "a.two": "0"})

    assert host.files()[BEFORE] == "a.one 1\na.two 1\n"
    assert host.values()["a.one"] == "7"


def test_removal_gives_back_what_was_there_and_leaves_nothing(host: Host) -> None:
    host.apply({**WANTED, "a.words": "4 5 6", "net/conf/eth0.100/x": "0"}, ("sctp",))
    there = host.values()

    ran = host.apply({}, gone=(MODULES_FILE, SYSCTL_FILE))

    assert (ran.returncode, ran.stderr) == (0, "")
    assert there == {"a.one": "0", "a.two": "0", "a.words": "4 5 6", "net/conf/eth0.100/x": "0"}
    assert host.values() == {**WEAK, "a.words": "1 2 3"}
    assert host.files() == {}
    assert list((host.root / "opt").iterdir()) == []
    assert host.apply({}, gone=(MODULES_FILE, SYSCTL_FILE)).returncode == 0


def test_removal_leaves_a_value_that_somebody_set_since(host: Host) -> None:
    host.apply(WANTED)
    host.set("a.two", "9")

    host.apply({}, gone=(SYSCTL_FILE,))

    assert host.values() == {**WEAK, "a.two": "9"}
    assert host.files() == {}


def test_removal_leaves_what_else_lies_beside_it(host: Host) -> None:
    host.apply(WANTED)
    (host.root / "opt/gvisor/releases").mkdir()

    host.apply({}, gone=(SYSCTL_FILE,))

    assert [path.name for path in (host.root / "opt/gvisor").iterdir()] == ["releases"]


def test_a_setting_that_is_not_ours_any_more_is_given_back_alone(host: Host) -> None:
    host.apply(WANTED)

    ran = host.apply({"a.one": "0"})

    assert ran.returncode == 0
    assert host.values() == {**WEAK, "a.one": "0"}
    assert host.files()[BEFORE] == "a.one 1\n"
    assert host.files()[WRITTEN] == "a.one 0\n"


def test_a_setting_that_the_kernel_lacks_is_passed_over(host: Host) -> None:
    ran = host.apply({"a.one": "0", "a.none": "1"})

    assert (ran.returncode, ran.stderr) == (0, "")
    assert host.values() == {**WEAK, "a.one": "0"}
    assert host.files()[BEFORE] == "a.one 1\n"
    assert "a.none = 1\n" in host.files()[SYSCTLS]


def test_an_empty_value_is_given_back_as_one(host: Host) -> None:
    host.set("a.two", "")
    host.apply(WANTED)

    ran = host.apply({"a.one": "0"})

    assert ran.returncode == 0
    assert host.values()["a.two"] == ""


@pytest.mark.parametrize(
    ("device", "said"),
    [
        pytest.param("/dev/full", "the kernel refuses '0' (", id="an-error"),
        pytest.param(
            "/dev/null",
            "the kernel reads '1' after '0' was written; the earlier value '1' was ",
            id="without-a-word",
        ),
    ],
)
def test_a_value_that_is_refused_puts_the_others_back_and_fails(
    host: Host, device: str, said: str
) -> None:
    host.behind("a.two", device)

    ran = host.apply(WANTED, ("sctp",))

    assert ran.returncode == 1
    assert ran.stderr.startswith(f"kernel.surface: a.two on run-1: {said}")
    assert ran.stderr.count("\n") == 1
    assert "; nothing was changed" in ran.stderr
    assert (host.root / "sys/a/one").read_text() == "1\n"
    assert host.files() == {}


def test_a_refusal_leaves_what_was_in_force_in_force(host: Host) -> None:
    host.apply({"a.one": "0"})
    files = host.files()
    host.behind("a.two", "/dev/full")

    ran = host.apply({"a.one": "5", "a.two": "0"})

    assert ran.returncode == 1
    assert (host.root / "sys/a/one").read_text() == "0\n"
    assert host.files() == files


def test_a_setting_that_cannot_be_read_is_refused_before_anything_is_changed(host: Host) -> None:
    (host.root / "sys/a/two").unlink()
    (host.root / "sys/a/two").mkdir()

    ran = host.apply(WANTED)

    assert ran.returncode == 1
    assert "kernel.surface: a.two on run-1: this setting cannot be read, " in ran.stderr
    assert (host.root / "sys/a/one").read_text() == "1\n"
    assert host.files() == {}


def test_a_file_that_cannot_be_written_puts_the_values_back(host: Host) -> None:
    (host.root / "etc").mkdir()
    (host.root / "etc/sysctl.d").write_text("in the way")

    ran = host.apply(WANTED)

    assert ran.returncode != 0
    assert host.values() == WEAK
    assert host.files() == {"etc/sysctl.d": "in the way"}


def test_what_was_interrupted_is_given_back_all_the_same(host: Host) -> None:
    stub(host.path, "base64", 'kill -9 "$PPID"')
    killed = host.apply(WANTED)
    (host.path / "base64").unlink()
    (host.path / "base64").symlink_to(str(shutil.which("base64")))
    half_done = host.values()

    ran = host.apply({}, gone=(SYSCTL_FILE,))

    assert killed.returncode == -9
    assert half_done == {**WEAK, **WANTED}
    assert ran.returncode == 0
    assert host.values() == WEAK
    assert not (host.root / "opt/gvisor").exists()


def test_nothing_of_a_value_is_run(host: Host) -> None:
    value = f"$(touch {host.root}/ran) `touch {host.root}/ran` \\n * '"

    ran = host.apply({"a.words": value})

    assert (ran.returncode, ran.stderr) == (0, "")
    assert host.values()["a.words"] == value
    assert not (host.root / "ran").exists()

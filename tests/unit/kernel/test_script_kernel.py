"""The kernel's scripts in a directory of a test, with files for what the kernel would have."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.kernel.defaults import SYSCTLS
from pyinfra_gvisor.parts.kernel.files import DIRECTORY, MODULES_FILE, SYSCTL_FILE, kernel_files
from pyinfra_gvisor.parts.kernel.names import sysctl_path
from pyinfra_gvisor.parts.kernel.state import KernelSurface, read
from tests.table import table
from tests.unit.answers import answer
from tests.unit.shells import replaced, run, stub, toolbox

WEAK = {"a.one": "1", "a.two": "1", "a.words": "1\t2  3", "net/conf/eth0.100/x": "1"}
WANTED = {"a.one": "0", "a.two": "0"}
LOADED = """\
tipc 548864 2 - Live 0x0000000000000000
overlay 212992 0 - Live 0x0000000000000000
ip_tables 36864 - iptable_nat,iptable_filter, Permanent 0x0000000000000000
"""


class Host:
    """A node's files under a directory, and a kernel with these settings."""

    def __init__(self, root: Path, settings: Mapping[str, str]) -> None:
        self.root = root
        self.path = toolbox(root / "bin", "rmdir")
        for key, value in settings.items():
            self.set(key, value)

    def set(self, key: str, value: str) -> None:
        """A setting of its kernel, by somebody else."""
        self.put(f"/proc/sys/{sysctl_path(key)}", f"{value}\n")

    def put(self, path: str, text: str) -> Path:
        """A file on it."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def file(self, key: str) -> Path:
        """Where a setting of its kernel is."""
        return self.root / "proc" / "sys" / sysctl_path(key)

    def values(self) -> dict[str, str]:
        """What its kernel has."""
        return {key: self.file(key).read_text().rstrip("\n") for key in WEAK}

    def behind(self, key: str, device: str) -> None:
        """Have what is written to a setting go to a device, while it is read as 1."""
        file = self.file(key)
        file.unlink()
        file.symlink_to(device)
        real = shutil.which("cat")
        stub(self.path, "cat", f'[ "$2" = {file} ] && echo 1 && exit\nexec {real} "$@"')

    def apply(
        self, settings: Mapping[str, str], modules: Iterable[str] = (), *, gone: Iterable[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Have these settings and modules, and their files."""
        words = [word for item in kernel_files(modules, settings) for word in item.words]
        given = {"operation": "kernel.surface", "host": "run-1", "gone": "\n".join(gone)}
        lines = "\n".join(f"{key} {value}" for key, value in settings.items())
        text = script("base/put_files", "parts/kernel/apply", **given, settings=lines)
        words = [word.replace("/etc/", f"{self.root}/etc/") for word in words]
        return run(self._here(text, "/proc/", "/opt/"), *words, path=self.path)

    def files(self) -> dict[str, str]:
        """Every file but those of its kernel."""
        return {
            str(path.relative_to(self.root)): path.read_text()
            for top in ("etc", "opt")
            for path in sorted((self.root / top).rglob("*"))
            if path.is_file()
        }

    def surface(self) -> KernelSurface:
        """What the script tells, with the node's paths as they would be on a node."""
        tops = ("/proc/", "/lib/modules", "/opt/", "/run/", "/usr/")
        text = self._here(script("parts/kernel/state"), *tops)
        ran = run(f"set -u\nexport LC_ALL=C\n{text}kernel_state\n", path=self.path)
        assert (ran.returncode, ran.stderr) == (0, "")
        lines = ran.stdout.replace(str(self.root), "").splitlines()
        return read([line.removeprefix("kernel ") for line in lines])

    def _here(self, text: str, *tops: str) -> str:
        text = replaced(text, {top: f"{self.root}{top}" for top in tops})
        return text.replace("/etc/", f"{self.root}/etc/")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node whose kernel is weak and that has nothing of ours."""
    return Host(tmp_path, WEAK)


MODULES_AT, SYSCTLS_AT = MODULES_FILE.lstrip("/"), SYSCTL_FILE.lstrip("/")
BEFORE, WRITTEN = "opt/gvisor/kernel/before", "opt/gvisor/kernel/written"


def test_settings_are_in_force_written_down_and_there_for_the_next_boot(host: Host) -> None:
    ran = host.apply(WANTED, ("sctp",))
    files, values = host.files(), host.values()
    again = host.apply(WANTED, ("sctp",))

    assert (ran.returncode, ran.stdout, ran.stderr, again.returncode) == (0, "", "", 0)
    assert values == {**WEAK, **WANTED}
    assert set(files) == {MODULES_AT, SYSCTLS_AT, BEFORE, WRITTEN}
    assert "install sctp /bin/false\n" in files[MODULES_AT]
    assert files[SYSCTLS_AT].endswith("\na.one = 0\na.two = 0\n")
    assert (files[BEFORE], files[WRITTEN]) == ("a.one 1\na.two 1\n", "a.one 0\na.two 0\n")
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


def test_removal_leaves_a_value_that_somebody_set_since_and_what_lies_beside_it(host: Host) -> None:
    host.apply(WANTED)
    host.set("a.two", "9")
    (host.root / "opt/gvisor/releases").mkdir()

    host.apply({}, gone=(SYSCTL_FILE,))

    assert host.values() == {**WEAK, "a.two": "9"}
    assert host.files() == {}
    assert [path.name for path in (host.root / "opt/gvisor").iterdir()] == ["releases"]


def test_a_setting_that_is_not_ours_any_more_is_given_back_alone_and_if_empty(host: Host) -> None:
    host.set("a.two", "")
    host.apply({**WANTED, "a.words": "4"})

    assert host.apply({"a.one": "0"}).returncode == 0
    assert host.values() == {**WEAK, "a.one": "0", "a.two": "", "a.words": "1 2 3"}
    assert (host.files()[BEFORE], host.files()[WRITTEN]) == ("a.one 1\n", "a.one 0\n")


def test_a_setting_that_the_kernel_lacks_is_passed_over(host: Host) -> None:
    ran = host.apply({"a.one": "0", "a.none": "1"})

    assert (ran.returncode, ran.stderr) == (0, "")
    assert host.values() == {**WEAK, "a.one": "0"}
    assert host.files()[BEFORE] == "a.one 1\n"
    assert "a.none = 1\n" in host.files()[SYSCTLS_AT]


@table(
    "earlier, device, said",
    an_error=({}, "/dev/full", "the kernel refuses '5' ("),
    while_in_force=({"a.one": "0"}, "/dev/full", "the kernel refuses '5' ("),
    without_a_word=({}, "/dev/null", "the kernel reads '1' after '5' was written; the earl"),
)
def test_a_refusal_changes_nothing(host: Host, earlier: Any, device: str, said: str) -> None:
    host.apply(earlier)
    files = host.files()
    host.behind("a.two", device)

    ran = host.apply({"a.one": "5", "a.two": "5"}, ("sctp",))

    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert ran.stderr.startswith(f"kernel.surface: a.two on run-1: {said}")
    assert "; nothing was changed" in ran.stderr
    assert host.file("a.one").read_text() == f"{earlier.get('a.one', '1')}\n"
    assert host.files() == files


def test_a_setting_that_cannot_be_read_is_refused_before_anything_is_changed(host: Host) -> None:
    host.file("a.two").unlink()
    host.file("a.two").mkdir()

    ran = host.apply(WANTED)

    assert ran.returncode == 1
    assert "kernel.surface: a.two on run-1: this setting cannot be read, " in ran.stderr
    assert host.file("a.one").read_text() == "1\n"
    assert host.files() == {}


def test_a_file_that_cannot_be_written_puts_the_values_back(host: Host) -> None:
    (host.root / "etc").mkdir()
    (host.root / "etc/sysctl.d").write_text("in the way")

    assert host.apply(WANTED).returncode != 0
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
    assert (ran.returncode, host.values()) == (0, WEAK)
    assert not (host.root / "opt/gvisor").exists()


def test_nothing_of_a_value_is_run(host: Host) -> None:
    value = f"$(touch {host.root}/ran) `touch {host.root}/ran` \\n * '"

    ran = host.apply({"a.words": value})

    assert (ran.returncode, ran.stderr) == (0, "")
    assert host.values()["a.words"] == value
    assert not (host.root / "ran").exists()


@pytest.fixture
def asked(tmp_path: Path) -> Host:
    """A node without anything of ours, that has the settings with a default."""
    host = Host(tmp_path, dict.fromkeys(SYSCTLS, "1"))
    for name in ("grep", "sed", "base64", "stat"):
        real = (host.path / name).resolve()
        stub(host.path, name, f'echo {name} >> {tmp_path}/spent\nexec {real} "$@"')
    host.put("/proc/modules", LOADED)
    host.put("/proc/sys/kernel/osrelease", "6.1.0-x\n")
    return host


def spent(asked: Host) -> list[str]:
    """The processes of its answer."""
    return sorted((asked.root / "spent").read_text().split())


def test_the_script_knows_every_setting_that_has_a_default() -> None:
    _, _, rest = script("parts/kernel/state").partition("kernel_keys='\n")

    assert rest.partition("'")[0].split() == list(SYSCTLS)


def test_a_node_without_our_files_is_read_with_two_processes_and_tells_not_what_it_lacks(
    asked: Host,
) -> None:
    found = asked.surface()

    assert not found.there
    assert found.values == dict.fromkeys(SYSCTLS, "1")
    assert found.loaded == {"tipc": 2, "overlay": 0, "ip_tables": 0}
    assert (found.builtin, found.elsewhere, found.before) == ((), {}, {})
    assert spent(asked) == ["grep", "sed"]
    asked.file("net.core.bpf_jit_harden").unlink()
    (asked.root / "proc/modules").unlink()
    lacking = asked.surface()
    assert {*SYSCTLS} - {*lacking.values} == {"net.core.bpf_jit_harden"}
    assert lacking.loaded is None


def test_our_files_are_told_whole_with_mode_and_owner(asked: Host) -> None:
    text = "# ours ü\ninstall sctp /bin/false\n"
    asked.put(MODULES_FILE, text).chmod(0o640)
    file = asked.put(SYSCTL_FILE, "vm.swappiness = 10\n")

    found = asked.surface()

    assert found.there
    assert found.texts == {MODULES_FILE: text, SYSCTL_FILE: "vm.swappiness = 10\n"}
    assert found.files[MODULES_FILE].sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert found.files[MODULES_FILE].mode == "640"
    assert found.files[SYSCTL_FILE].owner == f"{file.stat().st_uid}:{file.stat().st_gid}"
    assert (found.kept_out, found.declared) == (("sctp",), {"vm.swappiness": "10"})
    assert spent(asked) == ["base64", "base64", "grep", "sed", "stat"]


def test_what_was_before_us_and_settings_of_our_file_are_told_whatever_somebody_wrote_into_it(
    asked: Host,
) -> None:
    asked.put(f"{DIRECTORY}/before", "kernel.kptr_restrict 0\nkernel.core_pattern |/bin/x  y\n")
    asked.put(f"{DIRECTORY}/written", "kernel.kptr_restrict 1\n\nnonsense\n")
    before = asked.surface()
    asked.set("vm.swappiness", "60")
    asked.set("net.ipv4.tcp_rmem", "4096\t131072\t6291456")
    asked.set("net/ipv4/conf/eth0.100/mc_forwarding", "1")
    asked.put("/proc/secret", "root")
    asked.put(
        SYSCTL_FILE,
        "# vm.overcommit_memory = 1\n\nvm.swappiness = 10\nnet/ipv4/tcp_rmem=1\n"
        "net/ipv4/conf/eth0.100/mc_forwarding = 0\nkernel.nosuch = 1\n../secret = 1\n"
        "net.ipv4.conf.*.rp_filter = 2\n-vm.x = 1\n$(touch /nonexistent/x) = 1\nvm = 1\nnot one\n",
    )

    found = asked.surface()

    assert {key: found.values[key] for key in found.values if key not in SYSCTLS} == {
        "vm.swappiness": "60",
        "net.ipv4.tcp_rmem": "4096 131072 6291456",
        "net/ipv4/conf/eth0.100/mc_forwarding": "1",
    }
    assert before.there
    assert before.before == {"kernel.kptr_restrict": "0", "kernel.core_pattern": "|/bin/x y"}
    assert before.written == {"kernel.kptr_restrict": "1"}


def test_modules_of_our_file_that_are_built_in_are_told(asked: Host) -> None:
    names = ("fs/fuse/cuse.ko", "fs/fuse/fuse.ko", "a/firewire-core.ko")
    builtin = "".join(f"kernel/{name}\n" for name in names)
    asked.put("/lib/modules/6.1.0-x/modules.builtin", builtin)
    blocked = "".join(f"install {name} x\n" for name in ("firewire_core", "cuse", ".*", "use"))

    for text, told in ((blocked, ("cuse", "firewire_core")), ("# emptied\n", ())):
        asked.put(MODULES_FILE, text)
        assert asked.surface().builtin == told


def test_what_is_read_behind_ours_is_told_in_its_order(asked: Host) -> None:
    key = "kernel.kptr_restrict"
    odd = "# vm.swappiness = 9\n; no\nnonsense\nvm.overcommit = 1\x1b\n"
    asked.put("/usr/lib/sysctl.d/99-a.conf", f"{key} = 0\nvm.swappiness=1\n")
    asked.put("/run/sysctl.d/98-b.conf", f"{key}=2\n")
    asked.put("/etc/sysctl.d/10-early.conf", f"{key} = 7\n")
    asked.put("/etc/sysctl.d/x.conf", odd)
    asked.put("/usr/lib/sysctl.d/99-c.conf", "vm.swappiness = 3\n")
    (asked.root / "etc/sysctl.d/99-c.conf").symlink_to("/dev/null")  # in the place of the last

    found = asked.surface()

    assert {name: (item.path, item.value) for name, item in found.elsewhere.items()} == {
        key: ("/usr/lib/sysctl.d/99-a.conf", "0"),
        "vm.swappiness": ("/usr/lib/sysctl.d/99-a.conf", "1"),
    }
    assert spent(asked) == ["grep", "grep", "sed"]


def test_the_file_of_old_comes_last_and_ufws_counts_where_ufw_is_on(asked: Host) -> None:
    asked.put("/etc/sysctl.conf", "vm.swappiness = 2\n")
    asked.put("/etc/sysctl.d/zz.conf", "vm.swappiness = 1\n")
    asked.put("/etc/ufw/sysctl.conf", "net/ipv4/tcp_syncookies=0\n")
    asked.put("/etc/ufw/ufw.conf", "# ufw\nENABLED=no\nLOGLEVEL=low\n")

    off = asked.surface().elsewhere
    asked.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    on = asked.surface().elsewhere

    assert {key: (item.path, item.value) for key, item in off.items()} == {
        "vm.swappiness": ("/etc/sysctl.conf", "2")
    }
    assert on["net.ipv4.tcp_syncookies"].path == "/etc/ufw/sysctl.conf"


@pytest.mark.parametrize(
    "line", ["text /x !", "stat 644:0:0 /x", "module tipc", "module tipc many"]
)
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node([f"kernel {line}", *answer()])

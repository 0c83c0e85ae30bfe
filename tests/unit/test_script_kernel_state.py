"""``kernel_state.sh`` with paths of a test: what it tells, and with how few processes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.kernel.defaults import SYSCTLS
from pyinfra_gvisor.parts.kernel.files import DIRECTORY, MODULES_FILE, SYSCTL_FILE
from pyinfra_gvisor.parts.kernel.names import sysctl_path
from pyinfra_gvisor.parts.kernel.state import KernelSurface, read
from tests.unit.answers import answer
from tests.unit.kernel_answers import told
from tests.unit.shells import replaced, run, stub, toolbox

LOADED = """\
tipc 548864 2 - Live 0x0000000000000000
overlay 212992 0 - Live 0x0000000000000000
ip_tables 36864 - iptable_nat,iptable_filter, Permanent 0x0000000000000000
"""


class Host:
    """A node's files under a directory. ``spent`` are the processes of its last answer."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = toolbox(root / "bin")
        self.spent: list[str] = []
        for name in ("grep", "sed", "base64", "stat"):
            real = (self.path / name).resolve()
            stub(self.path, name, f'echo {name} >> {root}/spent\nexec {real} "$@"')
        for key in SYSCTLS:
            self.set(key, "1")
        self.put("/proc/modules", LOADED)
        self.put("/proc/sys/kernel/osrelease", "6.1.0-x\n")

    def set(self, key: str, value: str) -> None:
        """A setting of its kernel."""
        self.put(f"/proc/sys/{sysctl_path(key)}", f"{value}\n")

    def put(self, path: str, text: str) -> Path:
        """A file on it."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def lines(self) -> list[str]:
        """What the script says, with the node's paths as they would be on a node."""
        spent = self.root / "spent"
        spent.unlink(missing_ok=True)
        tops = ("/proc/", "/lib/modules", "/opt/", "/etc/", "/run/", "/usr/")
        text = replaced(script("parts/kernel/state"), {top: f"{self.root}{top}" for top in tops})
        ran = run(f"set -u\nexport LC_ALL=C\n{text}kernel_state\n", path=self.path)
        assert (ran.returncode, ran.stderr) == (0, "")
        self.spent = spent.read_text().split() if spent.exists() else []
        return ran.stdout.replace(str(self.root), "").splitlines()

    def surface(self) -> KernelSurface:
        """The same, read."""
        return read([line.removeprefix("kernel ") for line in self.lines()])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node without anything of ours."""
    return Host(tmp_path)


def test_the_script_knows_every_setting_that_has_a_default() -> None:
    _, _, rest = script("parts/kernel/state").partition("kernel_keys='\n")

    assert rest.partition("'")[0].split() == list(SYSCTLS)


def test_a_node_without_our_files_is_read_with_two_processes(host: Host) -> None:
    found = host.surface()

    assert not found.there
    assert found.values == dict.fromkeys(SYSCTLS, "1")
    assert found.loaded == {"tipc": 2, "overlay": 0, "ip_tables": 0}
    assert (found.builtin, found.elsewhere, found.before) == ((), {}, {})
    assert sorted(host.spent) == ["grep", "sed"]


def test_a_kernel_without_modules_says_so(host: Host) -> None:
    (host.root / "proc/modules").unlink()

    assert host.surface().loaded is None


def test_a_setting_that_is_not_there_is_not_told(host: Host) -> None:
    (host.root / "proc/sys/net/core/bpf_jit_harden").unlink()

    found = host.surface()

    assert "net.core.bpf_jit_harden" not in found.values
    assert len(found.values) == len(SYSCTLS) - 1


def test_our_files_are_told_whole_with_mode_and_owner(host: Host) -> None:
    text = "# ours ü\ninstall sctp /bin/false\n"
    host.put(MODULES_FILE, text).chmod(0o640)
    file = host.put(SYSCTL_FILE, "vm.swappiness = 10\n")

    found = host.surface()

    assert found.there
    assert found.texts == {MODULES_FILE: text, SYSCTL_FILE: "vm.swappiness = 10\n"}
    assert found.files[MODULES_FILE].sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert found.files[MODULES_FILE].mode == "640"
    assert found.files[SYSCTL_FILE].owner == f"{file.stat().st_uid}:{file.stat().st_gid}"
    assert (found.kept_out, found.declared) == (("sctp",), {"vm.swappiness": "10"})
    assert sorted(host.spent) == ["base64", "base64", "grep", "sed", "stat"]


def test_settings_of_our_file_are_told_too_whatever_somebody_wrote_into_it(host: Host) -> None:
    host.set("vm.swappiness", "60")
    host.set("net.ipv4.tcp_rmem", "4096\t131072\t6291456")
    host.set("net/ipv4/conf/eth0.100/mc_forwarding", "1")
    host.put("/proc/secret", "root")
    host.put(
        SYSCTL_FILE,
        "# vm.overcommit_memory = 1\n\nvm.swappiness = 10\nnet/ipv4/tcp_rmem=1\n"
        "net/ipv4/conf/eth0.100/mc_forwarding = 0\nkernel.nosuch = 1\n../secret = 1\n"
        "net.ipv4.conf.*.rp_filter = 2\n-vm.x = 1\n$(touch /nonexistent/x) = 1\nvm = 1\nnot one\n",
    )

    found = host.surface()

    assert {key: found.values[key] for key in found.values if key not in SYSCTLS} == {
        "vm.swappiness": "60",
        "net.ipv4.tcp_rmem": "4096 131072 6291456",
        "net/ipv4/conf/eth0.100/mc_forwarding": "1",
    }


def test_what_was_before_us_is_told(host: Host) -> None:
    host.put(f"{DIRECTORY}/before", "kernel.kptr_restrict 0\nkernel.core_pattern |/bin/x  y\n")
    host.put(f"{DIRECTORY}/written", "kernel.kptr_restrict 1\n\nnonsense\n")

    found = host.surface()

    assert found.there
    assert found.before == {"kernel.kptr_restrict": "0", "kernel.core_pattern": "|/bin/x y"}
    assert found.written == {"kernel.kptr_restrict": "1"}


def test_modules_of_our_file_that_are_built_in_are_told(host: Host) -> None:
    host.put(
        "/lib/modules/6.1.0-x/modules.builtin",
        "kernel/fs/fuse/cuse.ko\nkernel/fs/fuse/fuse.ko\nkernel/a/firewire-core.ko\n",
    )
    host.put(MODULES_FILE, "install firewire_core x\ninstall cuse x\ninstall .* x\ninstall use x\n")

    assert host.surface().builtin == ("cuse", "firewire_core")


def test_a_file_that_names_no_module_asks_for_no_builtin_one(host: Host) -> None:
    host.put("/lib/modules/6.1.0-x/modules.builtin", "kernel/fs/fuse/cuse.ko\n")
    host.put(MODULES_FILE, "# emptied\n")

    assert host.surface().builtin == ()


def test_what_is_read_behind_ours_is_told_in_its_order(host: Host) -> None:
    key = "kernel.kptr_restrict"
    host.put("/usr/lib/sysctl.d/99-a.conf", f"{key} = 0\nvm.swappiness=1\n")
    host.put("/run/sysctl.d/98-b.conf", f"{key}=2\n")
    host.put("/etc/sysctl.d/10-early.conf", f"{key} = 7\n")
    host.put("/etc/sysctl.d/x.conf", "# vm.swappiness = 9\n; no\nnonsense\nvm.overcommit = 1\x1b\n")

    found = host.surface()

    assert {name: (item.path, item.value) for name, item in found.elsewhere.items()} == {
        key: ("/usr/lib/sysctl.d/99-a.conf", "0"),
        "vm.swappiness": ("/usr/lib/sysctl.d/99-a.conf", "1"),
    }
    assert sorted(host.spent) == ["grep", "grep", "sed"]


def test_a_file_that_one_in_etc_stands_for_does_not_count(host: Host) -> None:
    host.put("/usr/lib/sysctl.d/99-a.conf", "vm.swappiness = 1\n")
    host.put("/etc/sysctl.d/keep", "")
    (host.root / "etc/sysctl.d/99-a.conf").symlink_to("/dev/null")

    assert host.surface().elsewhere == {}


def test_the_file_of_old_comes_last_and_ufws_counts_where_ufw_is_on(host: Host) -> None:
    host.put("/etc/sysctl.conf", "vm.swappiness = 2\n")
    host.put("/etc/sysctl.d/zz.conf", "vm.swappiness = 1\n")
    host.put("/etc/ufw/sysctl.conf", "net/ipv4/tcp_syncookies=0\n")
    host.put("/etc/ufw/ufw.conf", "# ufw\nENABLED=no\nLOGLEVEL=low\n")

    off = host.surface().elsewhere
    host.put("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    on = host.surface().elsewhere

    assert {key: (item.path, item.value) for key, item in off.items()} == {
        "vm.swappiness": ("/etc/sysctl.conf", "2")
    }
    assert on["net.ipv4.tcp_syncookies"].path == "/etc/ufw/sysctl.conf"


def test_a_node_has_what_was_read_of_its_kernel() -> None:
    found = parse_node([*told(modules={"tipc": 1}), *answer()]).part(KernelSurface)

    assert found.loaded == {"tipc": 1}
    assert found.values["net.ipv4.tcp_syncookies"] == "0"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("kernel text /x not-base64", id="text"),
        pytest.param("kernel stat 644:0:0 /x", id="a-file-without-text"),
        pytest.param("kernel module tipc", id="no-use-count"),
        pytest.param("kernel module tipc many", id="use-count"),
    ],
)
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node([line, *answer()])

"""What is told of apps before they move is what happens to them, and looking changes nothing."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import pytest

from pyinfra_gvisor.apps.outlook import outlooks
from pyinfra_gvisor.apps.seen import apps_script, parse_apps
from pyinfra_gvisor.node import parse_node, state_script
from pyinfra_gvisor.report.outlooks import AppOutlook
from pyinfra_gvisor.settings import Settings
from tests.node.audits import sh
from tests.node.containers import must, remove_containers, start_container
from tests.node.running import CURRENT, Fleet
from tests.node.seeing import snapshot
from tests.node.watching import within
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

NODE = "plain"
PREFIX = "app-"


def _elf32() -> bytes:
    """A program of 32 bits that waits for signals for ever: pause(2), elf(5)."""
    code = bytes.fromhex("b81d000000cd80ebf7")
    size, base = 84 + len(code), 0x8048000
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + 84, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    return head + struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 4096) + code


# By rule: a program that prints "yes" or fails, and keeps what it has opened. Numbers of system
# calls are those of x86_64: syscalls(2).
PYTHON: Mapping[str, str] = {
    "raw-socket": "import socket; kept = socket.socket(2, 3, 1)",
    "netlink": "import socket; kept = socket.socket(16, 3, 0); kept.bind((0, 17))",
    "device": "kept = open('/dev/net/tun', 'r+b', 0)",
    "proc-file": "kept = open('/proc/vmstat')",
    "sysctl": "assert open('/proc/sys/net/ipv4/tcp_keepalive_time').read() == '77\\n'",
    "other-processes": "assert open('/proc/1/comm').read() == 'systemd\\n'",
    "hostname": "import socket; assert socket.gethostname()",
    "node-socket": "import socket; kept = socket.socket(1); kept.connect('/sock')",
    "shared-socket": "import socket; kept = socket.socket(1); kept.connect('/data/server.sock')",
    "program": "import socket; s = socket.create_server(('127.0.0.1', 0));"
    " kept = socket.create_connection(s.getsockname()); s.accept()[0].send(b'x');"
    " assert kept.recv(1, 0x4000); open('/proc/self/comm', 'w').write('smbd')",
}
PERL: Mapping[str, str] = {
    "kernel-object": "syscall(300, 0, 0) >= 0",  # fanotify_init(2)
    "io-uring": r"syscall(425, 4, my $given = qq(\0) x 120) >= 0",
    "clock": r"syscall(159, my $given = qq(\0) x 208) >= 0",  # adjtimex(2), which only asks
    "watched-files": "($f = syscall(253), syscall(254, $f, my $at = q(/all), 258),"
    " vec($v, $f, 1) = 1, open(F, q(>), q(/out/watching)), select($v, undef, undef, 20))[-1] > 0",
}
SHELL: Mapping[str, str] = {
    "mounts-inside": "mkdir /mounted; mount -t cgroup2 none /mounted && echo yes",
    "program-32-bit": "/data/elf32 & sleep 1; kill -0 $! && echo yes",
    "setuid": "setpriv --reuid=1000 --clear-groups /data/perl -e "
    "'$| = 1; print $> ? qq(no\n) : qq(yes\n); sleep 999'",
    "network-changes": "ip link add app0 type bridge && echo yes",
}
ALL = (
    *("--security-opt=seccomp=unconfined", "--security-opt=no-new-privileges=false", "--uts=host"),
    *("--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--cap-add=SYS_TIME", "--pid=host"),
    *("--device=/dev/net/tun", "--sysctl=net.ipv4.tcp_keepalive_time=77", "--network=none"),
    *("--volume=app-data:/data", "--volume=/root/app-all:/all:ro"),
    "--volume=/var/run/docker.sock:/sock",
)
SERVER = """
import os, socket, time
os.path.lexists("/data/server.sock") and os.unlink("/data/server.sock")
server = socket.socket(1)
server.bind("/data/server.sock")
server.listen()
time.sleep(999)
"""
# By container: what it is given, what it runs, and the rule that tells why it ends in gVisor.
SMALL: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "few": (("--pids-limit=20",), "sleep 999", "pids-limit"),
    "little": (("--memory=12m",), "sleep 999", "memory-limit"),
    "large": (
        ("--memory=64m", "--memory-swap=64m"),
        "dd if=/dev/zero of=/tmp/large bs=1M count=80; sleep 999",
        "tmp-too-large",
    ),
}
_CLEAN = "rm -rf /root/app-all; docker volume rm app-data"


def program() -> str:
    """A shell program that starts all of them, and keeps what each says."""
    wait = "; print('yes', flush=True); import time; time.sleep(999)"
    started = {
        **{rule: f'python3 -c "{text}{wait}"' for rule, text in PYTHON.items()},
        **{
            rule: f"perl -e '$| = 1; print +{text} ? qq(yes) : $!; sleep 999'"
            for rule, text in PERL.items()
        },
        **SHELL,
    }
    lines = [f"({command}) > /out/{rule} 2>&1 &" for rule, command in started.items()]
    return "\n".join(["mkdir -p /out", *lines, "sleep 4; touch /out/all", "sleep 999"])


@dataclass(frozen=True)
class Told:
    """What is told of each container, and whether looking has changed the node."""

    apps: Mapping[str, AppOutlook]
    changed: bool

    def rules(self, name: str) -> set[str]:
        """The rules about a container, by its name without ours."""
        return {item.rule for item in self.apps[PREFIX + name].differences}


def start(node: LabNode, runtime: str) -> None:
    """Start all containers under a runtime, if they do start."""
    options = (f"--runtime={runtime}", "--volume=app-data:/data", "--network=none")
    run(node, "server", *options, command=("python3", "-c", SERVER))
    assert within(30, lambda: node.exec("docker", "exec", "app-server", "ls").code == 0)
    run(node, "all", f"--runtime={runtime}", *ALL, command=("sh", "-c", program()))
    run(node, "kept", f"--runtime={runtime}", "--network=none", command=("sleep", "999"))
    for name, (own, command, _) in SMALL.items():
        given = (f"--runtime={runtime}", "--network=none", *own)
        run(node, name, *given, command=("sh", "-c", command), must_start=False)
        # On a busy machine runc itself may need more memory for its start than the limit.
        assert runtime != "runc" or within(20, partial(runs, node, name))


def runs(node: LabNode, name: str) -> bool:
    """Start a container if it has ended; whether it runs."""
    node.exec("docker", "start", PREFIX + name)
    state = node.exec("docker", "inspect", "-f", "{{.State.Running}}", PREFIX + name)
    return "true" in state.stdout


def run(
    node: LabNode, name: str, *options: str, command: tuple[str, ...], must_start: bool = True
) -> None:
    """Start a container with the node's own programs."""
    given = ("docker", "run", "-d", f"--name={PREFIX}{name}", "-v", "/usr:/usr:ro", *options)
    ran = node.exec(*given, "test:1", *command)
    assert ran.code == 0 or not must_start, ran.stderr


def look(node: LabNode) -> Told:
    """What is told of the containers that run."""
    before = snapshot(node)
    state = parse_node(sh(node, state_script()).splitlines())
    found = parse_apps(sh(node, apps_script()).splitlines())
    told = outlooks(NODE, state, Settings.model_validate({"gvisor_runtimes": {"runsc": {}}}), found)
    ours = {app.name: app for app in told.apps if app.name.startswith(PREFIX)}
    return Told(ours, changed=snapshot(node) != before)


def happened(node: LabNode) -> dict[str, bool]:
    """Whether each program works in the container that has them all, and each small container."""
    out = ("docker", "exec", "app-all", "test", "-e")
    assert within(40, lambda: node.exec(*out, "/out/all").code == 0)
    assert within(20, lambda: node.exec(*out, "/out/watching").code == 0)
    must(node, "touch", "/root/app-all/touched")
    said = ("docker", "exec", "app-all", "grep", "-lrx", "yes", "/out")
    within(3, lambda: "/out/watched-files" in node.exec(*said).stdout)
    works = node.exec(*said).stdout.split()
    small = {
        rule: "true"
        in node.exec("docker", "inspect", "-f", "{{.State.Running}}", PREFIX + name).stdout
        for name, (_, _, rule) in SMALL.items()
    }
    must(node, "docker", "exec", "app-kept", "sh", "-c", "echo kept > /tmp/kept")
    must(node, "docker", "restart", "-t", "0", "app-kept")
    kept = node.exec("docker", "exec", "app-kept", "cat", "/tmp/kept").code == 0
    return {
        "tmp": kept,
        **{rule: f"/out/{rule}" in works for rule in (*PYTHON, *PERL, *SHELL)},
        **small,
    }


@dataclass(frozen=True)
class Moved:
    """What was told and what happened, under runc and under gVisor."""

    told: Mapping[str, Told]
    happened: Mapping[str, Mapping[str, bool]]


@pytest.fixture(scope="module")
def moved(brought: dict[str, LabNode]) -> Iterator[Moved]:
    """Apps under runc, and the same under gVisor."""
    node = brought[NODE]
    start_container(node, "app-first")  # makes the image
    sh(node, "mkdir -p /root/app-all && docker volume create app-data")
    data = sh(node, "docker volume inspect -f '{{.Mountpoint}}' app-data").strip()
    node.put(f"{data}/elf32", _elf32())
    sh(node, f"chmod 755 {data}/elf32; cp /usr/bin/perl {data}/perl; chmod 4755 {data}/perl")
    told, outcome = {}, {}
    try:
        for runtime in ("runc", "runsc"):
            start(node, runtime)
            outcome[runtime] = happened(node)
            told[runtime] = look(node)
            remove_containers(node, f"^/{PREFIX}")
        yield Moved(told, outcome)
    finally:
        remove_containers(node, f"^/{PREFIX}")
        sh(node, _CLEAN)


def test_what_is_told_before_is_what_fails_or_differs_then(moved: Moved) -> None:
    before, after = moved.happened["runc"], moved.happened["runsc"]
    told = moved.told["runc"]

    assert before == dict.fromkeys(before, True)
    assert after == dict.fromkeys(after, False)
    assert told.rules("all") == {*PYTHON, *PERL, *SHELL}
    assert told.rules("kept") == {"tmp"}
    assert {name: told.rules(name) for name in SMALL} == {
        name: {rule} for name, (_, _, rule) in SMALL.items()
    }
    assert told.rules("server") == {"shared-socket"}
    assert {app.now for app in told.apps.values()} == {"runc"}


def test_of_a_sandbox_only_what_docker_knows_is_told(moved: Moved) -> None:
    told = moved.told["runsc"]

    assert {app.now for app in told.apps.values()} == {"gVisor"}
    assert told.rules("all") == {
        *("device", "sysctl", "other-processes", "hostname", "node-socket", "clock"),
        "network-changes",
    }


def test_looking_changes_nothing(moved: Moved) -> None:
    assert not any(told.changed for told in moved.told.values())


def test_the_deploy_tells_it_for_people(fleet: Fleet) -> None:
    start_container(fleet.nodes[NODE], "app-device", "--device=/dev/kmsg", "--runtime=runc")
    try:
        ran = fleet.deploy(NODE, data=CURRENT, deploy="deploys/apps.py")
    finally:
        remove_containers(fleet.nodes[NODE], "^/app-device$")

    assert "WOULD FAIL" in ran.stderr
    assert "/dev/kmsg" in ran.stderr
    assert "next: change the apps that fail" in ran.stderr

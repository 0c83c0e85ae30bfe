"""The resolver's program and units: it runs from where it is put, and may do little."""

import ast
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.node.python import OLDEST_PYTHON
from pyinfra_gvisor.parts.resolver import files as resolver_files
from pyinfra_gvisor.parts.resolver import forwarder
from tests.table import table

PACKAGE = "pyinfra_gvisor.parts.resolver.forwarder"
SOURCES = {
    item.name: item.read_text(encoding="utf-8")
    for item in files(forwarder).iterdir()
    if item.name.endswith(".py")
}
# Both with -I, so that nothing of the test's own environment is there for it.
ASYNCIO = ("-I", "-c", "import asyncio, ctypes")


def pythons() -> set[str]:
    """This one, and the system's if it is one that a node could have."""
    system = shutil.which("python3", path="/usr/bin") or "false"
    ended = subprocess.run([system, *ASYNCIO], check=False, stderr=subprocess.DEVNULL)
    return {sys.executable} if ended.returncode else {sys.executable, system}


def put(directory: Path) -> Path:
    """The program as it lies on a node."""
    for item in resolver_files.program_files():
        path = directory / item.path.removeprefix(f"{resolver_files.DIRECTORY}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(item.text)
    return directory


def ran(python: str, directory: Path, *words: str, **env: str) -> tuple[int, str, str]:
    """How the program ends and what it says, started as the unit does."""
    command = [python, "-I", "-B", directory, *words]
    env["PATH"] = os.environ["PATH"]
    given: dict[str, Any] = {"capture_output": True, "text": True, "cwd": "/", "env": env}
    told = subprocess.run(command, check=False, timeout=60, **given)
    return told.returncode, told.stdout, told.stderr


@pytest.mark.parametrize("python", [pytest.param(path, id=path) for path in sorted(pythons())])
def test_the_program_runs_from_where_it_is_put(python: str, tmp_path: Path) -> None:
    directory = put(tmp_path / "resolver")
    before = sorted(directory.rglob("*"))

    code, told, error = ran(python, directory, "--help")
    alone = ran(python, directory)
    anothers = ran(python, directory, LISTEN_PID="1", LISTEN_FDS="4")

    assert (code, error) == (0, "")
    for option in ("--docker", "--resolver", "--textfile"):
        assert option in told
    said = (64, "", "no sockets were passed: start this program by its systemd socket unit\n")
    assert (alone, anothers) == (said, said)
    assert sorted(directory.rglob("*")) == before, "nothing was written there"


def test_every_module_of_it_is_put_there_and_nothing_more() -> None:
    names = PACKAGE.split(".")
    packages = ["/".join((resolver_files.DIRECTORY, *names[: at + 1])) for at in range(len(names))]

    texts = {item.path: item.text for item in resolver_files.program_files()}

    assert texts.pop(f"{resolver_files.DIRECTORY}/__main__.py")
    assert texts == {
        **{f"{packages[-1]}/{name}": text for name, text in SOURCES.items()},
        **{f"{path}/__init__.py": "" for path in packages},
    }
    with pytest.raises(SyntaxError):  # what is too new for the oldest Python would be found below
        ast.parse("try: ...\nexcept* OSError: ...", feature_version=OLDEST_PYTHON)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_module_needs_the_oldest_python_its_library_and_its_neighbours_alone(name: str) -> None:
    found = [
        module
        for node in ast.walk(ast.parse(SOURCES[name], feature_version=OLDEST_PYTHON))
        for module in _imported(node)
        if module.split(".")[0] not in sys.stdlib_module_names
    ]

    assert [item for item in found if item != PACKAGE and not item.startswith(f"{PACKAGE}.")] == []


def test_all_of_it_is_the_program_and_two_units_that_root_alone_may_write() -> None:
    kept = resolver_files.kept_files(("9.9.9.9",), "/srv/text/")

    assert {item.mode for item in kept} == {"644"}
    assert kept[:-2] == resolver_files.program_files()
    assert {item.path: item.text for item in kept[-2:]} == {
        resolver_files.SERVICE: resolver_files.service_text(("9.9.9.9",), "/srv/text/"),
        resolver_files.SOCKET: resolver_files.socket_text(),
    }


def test_the_sockets_are_there_before_docker_and_their_addresses_stay_when_it_is_stopped() -> None:
    assert resolver_files.socket_text().splitlines()[1:] == [
        *("[Unit]", "Description=Sockets of pyinfra-gvisor's DNS resolver for sandboxes"),
        *("Before=docker.service", "[Socket]"),
        "ExecStartPre=/usr/sbin/ip address replace 169.254.53.53/32 dev lo",
        "ExecStartPre=-/usr/sbin/ip -6 address replace fd2e:6ab4:9d1c::53/128 dev lo nodad",
        *("ListenDatagram=169.254.53.53:53", "ListenDatagram=[fd2e:6ab4:9d1c::53]:53"),
        *("ListenStream=169.254.53.53:53", "ListenStream=[fd2e:6ab4:9d1c::53]:53"),
        *("FreeBind=yes", "ReceiveBuffer=4M", "Backlog=1024", "TriggerLimitIntervalSec=0"),
        *("[Install]", "WantedBy=sockets.target"),
    ]


PROTECTED = (
    "ProtectHome PrivateTmp PrivateDevices ProtectClock ProtectHostname ProtectKernelLogs "
    "ProtectKernelModules ProtectKernelTunables ProtectControlGroups"
)


def test_the_service_may_do_little_comes_back_whatever_ends_it_and_depends_on_its_sockets() -> None:
    assert resolver_files.service_text((), None).splitlines()[1:] == [
        "[Unit]",
        "Description=DNS resolver of pyinfra-gvisor for sandboxes with gVisor's network stack",
        *(f"{word}=pyinfra-gvisor-resolver.socket" for word in ("Requires", "After")),
        *("StartLimitIntervalSec=0", "[Service]", "Type=notify", "TimeoutStartSec=30"),
        "ExecStart=/usr/bin/python3 -I -B /opt/gvisor/resolver",
        *("Restart=always", "RestartSec=500ms", "SyslogIdentifier=pyinfra-gvisor-resolver"),
        *("OOMScoreAdjust=-500", "MemoryMax=64M", "TasksMax=16", "UMask=0022"),
        "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_RAW",
        *("NoNewPrivileges=yes", "ProtectSystem=strict"),
        *(f"{word}=yes" for word in PROTECTED.split()),
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET",
        *("RestrictNamespaces=net", "RestrictRealtime=yes", "RestrictSUIDSGID=yes"),
        *("LockPersonality=yes", "SystemCallArchitectures=native"),
        "SystemCallFilter=@system-service setns",
    ]


ODD = ("fe80::1%eth0", "dns.example", "", "1.1.1.1\nExecStart=/bin/sh", "::1%\nUser=x", "9.9.9.9")
METRICS = " --textfile=/srv/text/pyinfra_gvisor_resolver.prom"


@table(
    "named, textfile_dir, options, writable",
    dockerds=(("9.9.9.9", "::1"), None, " --resolver=9.9.9.9 --resolver=::1", []),
    no_plain_addresses=(ODD, None, " --resolver=9.9.9.9", []),
    metrics=((), "/srv/text/", METRICS, ["ReadWritePaths=-/srv/text/"]),
)
def test_the_service_is_told_what_is_declared(
    named: tuple[str, ...], textfile_dir: str | None, options: str, writable: list[str]
) -> None:
    lines = resolver_files.service_text(named, textfile_dir).splitlines()

    start = f"ExecStart=/usr/bin/python3 -I -B {resolver_files.DIRECTORY}{options}"
    assert {*lines} - {*resolver_files.service_text((), None).splitlines()} == {start, *writable}
    assert len(lines) == len(resolver_files.service_text((), None).splitlines()) + len(writable)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module if node.module and node.level == 0 else f"relative to {node.level}"]
    return []

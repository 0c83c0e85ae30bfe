"""What a twin and a control have of a container, and what leaves the node of its logs."""

import json
import re
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.audit.capability_rules import ROOT_ON_THE_NODE
from pyinfra_gvisor.base.redaction import SECRET_NAME
from pyinfra_gvisor.trials.script import PROGRAM
from tests.table import table
from tests.unit.answers import compact
from tests.unit.fake_docker import Answer, Handler, container, daemon, says

ID = f"{1:064x}"
IMAGE = f"/images/sha256:{1:064x}/json"
ENV = [
    *("SHORT=abc", "KEY=first line\nsecond line", "URL=postgres://me:p%40ss@db/x", 'QUOTED=a"bc'),
    *("DSN=host=db password=Sommer24!", 'JSON={"db":{"password":"wintergreen"}}'),
    "OTHER=mysql://u:pa/ss-word@h",
]
COMMAND = [
    "sh",
    "-c",
    "serve --api-token t0pSecret -phunter22; curl http://u:pw99@x",
    "8f14e45fceea",
]


class Docker:
    """A daemon that has one container, and keeps what it is asked to make."""

    def __init__(self, path: Path) -> None:
        self.socket = str(path)
        self.made: list[Any] = []
        self.logs: dict[str, list[str]] = {}
        self.mounts: list[dict[str, Any]] = []
        self.host: dict[str, Any] = {}
        self.config: dict[str, Any] = {}

    def run(self, *words: str) -> list[str]:
        """Return what the program prints."""
        Path(self.socket).unlink(missing_ok=True)
        with daemon(Path(self.socket), self._answers()):
            ran = subprocess.run(
                ["perl", "-e", PROGRAM, "trial", self.socket, SECRET_NAME, ID, *words],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout.splitlines()

    def create(
        self, side: str = "twin", runtime: str = "runsc"
    ) -> tuple[dict[str, Any], list[str]]:
        """Return what Docker is asked to make, and what the program prints."""
        door = Path(self.socket).with_name("door")
        door.write_text("opens\n")
        more = ["X-Door", str(door)] if side == "control" else []
        given = ("create", side, runtime, "own-name", "ours", "tag", "net", *more)
        printed = self.run(*given)
        return self.made[-1], printed

    def news(self, control: str, twin: str) -> list[str]:
        """What is told of the twin's log; ``control``: a container, or none."""
        known = Path(self.socket).with_name("known")
        kinds = self.run("kinds", control) if control else []
        known.write_text("".join(f"{line}\n" for line in kinds))
        return [line.rpartition("\t")[2] for line in self.run("news", str(known), twin)]

    def _answers(self) -> Mapping[str, Answer]:
        document = container(1, 1, name="shop-uuid77", mounts=self.mounts)
        document["HostConfig"] |= self.host
        document["Config"] |= {"Env": ENV, "Cmd": COMMAND, "Hostname": ID[:12], **self.config}
        image = {"Config": {"Labels": {"traefik.enable": "true"}}}
        framed = {
            f"/containers/{key}/logs?stdout=1&stderr=1&tail=5000": log(lines)
            for key, lines in self.logs.items()
        }
        return {
            f"/containers/{ID}/json": says(compact(document) + "\n"),
            IMAGE: says(compact(image) + "\n"),
            "/containers/create?name=own-name": self._make,
            **framed,
        }

    def _make(self, request: Handler) -> None:
        self.made.append(json.loads(request.rfile.read1(1 << 20)))
        says(compact({"Id": "e" * 64}), "201 Created")(request)


def log(lines: list[str]) -> Answer:
    """A log as Docker frames it: some lines of stdout, and some of stderr."""
    frames = b"".join(
        struct.pack(">BxxxI", 1 + number % 2, len(line) + 1) + line.encode() + b"\n"
        for number, line in enumerate(lines)
    )
    return lambda request: request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + frames) and None


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """A daemon."""
    return Docker(tmp_path / "s")


def test_a_copy_has_a_name_labels_and_a_network_of_ours_only(docker: Docker) -> None:
    docker.config = {"Labels": {"coolify.managed": "true"}, "ExposedPorts": {"80/tcp": {}}}
    docker.host = {"PortBindings": {"80/tcp": [{"HostPort": "80"}]}, "AutoRemove": True}
    docker.host |= {"RestartPolicy": {"Name": "always"}, "LogConfig": {"Type": "syslog"}}

    made, printed = docker.create()

    host = made["HostConfig"]
    assert "twin\tid\t" + "e" * 64 in printed
    assert made["Labels"] == {"traefik.enable": "", "ours": "tag"}
    assert (made["Env"], made["Cmd"], made["Entrypoint"]) == (ENV, COMMAND, [""])
    assert (host["NetworkMode"], host["Runtime"], host["RestartPolicy"]) == (
        *("net", "runsc"),
        {"Name": "no"},
    )
    assert host["LogConfig"]["Type"] == "json-file"
    assert not {"PortBindings", "AutoRemove", "Binds"} & {*host}
    assert "Hostname" not in made
    assert "uuid77" not in json.dumps(made)


@table(
    "given, kept, own",
    none=({}, {"Memory": 512 << 20, "NanoCpus": 10**9, "PidsLimit": 1024}, True),
    zero=(
        {"Memory": 0, "NanoCpus": 0, "PidsLimit": None},
        {"Memory": 512 << 20, "NanoCpus": 10**9, "PidsLimit": 1024},
        True,
    ),
    some=(
        {"Memory": 64 << 20, "MemorySwap": -1, "CpuQuota": 5000, "PidsLimit": 30},
        {"Memory": 64 << 20, "MemorySwap": -1, "CpuQuota": 5000, "PidsLimit": 30},
        False,
    ),
)
def test_limits_are_kept_and_ours_where_there_is_none(
    docker: Docker, given: dict[str, Any], kept: dict[str, Any], own: bool
) -> None:
    docker.host = given

    made, printed = docker.create()

    assert kept.items() <= made["HostConfig"].items()
    assert ("twin\tlimit\t512" in printed) == own


def test_mounts_are_new_or_read_only_and_sockets_are_left_out(
    docker: Docker, tmp_path: Path
) -> None:
    plain, config = tmp_path / "plain", tmp_path / "app.conf"
    plain.mkdir()
    config.touch()
    mount = {"Type": "bind", "Destination": "/x"}
    docker.mounts = [
        {**mount, "Source": str(plain), "Destination": "/ro", "RW": False},
        {**mount, "Source": str(plain), "Destination": "/rw", "RW": True},
        {**mount, "Source": str(config), "Destination": "/etc/app.conf", "RW": True},
        {**mount, "Source": docker.socket, "Destination": "/docker.sock", "RW": False},
        {**mount, "Source": str(tmp_path), "Destination": "/all", "RW": False},
        {"Type": "volume", "Source": "/v", "Name": "db", "Destination": "/data", "RW": True},
    ]

    docker.config = {"Env": ["DATA=/data"]}

    made, printed = docker.create()

    readonly = {"Type": "bind", "ReadOnly": True}
    assert made["Volumes"] == {"/rw": {}, "/data": {}}
    assert made["HostConfig"]["Mounts"] == [
        {**readonly, "Source": str(plain), "Target": "/ro"},
        {**readonly, "Source": str(config), "Target": "/etc/app.conf"},
    ]
    assert [line for line in printed if "\tempty\t" in line] == [
        *("twin\tempty\t/rw", "twin\tempty\t/data"),
    ]
    assert [line for line in printed if "\tleft\t" in line] == [
        f"twin\tleft\tsocket: {docker.socket} on /docker.sock",
        f"twin\tleft\thas the socket s: {tmp_path} on /all",
    ]


def test_the_control_has_no_rights_over_the_node(docker: Docker) -> None:
    docker.host = {
        "Privileged": True,
        "PidMode": "host",
        "IpcMode": "container:x",
        "CapAdd": ["ALL", "CAP_SYS_ADMIN", "net_admin", "CHOWN"],
        "SecurityOpt": ["seccomp=unconfined", "no-new-privileges"],
        "MaskedPaths": [],
        "UsernsMode": "host",
    }
    docker.host |= {"Devices": [{"PathOnHost": "/dev/kvm"}], "NetworkMode": "host"}

    twin, _ = docker.create()
    control, printed = docker.create("control", "")

    assert (twin["HostConfig"]["Privileged"], twin["HostConfig"]["PidMode"]) == (True, "host")
    rights = {"Privileged", "PidMode", "IpcMode", "Devices", "Runtime", "MaskedPaths", "UsernsMode"}
    assert not rights & {*control["HostConfig"]}
    assert control["HostConfig"]["CapAdd"] == ["CHOWN"]
    assert control["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert twin["HostConfig"]["SecurityOpt"] == docker.host["SecurityOpt"]
    left = {line.partition("\tleft\t")[2] for line in printed if "\tleft\t" in line}
    assert left == {
        *("device /dev/kvm", "network: host", "pid: host", "ipc: container:x", "privileged"),
        *("capability ALL", "capability CAP_SYS_ADMIN", "capability net_admin", "security options"),
    }


def test_rights_over_the_node_are_those_of_the_audit() -> None:
    text = PROGRAM.partition("my %is_root")[2].partition(";")[0]

    assert {*re.findall(r"\b[A-Z][A-Z_]+\b", text)} == {*ROOT_ON_THE_NODE}


def test_a_copy_is_ended_first_and_has_no_memory_that_the_node_needs(docker: Docker) -> None:
    docker.host = {"OomScoreAdj": -1000, "Memory": 1 << 50, "IpcMode": "host"}
    docker.host |= {"NetworkMode": "none", "StorageOpt": {"size": "1G"}}

    made, printed = docker.create()

    host = made["HostConfig"]
    assert (host["OomScoreAdj"], host["NetworkMode"]) == (1000, "none")
    assert host["StorageOpt"] == {"size": "1G"}
    assert 0 < host["Memory"] < 1 << 45
    assert "IpcMode" not in host
    assert any(line.startswith("twin\tlimit\t") for line in printed)


def test_a_health_check_is_asked_more_often(docker: Docker) -> None:
    docker.config = {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 30 * 10**9, "Retries": 2}}

    made, _ = docker.create()

    assert made["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 3 * 10**9, "Retries": 2}


def test_only_new_kinds_of_errors_leave_the_node_and_no_secret(docker: Docker) -> None:
    secrets = [
        "second line",
        "p%40ss",
        'a"bc',
        'a\\"bc',
        "t0pSecret",
        "hunter22",
        "pw99",
        COMMAND[-1],
        *("p@ss", "Sommer24!", "wintergreen", "pa/ss-word"),
    ]
    docker.logs = {
        "c": ["12:00:01 error 17 of old", "fine"],
        "t": [
            *("12:07:33 error 5 of old", "fine", "fatal: new at 0xfa31"),
            *(f"cannot use <{text}>" for text in secrets),
            *("error: Authorization: Bearer abcd efg", "error: password: correct horse"),
        ],
    }

    assert docker.news("c", "t") == [
        *("fatal: new at N", "cannot use <***>"),
        *("error: Authorization ***", "error: password: ***"),
    ]


def test_a_hostile_line_does_not_keep_the_node_busy(docker: Docker) -> None:
    docker.logs = {"t": ["error " + "=" * 300_000]}

    (told,) = docker.news("", "t")

    assert len(told) == 200


def test_at_most_five_lines_leave_the_node_and_they_are_short(docker: Docker) -> None:
    docker.logs = {"t": [f"error {letter * 300}" for letter in "abcdefgh"]}

    printed = docker.news("", "t")

    assert len(printed) == 6
    assert printed[-1] == "3"
    assert max(map(len, printed)) == 200

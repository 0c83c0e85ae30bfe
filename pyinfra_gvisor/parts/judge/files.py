"""The files of the resident judge on a node. Its program comes with the wrappers."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra_gvisor.base.node_files import UNITS, NodeFile, drop_in, unit_text
from pyinfra_gvisor.base.scripts import PATH, part, program
from pyinfra_gvisor.daemon_json.shared_lists import DOOR_CHECK, LINKS
from pyinfra_gvisor.dispatch.programs import JUDGE_SOCKET
from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.rules import PLUGIN

NAME = "pyinfra-gvisor-judge"
SOCKET = f"{UNITS}/{NAME}.socket"
SERVICE = f"{UNITS}/{NAME}.service"
ADDRESS = f"/run/docker/plugins/{PLUGIN}.sock"
"""Where dockerd asks a plugin of this name: moby, pkg/plugins/discovery.go."""

DIRECTORY = "/opt/gvisor/judge"
SERVE = f"{DIRECTORY}/serve"
STAND_IN = f"{DIRECTORY}/stand_in.pl"
ASK = f"{DIRECTORY}/ask.pl"
PERMIT = f"{DIRECTORY}/permit"
"""Runs a command of docker with a permit."""
PERMITS = f"{NodePaths().run}/permit-"
"""How the paths of operators' permits begin."""

START_S = 30
WATCHDOG_S = 10
# Each question is a process of its own: a hundred containers may start at once after a boot.
TASKS = 512
DESCRIPTORS = 16384  # each takes two at most, and dockerd keeps connections
MEMORY_MIB = 1024

# What it needs of root: read any file and write into any bundle, whoever owns it, and look at
# namespaces of other processes. See capabilities(7) and ptrace(2), PTRACE_MODE_READ.
_CAPABILITIES = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_SYS_PTRACE"
# Only what makes no mount namespace: it must see /proc and every mount as dockerd does. That leaves
# out Private…, Protect…, ReadOnly…, Inaccessible…, LogNamespace and credentials: systemd.exec(5),
# and exec_needs_mount_namespace() in systemd's src/core/execute.c.
CONFINED = (
    f"CapabilityBoundingSet={_CAPABILITIES}",
    "NoNewPrivileges=yes",
    "RestrictAddressFamilies=AF_UNIX",
    "IPAddressDeny=any",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
)


@dataclass(frozen=True)
class Asking:
    """
    A dockerd that asks.

    + unit: its unit
    + root: its data root
    """

    unit: str
    root: str


def judge_files(judge: str, docker: Asking | None) -> tuple[NodeFile, ...]:
    """
    Return the files.

    + judge: path of the judge's program
    + docker: None if dockerd does not ask
    """
    given = {"stand_in": STAND_IN, "ask": ASK, "address": ADDRESS, "unit": NAME, "links": LINKS}
    serve = part("parts/judge/serve", judge=judge, stand_in=STAND_IN)
    permit = f'#!/bin/sh\nexec /usr/bin/python3 -I -S -B -X utf8 {judge} permit "$@"\n'
    files = (
        NodeFile(PERMIT, "755", permit),
        NodeFile(ASK, "644", program("daemon_json/ask_plugins.pl")),
        NodeFile(STAND_IN, "644", program("parts/judge/stand_in.pl")),
        NodeFile(SERVE, "755", f"#!/bin/sh\n{serve}"),
        NodeFile(DOOR_CHECK, "755", f"#!/bin/sh\n{part('parts/judge/check', **given)}"),
        NodeFile(SERVICE, "644", service_text()),
        NodeFile(SOCKET, "644", socket_text(docker.unit if docker else None)),
    )
    if docker is None:
        return files
    volumes = part("parts/judge/volumes", root=docker.root, judge=judge)
    return (
        *files,
        NodeFile(LINKS, "755", f"#!/bin/sh\n{volumes}"),
        NodeFile(drop_in(docker.unit, NAME), "644", drop_in_text()),
    )


def drop_in_text() -> str:
    """
    Return the addition to dockerd's unit: dockerd does not start without the socket.

    dockerd waits for ever for a plugin that does not answer: moby, pkg/authorization/plugin.go.
    """
    return unit_text(
        "[Unit]",
        f"Wants={NAME}.socket",
        f"After={NAME}.socket",
        "[Service]",
        f"ExecStartPre=-{DOOR_CHECK}",
    )


def socket_text(docker: str | None) -> str:
    """
    Return the unit that holds the sockets, so that a restart of the program loses no question.

    It starts before dockerd starts containers, and with it the program: systemd.socket(5). The
    program knows the sockets by their order.

    + docker: the unit of a dockerd that asks; None if it does not ask
    """
    asked = () if docker is None else (f"ListenStream={ADDRESS}",)
    return unit_text(
        "[Unit]",
        "Description=Sockets of pyinfra-gvisor's judge, which decides where containers run",
        f"Before={docker or 'docker.service'}",
        f"Wants={NAME}.service",
        "StartLimitIntervalSec=0",
        "[Socket]",
        f"ListenStream={JUDGE_SOCKET}",
        *asked,
        "SocketMode=0600",
        "DirectoryMode=0700",
        "Accept=no",
        "Backlog=1024",
        "TriggerLimitIntervalSec=0",
        "RemoveOnStop=yes",
        "[Install]",
        "WantedBy=sockets.target",
    )


def service_text() -> str:
    """
    Return the unit of the program: systemd.service(5), systemd.exec(5).

    systemd replaces a program that hangs: wrappers then run the program themselves. It is killed
    because a stopped process gets no other signal.
    """
    return unit_text(
        "[Unit]",
        "Description=Judge of pyinfra-gvisor, which decides where containers run",
        f"Requires={NAME}.socket",
        f"After={NAME}.socket",
        "StartLimitIntervalSec=0",
        "[Service]",
        "Type=notify",
        "NotifyAccess=all",
        f"ExecStart={SERVE}",
        f"Environment=PATH={PATH}",
        f"TimeoutStartSec={START_S}",
        "TimeoutStopSec=5",
        f"WatchdogSec={WATCHDOG_S}",
        "WatchdogSignal=SIGKILL",
        "Restart=always",
        "RestartSec=200ms",
        "KillMode=control-group",
        "SyslogIdentifier=pyinfra-gvisor",
        "OOMScoreAdjust=-1000",
        "OOMPolicy=continue",  # the kernel ends a question, not the judge
        f"MemoryMax={MEMORY_MIB}M",
        f"TasksMax={TASKS}",
        f"LimitNOFILE={DESCRIPTORS}",
        "UMask=0077",
        *CONFINED,
    )

"""The files of the door on a node. Its program is the judge's, which comes with the wrappers."""

from __future__ import annotations

from pyinfra_gvisor.base.node_files import NodeFile, unit_text
from pyinfra_gvisor.base.scripts import PATH, part, program
from pyinfra_gvisor.daemon_json.shared_lists import DOOR_CHECK, PLUGIN
from pyinfra_gvisor.parts.judge.files import CONFINED, MEMORY_MIB, START_S, TASKS, UNITS

NAME = "pyinfra-gvisor-door"
PLUGINS = "/run/docker/plugins"  # where dockerd looks for a plugin by its name
ADDRESS = f"{PLUGINS}/{PLUGIN}.sock"
DIRECTORY = "/opt/gvisor/door"
SOCKET = f"{UNITS}/{NAME}.socket"
SERVICE = f"{UNITS}/{NAME}.service"
SERVE = f"{DIRECTORY}/serve"
STAND_IN = f"{DIRECTORY}/stand_in.pl"
ASK = f"{DIRECTORY}/ask.pl"

WATCHDOG_S = 10


def door_files(judge: str, unit: str) -> tuple[NodeFile, ...]:
    """
    Return the files.

    + judge: path of the judge's program; ``unit``: dockerd's unit
    """
    given = {"judge": judge, "stand_in": STAND_IN, "ask": ASK, "address": ADDRESS, "door": NAME}
    return (
        NodeFile(ASK, "644", program("daemon_json/ask_plugins.pl")),
        NodeFile(STAND_IN, "644", program("parts/door/stand_in.pl")),
        NodeFile(SERVE, "755", f"#!/bin/sh\n{part('parts/door/serve', **given)}"),
        NodeFile(DOOR_CHECK, "755", f"#!/bin/sh\n{part('parts/door/check', **given)}"),
        NodeFile(SERVICE, "644", service_text()),
        NodeFile(SOCKET, "644", socket_text(unit)),
        NodeFile(drop_in(unit), "644", drop_in_text()),
    )


def drop_in(unit: str) -> str:
    """Return the path of the addition to dockerd's unit."""
    return f"{UNITS}/{unit}.d/{NAME}.conf"


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


def socket_text(unit: str) -> str:
    """Return the unit that holds the socket, so that a restart of the program loses no question."""
    return unit_text(
        "[Unit]",
        "Description=Socket at which dockerd asks pyinfra-gvisor what it may do",
        f"Before={unit}",
        f"Wants={NAME}.service",
        "StartLimitIntervalSec=0",
        "[Socket]",
        f"ListenStream={ADDRESS}",
        "SocketMode=0600",
        "DirectoryMode=0755",
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

    It sees /proc and every mount as dockerd does. systemd replaces a program that hangs.
    """
    return unit_text(
        "[Unit]",
        "Description=Door of pyinfra-gvisor, which tells dockerd what it may do",
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
        "OOMPolicy=continue",
        f"MemoryMax={MEMORY_MIB}M",
        f"TasksMax={TASKS}",
        "UMask=0077",
        *CONFINED,
    )

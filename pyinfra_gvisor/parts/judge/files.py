"""The units of the resident judge on a node. Its program comes with the wrappers."""

from __future__ import annotations

from pyinfra_gvisor.base.node_files import NodeFile, unit_text
from pyinfra_gvisor.base.scripts import PATH
from pyinfra_gvisor.dispatch.programs import JUDGE_SOCKET

NAME = "pyinfra-gvisor-judge"
UNITS = "/etc/systemd/system"
SOCKET = f"{UNITS}/{NAME}.socket"
SERVICE = f"{UNITS}/{NAME}.service"

START_S = 30
WATCHDOG_S = 10
# Each question is a process of its own: a hundred containers may start at once after a boot.
TASKS = 512
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


def judge_files(program: str) -> tuple[NodeFile, ...]:
    """
    Return both units.

    + program: path of the judge's program
    """
    return (
        NodeFile(SERVICE, "644", service_text(program)),
        NodeFile(SOCKET, "644", socket_text()),
    )


def socket_text() -> str:
    """
    Return the unit that holds the socket, so that a restart of the program loses no question.

    It starts before dockerd starts containers, and with it the program: systemd.socket(5).
    """
    return unit_text(
        "[Unit]",
        "Description=Socket of pyinfra-gvisor's judge, which decides where containers run",
        "Before=docker.service",
        f"Wants={NAME}.service",
        "[Socket]",
        f"ListenStream={JUDGE_SOCKET}",
        "SocketMode=0600",
        "DirectoryMode=0700",
        "Accept=no",
        "Backlog=1024",
        "TriggerLimitIntervalSec=0",
        "RemoveOnStop=yes",
        "[Install]",
        "WantedBy=sockets.target",
    )


def service_text(program: str) -> str:
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
        f"ExecStart=/usr/bin/python3 -I -S -B -X utf8 {program} serve",
        f"Environment=PATH={PATH}",
        f"TimeoutStartSec={START_S}",
        "TimeoutStopSec=5",
        f"WatchdogSec={WATCHDOG_S}",
        "WatchdogSignal=SIGKILL",
        "Restart=always",
        "RestartSec=1s",  # without Python it never starts: few lines in the journal
        "KillMode=control-group",
        "SyslogIdentifier=pyinfra-gvisor",
        "OOMScoreAdjust=-1000",
        "OOMPolicy=continue",  # the kernel ends a question, not the judge
        f"MemoryMax={MEMORY_MIB}M",
        f"TasksMax={TASKS}",
        "UMask=0077",
        *CONFINED,
    )

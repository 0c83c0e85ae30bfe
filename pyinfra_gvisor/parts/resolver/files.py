"""The resolver's files on a node: its program and its systemd units."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from ipaddress import ip_address

from pyinfra_gvisor.base.node_files import NodeFile, unit_text
from pyinfra_gvisor.parts.resolver import forwarder
from pyinfra_gvisor.runtimes.wrappers import ADDRESS, ADDRESS6

DIRECTORY = "/opt/gvisor/resolver"
NAME = "pyinfra-gvisor-resolver"
SOCKET = f"/etc/systemd/system/{NAME}.socket"
SERVICE = f"/etc/systemd/system/{NAME}.service"
METRICS = "pyinfra_gvisor_resolver.prom"

MEMORY_MIB = 64
START_S = 30
_CONFINED = (
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET",
    "RestrictNamespaces=net",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service setns",
)
_PACKAGE = ("pyinfra_gvisor", "parts", "resolver", "forwarder")
_MAIN = f"""\
from {".".join(_PACKAGE)}.main import main

raise SystemExit(main())
"""


def kept_files(named: Sequence[str], textfile_dir: str | None) -> tuple[NodeFile, ...]:
    """
    Return all files of the resolver.

    + named: the resolvers that ``dns`` of dockerd names
    + textfile_dir: directory for its Prometheus metrics; None writes no metrics
    """
    return (
        *program_files(),
        NodeFile(SERVICE, "644", service_text(named, textfile_dir)),
        NodeFile(SOCKET, "644", socket_text()),
    )


def program_files() -> tuple[NodeFile, ...]:
    """Return the program: a directory that Python runs, with modules of the same names as here."""
    packages = ("/".join(_PACKAGE[: at + 1]) for at in range(len(_PACKAGE)))
    modules = sorted(
        (item.name, item.read_text(encoding="utf-8"))
        for item in files(forwarder).iterdir()
        if item.name.endswith(".py") and item.name != "__init__.py"
    )
    return (
        NodeFile(f"{DIRECTORY}/__main__.py", "644", _MAIN),
        *(NodeFile(f"{DIRECTORY}/{path}/__init__.py", "644", "") for path in packages),
        *(NodeFile(f"{DIRECTORY}/{'/'.join(_PACKAGE)}/{name}", "644", text)
          for name, text in modules),
    )  # fmt: skip


def socket_text() -> str:
    """
    Return the unit that holds the sockets, so that a restart of the program loses no query.

    It starts before dockerd starts containers, and keeps running when dockerd or the program stops:
    systemd.socket(5).
    """
    addresses = (ADDRESS, f"[{ADDRESS6}]")
    return unit_text(
        "[Unit]",
        "Description=Sockets of pyinfra-gvisor's DNS resolver for sandboxes",
        "Before=docker.service",
        "[Socket]",
        f"ExecStartPre=/usr/sbin/ip address replace {ADDRESS}/32 dev lo",
        # It may fail: on a node without IPv6, no sandbox uses this address.
        f"ExecStartPre=-/usr/sbin/ip -6 address replace {ADDRESS6}/128 dev lo nodad",
        *(f"ListenDatagram={address}:53" for address in addresses),
        *(f"ListenStream={address}:53" for address in addresses),
        "FreeBind=yes",
        "ReceiveBuffer=4M",
        "Backlog=1024",
        "TriggerLimitIntervalSec=0",
        # The addresses stay if this unit stops. Otherwise queries would leave the node, where
        # anybody could answer them.
        "[Install]",
        "WantedBy=sockets.target",
    )


def service_text(named: Sequence[str], textfile_dir: str | None) -> str:
    """
    Return the unit of the program: systemd.exec(5).

    It keeps two capabilities: CAP_SYS_ADMIN to enter containers' network namespaces (setns(2)), and
    CAP_NET_RAW to send ARP packets (packet(7)).
    """
    options = [f"--resolver={address}" for address in named if _is_plain_ip(address)]
    if textfile_dir:
        options.append(f"--textfile={textfile_dir.rstrip('/')}/{METRICS}")
    return unit_text(
        "[Unit]",
        "Description=DNS resolver of pyinfra-gvisor for sandboxes with gVisor's network stack",
        f"Requires={NAME}.socket",
        f"After={NAME}.socket",
        "StartLimitIntervalSec=0",
        "[Service]",
        "Type=notify",  # systemctl start waits until it answers, and fails if it does not
        f"TimeoutStartSec={START_S}",
        " ".join(("ExecStart=/usr/bin/python3 -I -B", DIRECTORY, *options)),
        "Restart=always",
        "RestartSec=500ms",
        f"SyslogIdentifier={NAME}",
        "OOMScoreAdjust=-500",
        f"MemoryMax={MEMORY_MIB}M",
        "TasksMax=16",
        "UMask=0022",
        "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_RAW",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        *([f"ReadWritePaths=-{textfile_dir}"] if textfile_dir else []),
        *_CONFINED,
    )


def _is_plain_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # A zone may contain any text, and containers have other zones.

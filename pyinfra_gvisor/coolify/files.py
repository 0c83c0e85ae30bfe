"""The files on Coolify's control host that make it honour ``--runtime`` after every upgrade."""

from __future__ import annotations

from importlib.resources import files

from pyinfra_gvisor.base.node_files import NodeFile, unit_text
from pyinfra_gvisor.base.scripts import part, script

CONTAINER = "coolify"  # container_name in Coolify's own docker-compose.yml
SOURCE_DIR = "/data/coolify/source"  # scripts/upgrade.sh of coollabsio/coolify
COMPOSE = f"{SOURCE_DIR}/docker-compose.custom.yml"

MOUNTED_DIR = f"{SOURCE_DIR}/pyinfra-gvisor"
ENTRY = f"{MOUNTED_DIR}/entry.sh"
MOUNTED_PATCHER = f"{MOUNTED_DIR}/patch.php"
# In the container. The entry point of serversideup/php sources the scripts in /etc/entrypoint.d.
ENTRY_TARGET = "/etc/entrypoint.d/50-pyinfra-gvisor.sh"
PATCHER_TARGET = "/opt/pyinfra-gvisor/patch.php"
MOUNTS = (f"{ENTRY}:{ENTRY_TARGET}:ro", f"{MOUNTED_PATCHER}:{PATCHER_TARGET}:ro")

# Root runs these, so they are not in /data/coolify, which belongs to the container's own user.
KEEP_DIR = "/opt/gvisor/coolify"
KEEPER = f"{KEEP_DIR}/keep.sh"
PATCHER = f"{KEEP_DIR}/patch.php"
NAME = "pyinfra-gvisor-coolify"
SERVICE = f"/etc/systemd/system/{NAME}.service"
TIMER = f"/etc/systemd/system/{NAME}.timer"

REDEPLOYS = "/var/lib/pyinfra-gvisor/coolify-redeploys"  # uuids of apps to redeploy, one per line

INTERVAL_S = 300
TIMEOUT_S = 300  # of one check: two docker exec on a busy host


def patcher_text() -> str:
    """Return the program that patches Coolify's source, and removes the patch."""
    return files("pyinfra_gvisor.coolify").joinpath("patch.php").read_text(encoding="utf-8")


def entry_text() -> str:
    """Return the script that the container runs before it starts anything else."""
    return part("coolify/entry")


def idle_entry_text() -> str:
    """Return an entry script that does nothing: without a mounted file Coolify would not start."""
    return "# pyinfra-gvisor was removed. The next upgrade of Coolify no longer mounts this file.\n"


def kept_files() -> tuple[NodeFile, ...]:
    """Return the timer that restores a lost patch, and the programs that root runs for it."""
    return (
        NodeFile(PATCHER, "644", patcher_text()),
        NodeFile(KEEPER, "644", script("coolify/container", "coolify/keep", patcher=PATCHER)),
        NodeFile(SERVICE, "644", service_text()),
        NodeFile(TIMER, "644", timer_text()),
    )


def mounted_files() -> tuple[NodeFile, ...]:
    """Return the files that are mounted into the container when it is recreated."""
    return (
        NodeFile(MOUNTED_PATCHER, "644", patcher_text()),
        NodeFile(ENTRY, "644", entry_text()),
    )


def paths() -> tuple[str, ...]:
    """Return the paths of all these files on the control host."""
    return tuple(item.path for item in (*mounted_files(), *kept_files()))


def service_text() -> str:
    """Return the unit that checks once: systemd.service(5), systemd.exec(5)."""
    return unit_text(
        "[Unit]",
        "Description=Check that Coolify honours --runtime, also after an upgrade",
        "After=docker.service",
        "[Service]",
        "Type=oneshot",
        f"ExecStart=/bin/sh {KEEPER}",
        f"SyslogIdentifier={NAME}",
        f"TimeoutStartSec={TIMEOUT_S}",
        "Nice=10",
        "UMask=0022",
        "RuntimeDirectory=pyinfra-gvisor",
        "RuntimeDirectoryMode=0700",
        "RuntimeDirectoryPreserve=yes",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectControlGroups=yes",
        "PrivateDevices=yes",
        "PrivateNetwork=yes",
        "RestrictAddressFamilies=AF_UNIX",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "SystemCallArchitectures=native",
    )


def timer_text() -> str:
    """Return the timer: a check when it starts, then every ``INTERVAL_S``: systemd.timer(5)."""
    return unit_text(
        "[Unit]",
        f"Description=Check every {INTERVAL_S} s that Coolify honours --runtime",
        "[Timer]",
        "OnActiveSec=0",
        f"OnUnitActiveSec={INTERVAL_S}",
        "AccuracySec=1s",
        "[Install]",
        "WantedBy=timers.target",
    )

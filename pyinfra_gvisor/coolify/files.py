"""What lies on Coolify's control host so that it keeps honouring ``--runtime``."""

from __future__ import annotations

from importlib.resources import files

from pyinfra_gvisor import scripts
from pyinfra_gvisor.node_files import NodeFile, unit_text
from pyinfra_gvisor.scripts import script

CONTAINER = "coolify"  # container_name in Coolify's own docker-compose.yml
SOURCE_DIR = "/data/coolify/source"  # scripts/upgrade.sh of coollabsio/coolify
COMPOSE = f"{SOURCE_DIR}/docker-compose.custom.yml"

MOUNTED_DIR = f"{SOURCE_DIR}/pyinfra-gvisor"
ENTRY = f"{MOUNTED_DIR}/entry.sh"
MOUNTED_PATCHER = f"{MOUNTED_DIR}/patch.php"
# In the container. /etc/entrypoint.d is serversideup/php's: its entry point sources what is there.
ENTRY_TARGET = "/etc/entrypoint.d/50-pyinfra-gvisor.sh"
PATCHER_TARGET = "/opt/pyinfra-gvisor/patch.php"
MOUNTS = (f"{ENTRY}:{ENTRY_TARGET}:ro", f"{MOUNTED_PATCHER}:{PATCHER_TARGET}:ro")

# Root runs these. /data/coolify belongs to the container's own user, by Coolify's installer.
KEEP_DIR = "/opt/gvisor/coolify"
KEEPER = f"{KEEP_DIR}/keep.sh"
PATCHER = f"{KEEP_DIR}/patch.php"
NAME = "pyinfra-gvisor-coolify"
SERVICE = f"/etc/systemd/system/{NAME}.service"
TIMER = f"/etc/systemd/system/{NAME}.timer"

OWED = "/var/lib/pyinfra-gvisor/coolify-redeploys"  # apps that are to be deployed anew, a line each

INTERVAL_S = 300
TIMEOUT_S = 300  # of one look: docker exec on a busy host, twice


def patcher_text() -> str:
    """The program that puts the option into Coolify's source, and takes it out again."""
    return files(scripts).joinpath("coolify_patch.php").read_text(encoding="utf-8")


def entry_text() -> str:
    """What the container does before it starts anything else."""
    return script("coolify_entry")


def idle_entry_text() -> str:
    """An entry script that does nothing: a mounted file that were gone would keep Coolify down."""
    return "# Of pyinfra-gvisor, which is gone; no longer mounted once Coolify is upgraded.\n"


def kept_files() -> tuple[NodeFile, ...]:
    """The second line: a timer that looks for a patch that got lost, and root's own programs."""
    return (
        NodeFile(PATCHER, "644", patcher_text()),
        NodeFile(KEEPER, "644", script("coolify_container", "coolify_keep", patcher=PATCHER)),
        NodeFile(SERVICE, "644", service_text()),
        NodeFile(TIMER, "644", timer_text()),
    )


def mounted_files() -> tuple[NodeFile, ...]:
    """What is mounted into the container from its next creation on."""
    return (
        NodeFile(MOUNTED_PATCHER, "644", patcher_text()),
        NodeFile(ENTRY, "644", entry_text()),
    )


def paths() -> tuple[str, ...]:
    """Where all of that lies on the control host."""
    return tuple(item.path for item in (*mounted_files(), *kept_files()))


def service_text() -> str:
    """The unit that looks once: systemd.service(5), systemd.exec(5)."""
    return unit_text(
        "[Unit]",
        "Description=See that Coolify still honours --runtime, also behind an upgrade",
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
    """The unit that has it look, at once when it is started and then again: systemd.timer(5)."""
    return unit_text(
        "[Unit]",
        f"Description=See every {INTERVAL_S} s that Coolify still honours --runtime",
        "[Timer]",
        "OnActiveSec=0",
        f"OnUnitActiveSec={INTERVAL_S}",
        "AccuracySec=1s",
        "[Install]",
        "WantedBy=timers.target",
    )

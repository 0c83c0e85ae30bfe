"""Run ``deploys/coolify.py`` on the stand-in for a control host, and read that host."""

from typing import Any

from tests.coolify.host import SOURCE, VERSIONS, ControlHost
from tests.node.running import Fleet, Outcome

DEPLOY = "deploys/coolify.py"
NAME = "control"
COMPOSE = f"{SOURCE}/docker-compose.custom.yml"
UNIT = "pyinfra-gvisor-coolify"
CURRENT = next(iter(VERSIONS))
NO_GVISOR = {"gvisor_runtimes": {}}  # as inventories/group_data/coolify.py has it

_OURS = f"""
for path in {SOURCE}/pyinfra-gvisor /opt/gvisor/coolify /etc/systemd/system/{UNIT}.service \\
    /etc/systemd/system/{UNIT}.timer /etc/systemd/system/timers.target.wants/{UNIT}.timer; do
    if [ -e "$path" ] || [ -L "$path" ]; then echo "$path"; fi
done
docker exec coolify find /var/www/html -name '*pyinfra-gvisor*'
"""


def run(fleet: Fleet, *flags: str, **settings: Any) -> Outcome:
    """Run the deploy on the control host; ``settings`` are without their prefix."""
    given = {f"gvisor_{key}": value for key, value in settings.items()}
    return fleet.run(
        NAME,
        deploy=DEPLOY,
        flags=flags or ("-y",),
        data={**NO_GVISOR, **given},
        groups={"coolify": [NAME]},
    )


def have(fleet: Fleet, **settings: Any) -> Outcome:
    """Run the deploy, which must succeed."""
    outcome = run(fleet, **settings)
    assert outcome.code == 0, outcome.text
    return outcome


def changes_nothing(fleet: Fleet, **settings: Any) -> bool:
    """Return True if another run has nothing to do and says so."""
    outcome = have(fleet, **settings)
    return outcome.stderr.count("No changes") == 2


def left(host: ControlHost) -> list[str]:
    """Return our files on the host and in the container."""
    return host.node.exec("sh", "-c", _OURS).stdout.splitlines()


def custom(host: ControlHost) -> str | None:
    """Return docker-compose.custom.yml; None if there is none."""
    ran = host.node.exec("cat", COMPOSE)
    return ran.stdout if ran.code == 0 else None


def look_now(host: ControlHost) -> int:
    """Run the timer's service once; return its exit code."""
    return host.node.exec("systemctl", "start", f"{UNIT}.service").code


def journal(host: ControlHost) -> list[str]:
    """Return the journal of the timer's service."""
    command = ("journalctl", "-q", "--no-pager", "-o", "cat", "-t", UNIT)
    return host.node.exec(*command).stdout.splitlines()


def as_shipped(host: ControlHost, version: str = CURRENT) -> ControlHost:
    """Reset to a control host of a version, without anything of ours."""
    host.node.exec("systemctl", "disable", "--now", f"{UNIT}.timer")
    host.node.exec("rm", "-f", COMPOSE)
    upgraded = host.upgrade(version)  # first: a container whose mounts are gone does not start
    assert upgraded.code == 0, upgraded.stderr
    host.node.exec("rm", "-rf", f"{SOURCE}/pyinfra-gvisor", "/opt/gvisor/coolify")
    units = f"rm -f /etc/systemd/system/{UNIT}.*; systemctl daemon-reload"
    host.node.exec("sh", "-c", f"{units}; journalctl -q --rotate --vacuum-time=1s")
    return host

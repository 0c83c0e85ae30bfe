"""A node where a run that gives or takes the place of runc is killed before one of its steps."""

from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.dispatch.programs import BUILDS
from pyinfra_gvisor.node import parse_node, state_script
from pyinfra_gvisor.parts.divert.files import CHANGING
from pyinfra_gvisor.parts.divert.plan import declared_divert, plan_divert
from pyinfra_gvisor.settings import load_settings
from tests.node.audits import sh
from tests.node.planted import ASIDE, plant, uproot
from tests.node.running import CURRENT
from tools.lab import LabNode

STEPS = ("ln", "cp", "mv", "rm", "chmod", "mkdir", "rmdir", "umount", "dpkg-divert", "systemctl")
# On a file system that a power cut empties.
AT, CALLS = "/run/stop-at", "/run/calls"
# Whoever calls the program with this number stops before it, with all its processes.
STOPPER = f"""#!/bin/sh
calls=$(($(cat {CALLS} 2> /dev/null || echo 0) + 1))
echo $calls > {CALLS}
if [ "$calls" = "$(cat {AT} 2> /dev/null)" ]; then
    /usr/bin/kill -9 -- "-$(ps -o pgid= "$$" | tr -d ' ')"
fi
exec "{ASIDE}/${{0##*/}}" "$@"
"""
# Arguments: that number, or 0, and a command. Runtimes use these programs too, when it has ended.
RUN = f"""
{ASIDE}/rm -f {CALLS}
echo "$1" > {AT}
shift
[ $# = 0 ] || setsid --wait "$@"
code=$?
{ASIDE}/rm -f {AT}
exit $code
"""


@dataclass(frozen=True)
class Steps:
    """The node, and what is declared for it."""

    node: LabNode
    declared: dict[str, Any]

    def prepare(self) -> None:
        """Have programs that count."""
        plant(self.node, STOPPER, *STEPS)

    def clean(self) -> None:
        """Remove these programs."""
        uproot(self.node, *STEPS)
        sh(self.node, f"rm -f {AT} {CALLS}")

    def command(self, *, wanted: bool) -> tuple[str, ...]:
        """Return what a deploy would run now; nothing if nothing is to be done."""
        settings, problems = load_settings({**CURRENT, **self.declared})
        assert settings is not None, problems
        node = parse_node(sh(self.node, state_script()).rstrip("\n").split("\n"))
        plan = plan_divert(node, declared_divert(settings, node) if wanted else None)
        if plan.action not in ("apply", "remove"):
            return ()
        does = "apply" if plan.action == "apply" else "remove"
        given = {"operation": "divert.runc", "host": self.node.name, **CHANGING}
        given |= {"builds": BUILDS, **plan.settings}
        text = script("base/put_files", "parts/divert/places", f"parts/divert/{does}", **given)
        return ("sh", "-c", text, "sh", *(word for item in plan.files for word in item.words))

    def run(self, command: tuple[str, ...], *, stop_at: int = 0) -> bool:
        """Run it; ``stop_at``: the step before which it stops. Return True if it has ended."""
        ran = self.node.exec("sh", "-c", RUN, "sh", str(stop_at), *command)
        assert ran.code == 0 or stop_at, ran.stderr
        return ran.code == 0

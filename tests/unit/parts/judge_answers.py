"""A node on which the judge is resident, as the node tells it."""

from pyinfra_gvisor.base.node_files import ROOT
from pyinfra_gvisor.parts.judge.files import Asking, judge_files
from pyinfra_gvisor.parts.judge.plan import declared_program
from pyinfra_gvisor.runtimes.wrappers import judge
from pyinfra_gvisor.settings import Settings

PROGRAM = judge(Settings().release).path
DOCKER = Asking("docker.service", "/var/lib/docker")


def told(
    program: str = PROGRAM,
    *,
    asked: bool = True,
    without: str = "",
    other: str = "",
    enabled: bool = True,
    answers: bool = True,
    links: str = "safe",
    **states: str,
) -> list[str]:
    """
    The lines of a node that has all of it.

    + asked: whether dockerd asks it
    + without: the path of a file that is missing; other: of one that was changed
    + states: of units by their kind; an empty one is not told
    """
    known = {"socket": "active", "service": "active", **states}
    lines = [f"{kind} {state}" for kind, state in known.items() if state]
    for item in judge_files(program, DOCKER if asked else None):
        if item.path != without:
            digest = "0" * 64 if item.path == other else item.sha256
            lines += [f"sum {digest} {item.path}", f"stat {item.mode}:{ROOT} {item.path}"]
    lines += ["enabled yes"] * enabled + ["answers yes"] * (asked and answers)
    lines += [f"links {links}"] * asked
    return [f"judge {line}" for line in lines]


def declared(settings: Settings) -> list[str]:
    """The lines of a node that has of it what is declared."""
    program = declared_program(settings)
    return [] if program is None else told(program, asked=settings.has_door)

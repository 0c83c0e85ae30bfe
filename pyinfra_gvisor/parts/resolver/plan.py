"""Plan what has to change so that the resolver is on a node as declared, or removed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.node.python import Python
from pyinfra_gvisor.parts.resolver.files import kept_files
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.runtimes.wrappers import ADDRESS

SETNS_SINCE = (3, 12)  # https://docs.python.org/3/library/os.html#os.setns


def plan_resolver(
    found: ResolverState,
    wanted: bool,
    *,
    used_by: Sequence[str] = (),
    named: Sequence[str] = (),
    textfile_dir: str | None = None,
) -> PartPlan:
    """
    Return the changes after which the resolver is as declared, or removed.

    + wanted: whether it is declared
    + used_by: the containers that use it; while there are any, it stays and runs
    + named: the resolvers that ``dns`` of dockerd names
    + textfile_dir: directory for its Prometheus metrics; None writes no metrics

    Raises ``Problem`` for a directory that cannot be written into a systemd unit.
    """
    if textfile_dir and not re.fullmatch(r"/[A-Za-z0-9._/-]+", textfile_dir):
        todo = "write an absolute path of letters, digits and ._-"
        what = "the textfile directory cannot be written into a systemd unit"
        raise Problem(what, got=textfile_dir, todo=todo)
    if wanted:
        return _installed(found, kept_files(named, textfile_dir))
    if not found.there:
        return PartPlan()
    if not used_by:
        return PartPlan("remove", ("stop the resolver", f"remove {ADDRESS} from lo"))
    stays = f"the resolver stays, because these containers use it: {', '.join(used_by)}"
    if found.answers:
        return PartPlan("keep", (stays,))
    plan = _installed(found, kept_files(named, textfile_dir))
    return replace(plan, lines=(stays, *plan.lines))


def _installed(found: ResolverState, files: tuple[NodeFile, ...]) -> PartPlan:
    ours = {item.path for item in files}
    other = [item.path for item in files if not item.matches(found.files.get(item.path))]
    lines = [f"write {path}" for path in other]
    lines += [f"remove {path}" for path in found.strays if path not in ours]
    if not lines and found.answers and found.enabled:
        return PartPlan()
    lines.append(f"answer DNS queries of sandboxes at {ADDRESS} port 53, as Docker does")
    return PartPlan("apply", tuple(lines), files=files)


def lacks(found: ResolverState, python: Python, *, init: str) -> Problem | None:
    """Return why the resolver cannot run on this node; None if it can."""
    what = 'runtimes with "dns": "docker" need'
    if init != "systemd":
        todo = 'remove "dns" from gvisor_runtimes for this node'
        return Problem(f"{what} systemd on the node", got=init, todo=todo)
    modules = ("asyncio", *(("ctypes",) if python.numbers < SETNS_SINCE else ()))
    if problem := python.lacks(what, *modules):
        return problem
    if not found.ip:
        return Problem(f"{what} ip", got="none", todo="apt-get install iproute2")
    if not found.shared:
        todo = "run `mount --make-rshared /` at every boot"
        return Problem(f"{what} `/` as a shared mount", got="a private mount", todo=todo)
    return None

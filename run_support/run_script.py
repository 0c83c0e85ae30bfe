"""The command that runs scripts on a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.run_support.changes import recorded


def run_script(
    operation: str,
    *names: str,
    change: str = "",
    files: Iterable[NodeFile] = (),
    **variables: str | int,
) -> StringCommand:
    """
    Return the command that writes files on this host and runs scripts after that.

    + operation: the name of the operation, which error messages begin with
    + names: the scripts to run after ``put_files``
    + change: what the node's list of changes says of it; empty for a step that changes nothing more
    + files: the files to write
    + variables: the variables of the scripts
    """
    first = ("base/put_files", "parts/keeper/waits")
    text = script(*first, *names, operation=operation, host=host.name, **variables)
    text = recorded(f"{operation}: {change}", text) if change else text
    words = [word for item in files for word in item.words]
    return StringCommand("sh", "-c", QuoteString(text), "sh", *map(QuoteString, words))


def timer_command(operation: str, timer: Mapping[str, Any], plan: PartPlan) -> StringCommand:
    """
    Return the command that installs a part that is a systemd timer, or removes it.

    + timer: what ``timer_variables`` returns for the part
    """
    does = {"apply": "install"}.get(plan.action, "remove")
    names = ("parts_common/timer_stop", f"parts_common/timer_{does}")
    given = {**timer, **plan.settings}
    return run_script(operation, *names, change=plan.action, files=plan.files, **given)

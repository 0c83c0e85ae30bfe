"""
The inventory groups that decide what a host is used for.

An inventory may have other groups as well, such as ``canary`` or one for each region.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.spelling import did_you_mean, near

RUN = "run"  # nodes that run users' containers
BUILD = "build"  # nodes that build images and run nobody's app
COOLIFY = "coolify"  # Coolify's control host
KNOWN = (RUN, BUILD, COOLIFY)
MISSPELT = 0.8  # difflib's ratio: "cooolify" and "runs" are typos, "trunk" and "run_eu" are not


def refuse_groups(groups: Collection[str], *, declared: bool) -> None:
    """
    Raise ``Problem`` if the groups of a host do not tell what the host is used for.

    + groups: the host's groups in the inventory; empty for a host given on the command line
    + declared: whether any ``gvisor_`` key is set for the host
    """
    for group in groups:
        meant = [name for name in near(group, KNOWN, cutoff=MISSPELT) if name not in groups]
        is_part = any(re.fullmatch(rf"{name}[-_]?\d+", group) for name in KNOWN)  # run1, run-2
        if group not in KNOWN and meant and not is_part:
            todo = f"{did_you_mean(meant)} If not, rename the group"
            raise Problem("the host is in an unknown group", got=group, todo=todo)
    if groups and not declared and not set(KNOWN) & set(groups):
        known = f"{', '.join(KNOWN[:-1])} and {KNOWN[-1]}"
        raise Problem(
            f"the host is in none of the groups {known}, and no gvisor_ key is set for it",
            got=", ".join(groups),
            todo="add the host to one of these groups, or set a gvisor_ key for its own group in "
            "group_data/",
        )

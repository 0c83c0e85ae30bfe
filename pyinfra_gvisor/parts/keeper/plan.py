"""Plan what has to change so that the keeper is on a node as declared, or removed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.keeper.files import (
    INTERVAL_S,
    METRICS,
    keeper_files,
    policy_text,
    program_text,
)
from pyinfra_gvisor.parts.keeper.isolation import command_text, variables
from pyinfra_gvisor.parts.keeper.runtimes import Restored, runtime_keeps
from pyinfra_gvisor.parts.keeper.state import KeeperState
from pyinfra_gvisor.parts.keeping import Keep
from pyinfra_gvisor.parts.part import Part
from pyinfra_gvisor.parts_common.members import members
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.settings import Settings

WITHOUT_SYSTEMD = "this node does not run systemd, so only an audit checks these protections"


def declared_keeps(settings: Settings, restored: Restored | None = None) -> dict[str, Keep]:
    """
    Return what the keeper of a host checks, by name; empty if the host needs no keeper.

    + restored: what a rollback has restored; None if everything is as the settings declare

    It checks runtimes and release too, but these alone do not bring it.
    """
    keeps: Mapping[str, Keep] = members("keep", "KEEP")
    names = restored.parts if restored else [*keeps]
    declared = {name: keeps[name] for name in names if _part(name).declared(settings)}
    default = restored.default if restored else settings.default != "off"
    return {**declared, **runtime_keeps(settings, restored)} if declared or default else {}


def kept_keys() -> set[str]:
    """Return the settings, without the prefix, of the parts that the keeper checks."""
    return {key for name in members("keep", "KEEP") if (key := _part(name).key)}


def parts_there(node: Node, settings: Settings) -> tuple[str, ...]:
    """Return the declared parts that the keeper checks and that are on the node."""
    parts = (_part(name) for name in members("keep", "KEEP"))
    return tuple(part.name for part in parts if part.declared(settings) and part.there(node))


def _part(name: str) -> Part:
    part: Part = import_module(f"pyinfra_gvisor.parts.{name}.part").PART
    return part


def declared_files(
    node: Node, settings: Settings, restored: Restored | None = None
) -> tuple[NodeFile, ...]:
    """Return the declared files of the keeper on a node."""
    keeps = declared_keeps(settings, restored)
    scripts = [script for keep in keeps.values() for script in keep.scripts]
    given = dict(pair for keep in keeps.values() for pair in keep.given(node, settings).items())
    files = {name: keep.files(node, settings) for name, keep in keeps.items()}
    textfile = textfile_of(settings)
    program = program_text([*keeps], scripts, {**given, **variables(settings, restored)})
    return keeper_files(program, command_text(), policy_text(files, textfile))


def textfile_of(settings: Settings) -> str | None:
    """Return the path of the metrics file; None if no metrics are written."""
    directory = settings.textfile_dir
    return f"{directory.rstrip('/')}/{METRICS}" if directory else None


def plan_keeper(
    node: Node, settings: Settings | None, restored: Restored | None = None
) -> PartPlan:
    """
    Return the changes after which the keeper is as declared, or removed.

    + settings: the host's settings; None removes it
    + restored: what a rollback has restored; None if everything is as the settings declare

    On a node without systemd the plan only warns.
    """
    found = node.part(KeeperState)
    keeps = {} if settings is None else declared_keeps(settings, restored)
    if settings is None or not keeps:
        gone = tuple(f"remove {path}" for path in found.files)
        return PartPlan("remove", ("stop the keeper", *gone)) if found.there else PartPlan()
    if node.init != "systemd":
        return PartPlan(warnings=(f"{WITHOUT_SYSTEMD}: {', '.join(keeps)}",))
    files = declared_files(node, settings, restored)
    other = found.other(files)
    if not other and found.runs:
        return PartPlan()
    start = f"start the keeper, which checks every {INTERVAL_S} s and restores: "
    return PartPlan(
        "apply",
        (*(f"write {path}" for path in other), f"{start}{', '.join(keeps)}"),
        files=files,
        settings={"textfile": textfile_of(settings) or ""},
    )

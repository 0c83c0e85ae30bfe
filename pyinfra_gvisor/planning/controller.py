"""Check, before any change, the controller's own files: release archives and report directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.releases import ARCHES
from pyinfra_gvisor.releases.local import planned
from pyinfra_gvisor.releases.pins import is_there
from pyinfra_gvisor.report.names import HOSTS_DIR
from pyinfra_gvisor.settings import Settings


def release_problem(node: Node, settings: Settings) -> Problem | None:
    """Return why the controller cannot provide the declared release; None if it can."""
    archive, release = settings.archive, settings.release
    if not settings.runtimes or node.arch not in ARCHES or is_there(node, release, archive):
        return None
    if archive.source != "debian" and not archive.checksum(release, node.arch):
        return None  # found by the rule on checksums
    try:
        planned(archive, release, node.arch)
    except Problem as problem:
        return problem
    return None


def source_problem(settings: Settings) -> Problem | None:
    """Return why no node can have its release from the controller; None if one can, or need not."""
    archive, release = settings.archive, settings.release
    problems = []
    for arch in ARCHES if settings.runtimes and archive.source.startswith("/") else ():
        if archive.checksum(release, arch):
            try:
                planned(archive, release, arch)
            except Problem as problem:
                problems.append(problem)
            else:
                return None
    return problems[0] if problems else None


def report_problem(directory: str | None) -> Problem | None:
    """Return why reports cannot be written to ``gvisor_report_dir``; None if they can."""
    if directory is None:
        return None
    for path in (Path(directory), Path(directory) / HOSTS_DIR):
        there = next((item for item in (path, *path.absolute().parents) if item.exists()), path)
        if not there.is_dir():
            why = "is not a directory"
        elif not os.access(there, os.W_OK | os.X_OK):
            why = "is not writable"
        else:
            continue
        todo = "set gvisor_report_dir to a directory that you may write to"
        return Problem(f"{there} on the controller {why}", todo=todo)
    return None


def controller_refusals(node: Node, settings: Settings) -> Iterator[tuple[str, Problem]]:
    """Yield the reasons why this controller cannot deploy to the node, each with its setting."""
    if problem := release_problem(node, settings):
        yield "gvisor_source", problem
    if problem := report_problem(settings.report_dir):
        yield "gvisor_report_dir", problem

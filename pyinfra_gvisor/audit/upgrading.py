"""The release that a node is proven on while group data declare another one."""

from __future__ import annotations

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.releases.pins import contradicts
from pyinfra_gvisor.runtimes.wrappers import missing, wrappers
from pyinfra_gvisor.sandbox.verdict import RuntimeEntry
from pyinfra_gvisor.settings import Settings


def upgrading_from(node: Node, settings: Settings) -> str | None:
    """
    Return the release in use, if another one is declared and nothing else has changed.

    The release counts as in use if all of this holds: the last proof was of it and did not fail;
    its files are as installed, and as pinned; dockerd starts its wrappers for every declared
    runtime; and the node has the fingerprint of the proof. Otherwise return None: the node is then
    held against the declared release.
    """
    record = node.state.get("proof")
    if node.info is None or not settings.runtimes or not isinstance(record, dict):
        return None
    release = record.get("release")
    if not isinstance(release, str) or release == settings.release or record.get("failed"):
        return None
    if release not in node.releases or contradicts(node, release):
        return None
    if not _are_in_use(node, release, settings):
        return None
    return release if record.get("fingerprint") == _fingerprint(node, release, settings) else None


def _are_in_use(node: Node, release: str, settings: Settings) -> bool:
    """Return True if dockerd starts the release's own wrappers for all declared runtimes."""
    entries = node.info.runtimes if node.info else {}
    try:
        expected = wrappers(release, settings.runtimes, settings.dispatch)
    except Problem:  # not a name of a gVisor release
        return False
    return not missing(node, expected) and all(
        _is_started_by(entries.get(item.runtime), item.path) for item in expected if item.is_runtime
    )


def _is_started_by(entry: RuntimeEntry | None, path: str) -> bool:
    return entry is not None and entry.path == path and not entry.arguments


def _fingerprint(node: Node, release: str, settings: Settings) -> str | None:
    return fingerprint(
        node, release, settings.proven_runtimes, image=settings.proof_image, declared=settings
    )

"""Programs of a test's own in the place of a node's. Our scripts search /usr/local last."""

from __future__ import annotations

from pyinfra_gvisor.lab import LabNode
from tests.node.audits import sh

ASIDE = "/usr/lib/planted"
"""Where such a program finds the one that it has the place of."""


def plant(node: LabNode, text: str, *names: str) -> None:
    """Have ``text`` at the place of these programs of /usr/bin."""
    sh(node, f"mkdir -p {ASIDE}; cd /usr/bin; cp -Lp {' '.join(names)} {ASIDE}")
    node.put(f"{ASIDE}/.planted", text.encode(), mode=0o755)
    for name in names:
        sh(node, f"mount --bind {ASIDE}/.planted /usr/bin/{name}")


def uproot(node: LabNode, *names: str) -> None:
    """Have these programs at their places again."""
    places = " ".join(f"/usr/bin/{name}" for name in names)
    sh(node, f"umount {places}; rm -r {ASIDE}")

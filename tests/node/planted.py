"""Programs of a test's own in the place of a node's. Our scripts search /usr/local last."""

from tests.node.audits import sh
from tools.lab import LabNode

ASIDE = "/usr/lib/planted"
"""Where such a program finds the one that it has the place of."""


def plant(node: LabNode, text: str, *names: str) -> None:
    """Have ``text`` at the place of these programs of /usr/bin, also after a power cut."""
    sh(node, f"mkdir -p {ASIDE}; cd /usr/bin; cp -Lp {' '.join(names)} {ASIDE}")
    for name in names:
        node.put(f"{ASIDE}/{name}.planted", text.encode(), mode=0o755)
    for name in names:
        sh(node, f"mv -f {ASIDE}/{name}.planted /usr/bin/{name}")


def uproot(node: LabNode, *names: str) -> None:
    """Have these programs at their places again."""
    for name in names:
        sh(node, f"mv -f {ASIDE}/{name} /usr/bin/{name}")
    sh(node, f"rm -r {ASIDE}")

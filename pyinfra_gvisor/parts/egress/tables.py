"""Tables of blocked addresses and of the keys of ``gvisor_egress`` for the documentation."""

from __future__ import annotations

from pyinfra_gvisor.parts.egress.settings import METADATA, PRIVATE, Egress
from pyinfra_gvisor.parts_common.tables import Table, keys_inside


def blocked_table() -> str:
    """Return a Markdown table of the addresses that are blocked."""
    rows = ["| blocked | as | what is there |", "|---|---|---|"]
    rows += [f"| `{text}` | `metadata` | {what} |" for text, what in METADATA.items()]
    rows += [f"| `{text}` | `private` | {what} |" for text, what in PRIVATE.items()]
    return "\n".join(rows) + "\n"


TABLES = (
    Table("reference/egress.md", "blocked", blocked_table),
    Table("reference/egress.md", "egress", lambda: keys_inside(Egress)),
)

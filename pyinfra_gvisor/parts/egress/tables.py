"""Lists of blocked addresses and of the keys of ``gvisor_egress`` for the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyinfra_gvisor.parts.egress.settings import METADATA, PRIVATE, Egress
from pyinfra_gvisor.parts_common.tables import Table, keys_inside

THROUGH = "through NAT64"
TRANSLATED = f"the IPv4 addresses {THROUGH}"


def blocked_list() -> str:
    """Return a Markdown list of the addresses that are blocked, by the word for them."""
    blocks = {"metadata": METADATA, "private": PRIVATE}
    return "".join(
        f"* `{block}`: {'; '.join(_by_meaning(items))}\n" for block, items in blocks.items()
    )


def _by_meaning(items: Mapping[str, str]) -> Iterator[str]:
    """Yield the addresses that mean the same, and what they mean."""
    groups: dict[str, list[str]] = {}
    for text, what in items.items():
        meaning = TRANSLATED if what.endswith(THROUGH) else what
        groups.setdefault(meaning, []).append(f"`{text}`")
    for meaning, texts in groups.items():
        yield f"{', '.join(texts)} ({meaning})"


TABLES = (
    Table("reference/egress.md", "blocked", blocked_list),
    Table("reference/egress.md", "egress", lambda: keys_inside(Egress)),
)

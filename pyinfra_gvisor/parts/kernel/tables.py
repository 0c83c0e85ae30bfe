"""Tables of the default modules and sysctls, for docs/reference/kernel.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pyinfra_gvisor.parts.kernel.defaults import MODULES, SYSCTLS
from pyinfra_gvisor.parts_common.tables import Table

T = TypeVar("T")


def modules_table() -> str:
    """Return a Markdown table of the modules, one row for each reason."""
    rows = ["| module | what it is | why it is here |", "|---|---|---|"]
    rows += [f"| {names} | {item.what} | {item.source} |" for item, names in _grouped(MODULES)]
    return "\n".join(rows) + "\n"


def sysctls_table() -> str:
    """Return a Markdown table of the sysctls, one row for each reason."""
    rows = ["| setting | value | what it does | why it is here |", "|---|---|---|---|"]
    for item, keys in _grouped(SYSCTLS):
        value = f"`{item.value}`" + "".join(f" or `{other}`" for other in item.stricter)
        rows.append(f"| {keys} | {value} | {item.what} | {item.source} |")
    return "\n".join(rows) + "\n"


def _grouped(items: Mapping[str, T]) -> list[tuple[T, str]]:
    groups: dict[T, list[str]] = {}
    for name, item in items.items():
        groups.setdefault(item, []).append(f"`{name}`")
    return [(item, ", ".join(names)) for item, names in groups.items()]


TABLES = (
    Table("reference/kernel.md", "modules", modules_table),
    Table("reference/kernel.md", "sysctls", sysctls_table),
)

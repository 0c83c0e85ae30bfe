"""Tables about parts for the documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel


@dataclass(frozen=True)
class Table:
    """A table that ``page``, a file in ``docs/``, has between the marks with this name."""

    page: str
    name: str
    text: Callable[[], str]


def keys_inside(model: type[BaseModel]) -> str:
    """Return a Markdown table of the keys inside one setting."""
    defaults = model().model_dump(mode="json")
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, item in model.model_fields.items():
        cells = (f"`{name}`", f"`{defaults[name]!r}`", item.description or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"

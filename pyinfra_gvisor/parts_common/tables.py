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
    """Return a Markdown list of the keys inside one setting, each with its default."""
    defaults = model().model_dump(mode="json")
    return "".join(
        f"* `{name}` (`{defaults[name]!r}`). {item.description}\n"
        for name, item in model.model_fields.items()
    )

"""
Base classes of our models: data read from a node, and data that an operator or we write.

A model's validator is built at its first use (``defer_build``), because most runs need few of them.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Reading(BaseModel):
    """Data read from a node. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, defer_build=True)

    def to_json(self) -> dict[str, Any]:
        """Return the model for ``pyinfra … fact``. A model with secrets has a method of its own."""
        return self.model_dump(mode="json")


class Strict(BaseModel):
    """Data that an operator declared or that we wrote. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

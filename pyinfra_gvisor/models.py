"""
Base classes of our models: data read from a node, and data that an operator or we write.

A model's validator is built at its first use (``defer_build``), because most runs need few of them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Reading(BaseModel):
    """Data read from a node. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, defer_build=True)


class Strict(BaseModel):
    """Data that an operator declared or that we wrote. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

"""
The bases of our models: what is read from a node, and what an operator or this package writes.

A model's validator is built when it is first used (``defer_build``): most runs need few of them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Reading(BaseModel):
    """Something read from a node; keys that we have no name for are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, defer_build=True)


class Strict(BaseModel):
    """Something that is declared or that we wrote; a key that we have no name for is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

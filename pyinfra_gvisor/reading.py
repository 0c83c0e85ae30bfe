"""The base of every model of something that was read from a node."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Reading(BaseModel):
    """Something read from a node; what we have no name for is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

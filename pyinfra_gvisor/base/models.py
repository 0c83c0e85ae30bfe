"""
Base classes of our models: data read from a node, and data that an operator or we write.

A model's validator is built at its first use (``defer_build``), because most runs need few of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from pyinfra_gvisor.base.errors import Problem


class Reading(BaseModel):
    """Data read from a node. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, defer_build=True)

    def to_json(self) -> dict[str, Any]:
        """Return the model for ``pyinfra … fact``. A model with secrets has a method of its own."""
        return self.model_dump(mode="json")


class Strict(BaseModel):
    """Data that an operator declared or that we wrote. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


@dataclass(frozen=True)
class PatternText:
    """
    Part of a type's annotation: a text of this form, and what to tell for another text.

    + pattern: a regular expression for the whole text, which also the JSON schema has
    + what: what such a text is called, with its article
    + todo: what to do about another text
    """

    pattern: str
    what: str
    todo: str

    def check(self, value: str) -> str:
        """Return ``value``. Raises ``Problem`` if it has another form."""
        if not re.fullmatch(self.pattern, value):
            raise Problem(f"not {self.what}", got=value, todo=self.todo)
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the form after the type itself."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema of the type itself, with the pattern."""
        return {**handler(schema), "pattern": f"^{self.pattern}$"}

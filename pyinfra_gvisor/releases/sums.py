"""The sha512 of a release as an operator writes it: of the archive, or of files by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import Field, GetCoreSchemaHandler, GetPydanticSchema, WithJsonSchema
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_wrap_validator_function

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.releases.sources import FILES

Sha512 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


def _sums(value: object, one: Callable[[object], str]) -> str | dict[str, str]:
    """One sha512, or one by file; a union of pydantic's would tell each fault twice."""
    if not isinstance(value, dict):
        return one(value)
    for file, digest in value.items():
        if file not in FILES:
            raise Problem("not a file of a release", got=file, todo=f"write {' or '.join(FILES)}")
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{128}", digest):
            raise Problem(f"not a sha512 of {file}", got=digest, todo="write 128 of 0-9a-f")
    return value


def _sums_schema(_type: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    return no_info_wrap_validator_function(_sums, handler(Sha512))


Sums = Annotated[
    str | dict[str, str],
    GetPydanticSchema(_sums_schema),
    WithJsonSchema(
        {
            "anyOf": [
                {"pattern": "^[0-9a-f]{128}$", "type": "string"},
                {
                    "type": "object",
                    "propertyNames": {"enum": list(FILES)},
                    "additionalProperties": {"pattern": "^[0-9a-f]{128}$", "type": "string"},
                },
            ]
        }
    ),
]

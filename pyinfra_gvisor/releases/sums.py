"""The type of ``gvisor_sha512``: the sha512 of a release's archive, or of its files by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import Field, GetCoreSchemaHandler, GetPydanticSchema, WithJsonSchema
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_wrap_validator_function

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases.sources import FILES

_SHA512 = re.compile(r"[0-9a-f]{128}")
Sha512 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


def _sums(value: object, one: Callable[[object], str]) -> str | dict[str, str]:
    """Validate one sha512, or one by file; a union of pydantic would report each fault twice."""
    if not isinstance(value, dict):
        if isinstance(value, str) and not _SHA512.fullmatch(value):
            raise Problem("not a sha512", got=value, todo=_todo(value))
        return one(value)
    for file, digest in value.items():
        if file not in FILES:
            raise Problem("not a file of a release", got=file, todo=f"write {' or '.join(FILES)}")
        if not isinstance(digest, str) or not _SHA512.fullmatch(digest):
            raise Problem(f"not a sha512 of {file}", got=digest, todo=_todo(digest))
    return value


def _todo(value: object) -> str:
    """Return what to write; with the length of ``value``, because messages cut what they quote."""
    count = f", not {len(value)} characters" if isinstance(value, str) else ""
    return f"write 128 hexadecimal digits (0-9a-f){count}"


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

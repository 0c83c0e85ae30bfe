"""What a value of a setting must be, in words for who writes Python and has not read pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_LIST = "must be a list"
_TABLE = "must be a table, a dict of Python"
_NUMBER = "must be a whole number without quotes"
_FORMS: Final = {
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), _LIST),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), _TABLE),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be True or False"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _NUMBER),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number without quotes"),
    "string_type": "must be a text in quotes",
    "missing": "is missing",
}
"""By the type of pydantic's error: https://docs.pydantic.dev/latest/errors/validation_errors/."""


def form(error: Mapping[str, Any]) -> str:
    """
    Return what is wrong with a value, without the value.

    + error: one of ``ValidationError.errors()``
    """
    if found := _FORMS.get(error["type"]):
        return found
    message = str(error["msg"])
    if message.startswith("Input should be "):
        return f"must be {message.removeprefix('Input should be ')}"
    return message[0].lower() + message[1:]

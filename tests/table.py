"""A table of cases for one test: by their names, instead of a list with a name at each end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest


def table(names: str, cases: Mapping[str, Any]) -> pytest.MarkDecorator:
    """
    Return ``pytest.mark.parametrize`` for these cases; a case's name is its id.

    + names: the test's arguments, with commas
    + cases: the values, a tuple for several arguments and the value itself for one
    """
    several = "," in names
    values = [
        pytest.param(*(case if several else (case,)), id=name) for name, case in cases.items()
    ]
    return pytest.mark.parametrize([name.strip() for name in names.split(",")], values)

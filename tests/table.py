"""A table of cases for one test: by their names, instead of a list with a name at each end."""

from collections.abc import Mapping
from typing import Any

import pytest


def table(
    names: str, cases: Mapping[str, Any] | None = None, /, **more: Any
) -> pytest.MarkDecorator:
    """
    Return ``pytest.mark.parametrize`` for these cases; a case's name is its id.

    + names: the test's arguments, with commas
    + cases, more: the values, a tuple for several arguments and the value itself for one; a name
      given as a keyword has hyphens in the id for its underscores
    """
    several = "," in names
    named = dict(cases or {}, **{name.replace("_", "-"): case for name, case in more.items()})
    assert len(named) == len(cases or {}) + len(more), "a name is there twice"
    values = [
        pytest.param(*(case if several else (case,)), id=name) for name, case in named.items()
    ]
    return pytest.mark.parametrize([name.strip() for name in names.split(",")], values)

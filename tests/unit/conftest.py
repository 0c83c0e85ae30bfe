"""Hypothesis with the same examples in every run, and processes that look like a container's."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.unit.node_script import process

# A failure here is to be a failure there.
settings.register_profile("unit", derandomize=True, database=None, deadline=None, max_examples=60)
settings.register_profile("thorough", database=None, deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))


@pytest.fixture
def sandbox() -> Iterator[int]:
    """A process that is called as a sandbox is, and runs the machine's own file."""
    with process("runsc-sandbox") as pid:
        yield pid


@pytest.fixture
def bare() -> Iterator[int]:
    """A process that is none."""
    with process() as pid:
        yield pid

"""Hypothesis with the same examples in every run, and processes that look like a container's."""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copy2

import pytest
from hypothesis import settings

from tests.unit.node_script import Machine, process

# A failure here is to be a failure there.
settings.register_profile("unit", derandomize=True, database=None, deadline=None, max_examples=60)
settings.register_profile("thorough", database=None, deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A process that is called as a sandbox is, and runs a runsc of the machine's own."""
    program = tmp_path_factory.mktemp("usr-local-bin") / "runsc"
    copy2("/usr/bin/sleep", program)
    with process("runsc-sandbox", str(program)) as pid:
        yield pid


@pytest.fixture
def bare() -> Iterator[int]:
    """A process that is none."""
    with process() as pid:
        yield pid


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node with perl on which Docker does not run."""
    return Machine(tmp_path)

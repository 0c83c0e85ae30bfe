"""The wheel, built once."""

from pathlib import Path

import pytest

from tests.packaging.checkout import DEPENDENCIES, Environment, built_wheel, copy_to, without_links


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``git clone`` would bring of this checkout, with what is not committed yet."""
    return copy_to(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built through the sdist and in a copy."""
    source = without_links(copy_to(tmp_path_factory.mktemp("source")))
    return built_wheel(source, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and its dependencies."""
    environment = Environment.create(tmp_path_factory.mktemp("installed"), DEPENDENCIES)
    environment.pip("install", "--quiet", "--no-index", "--no-deps", wheel)
    return environment

"""The wheel, built once."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.packaging.checkout import DEPENDENCIES, ROOT, Environment, files, run


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``git clone`` would bring of this checkout, with what is not committed yet."""
    return _copy_to(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built through the sdist and in a copy: setuptools leaves files where it builds."""
    source = _copy_to(tmp_path_factory.mktemp("source"))
    into = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", into, source)
    return next(into.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and its dependencies."""
    environment = Environment.create(tmp_path_factory.mktemp("installed"), DEPENDENCIES)
    environment.pip("install", "--quiet", "--no-index", "--no-deps", wheel)
    return environment


def _copy_to(target: Path) -> Path:
    for path in files():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target / path)
    return target

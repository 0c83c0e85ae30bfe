"""A server that plays both origins, a lock, and ``pyinfra-gvisor releases`` with them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pyinfra_gvisor.releases.lockfile import PACKAGED
from tests.unit.command.commands import releases
from tests.unit.releases.origin_server import RELEASE, SUMS, Origin, serving


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def origin() -> Iterator[Origin]:
    """Both origins, with a release that no lock has."""
    with serving() as found:
        found.publish(RELEASE, SUMS)
        yield found


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A copy of the packaged lock."""
    return Path(shutil.copyfile(PACKAGED, tmp_path / "lock.json"))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """``pyinfra-gvisor releases …``."""

    def run(*argv: str, timeout_s: float | None = None) -> Ended:
        code = releases(argv, timeout_s=timeout_s)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def add(command: Command, origin: Origin, lock: Path) -> Command:
    """``… add`` of the release that both origins have, to the lock."""

    def run(*more: str, release: str = RELEASE, to: Path = lock, timeout_s: float = 30) -> Ended:
        options = ("--lock", str(to), *origin.options, *more)
        return command("add", release, *options, timeout_s=timeout_s)

    return run

"""Of every test: the day on which what is known of releases was looked for, and a whole log."""

from datetime import UTC, datetime, time, tzinfo

import pytest

from pyinfra_gvisor.audit import rules
from pyinfra_gvisor.releases.known import known
from tests.arguments import Patch


class Clock(datetime):
    """One that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = UTC) -> "Clock":
        """The beginning of that day."""
        return cls.combine(known().as_of, time(), tz)


@pytest.fixture(autouse=True)
def _day(monkeypatch: Patch) -> None:
    monkeypatch.setattr(rules, "datetime", Clock)


@pytest.fixture(autouse=True)
def _whole_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

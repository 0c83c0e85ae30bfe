"""What only pyinfra's own process shows: deploys and operations run in greenlets there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pyinfra_gvisor.compatibility.files import read_record
from pyinfra_gvisor.settings import Settings
from tests.cases.fleet import MARKS
from tests.unit.compatible import proven_lines
from tests.unit.observations import output

DEPLOYS = Path(__file__).parents[2] / "deploys"
ENTER = "\n"


def pyinfra(
    directory: Path,
    deploy: str,
    *options: str,
    told: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a run over one node that answers so says; a person who is asked presses Enter."""
    responses = {"end of node state": list(told), MARKS["prove"]: output()}
    data = {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": responses}
    (directory / "inventory.py").write_text(f"hosts = [('@fake/a', {data!r})]\n")
    arguments = ("inventory.py", DEPLOYS / deploy, "--data", "gvisor_report_dir=reports", *options)
    ran = subprocess.run(
        [sys.executable, "-m", "pyinfra", *arguments],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        input=ENTER,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.stderr


@pytest.mark.parametrize(
    ("options", "environment", "known"),
    [
        pytest.param(["-y"], {}, True, id="with-y"),
        pytest.param(["--json", "--yes"], {}, True, id="with-yes-and-json"),
        pytest.param([], {"PYINFRA_YES": "1"}, True, id="with-yes-in-the-environment"),
        pytest.param([], {}, False, id="interactive"),
    ],
)
def test_the_time_of_a_run_that_waited_for_a_person_is_not_recorded(
    options: list[str], environment: dict[str, str], known: bool, tmp_path: Path
) -> None:
    told = proven_lines(Settings())

    said = pyinfra(tmp_path, "gvisor.py", *options, told=told, environment=environment)

    assert ("Press enter" in said) is not known
    record = read_record(tmp_path / "reports" / "compatibility" / "%40fake%2Fa.json")
    assert (record.timings.run_s is not None) is known


@pytest.mark.parametrize(
    ("options", "written"),
    [
        pytest.param(["--dry"], False, id="dry"),
        pytest.param(["--json"], False, id="json-without-y"),
        pytest.param(["--debug-operations"], False, id="operations-are-only-shown"),
        pytest.param(["-y"], True, id="with-y"),
        pytest.param(["--json", "-y"], True, id="json-with-y"),
        pytest.param([], True, id="interactive"),
    ],
)
def test_a_run_that_ends_after_its_plan_reports_no_host_that_failed_its_checks(
    options: list[str], written: bool, tmp_path: Path
) -> None:
    said = pyinfra(tmp_path, "audit.py", "--data", "gvisor_watch=maybe", *options)

    assert "gvisor_watch" in said
    assert (tmp_path / "reports" / "fleet.json").exists() is written

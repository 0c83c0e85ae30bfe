"""What only pyinfra's own process shows: deploys and operations run in greenlets there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pyinfra_gvisor.compatibility.files import read_record
from pyinfra_gvisor.settings import Settings
from tests.cases import cli
from tests.unit.compatible import proven_lines

DEPLOYS = cli.CHECKOUT / "deploys"


def pyinfra(
    directory: Path,
    deploy: str,
    *options: str,
    told: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a run over one node that answers so says; a person who is asked presses Enter."""
    (directory / "inventory.py").write_text(cli.inventory(hosts={"a": cli.fake(told)}))
    arguments = ("inventory.py", DEPLOYS / deploy, "--data", "gvisor_report_dir=reports", *options)
    return cli.pyinfra(directory, *arguments, environment=environment).stderr


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

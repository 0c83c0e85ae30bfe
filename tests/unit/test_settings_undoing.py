"""The ``gvisor_*`` keys for restarts, rollback and removal: what they do not take."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.settings import load_settings


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        pytest.param(
            "gvisor_restart",
            "later",
            "input should be 'auto', 'reload' or 'never', got later",
            id="restart",
        ),
        pytest.param("gvisor_restart", False, "input should be 'auto', 'reload'", id="restart-no"),
        pytest.param("gvisor_restart", None, "input should be 'auto', 'reload'", id="restart-none"),
        pytest.param("gvisor_generation", 0, "input should be greater than or equal", id="zero"),
        pytest.param("gvisor_generation", -1, "input should be greater than", id="negative"),
        pytest.param("gvisor_generation", "3", "input should be a valid integer", id="text"),
        pytest.param("gvisor_generation", 3.0, "input should be a valid integer", id="number"),
        pytest.param("gvisor_generation", True, "input should be a valid integer", id="true"),
        pytest.param("gvisor_keep_running", "yes", "input should be a valid bool", id="yes"),
        pytest.param("gvisor_keep_running", 1, "input should be a valid bool", id="one"),
        pytest.param("gvisor_keep_running", None, "input should be a valid bool", id="none"),
    ],
)
def test_a_bad_value_is_told_by_its_key(key: str, value: object, message: str) -> None:
    settings, problems = load_settings({key: value})

    assert settings is None
    assert list(problems) == [key]
    assert problems[key].startswith(message)

"""A preset's options are those of a runtime, and an operator's own go before."""

from typing import Any

import pytest

from pyinfra_gvisor.runtimes.presets import PRESETS
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.table import table


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_a_runtime_by_itself_and_says_its_price(name: str) -> None:
    found = Runtime.model_validate({"preset": name})

    assert found != Runtime()
    assert bool(found.dangers()) is bool(found.reason)
    assert PRESETS[name].helps  # type: ignore[index]
    assert PRESETS[name].price  # type: ignore[index]


@table(
    "given, expected",
    own_option=({"preset": "ping", "network": "none"}, {"network": "none"}),
    own_flag=(
        {"preset": "setuid", "flags": ["--dcache=5"]},
        {"flags": ("--allow-suid", "--dcache=5")},
    ),
    own_reason=({"preset": "setuid", "reason": "sudo in our shop"}, {"reason": "sudo in our shop"}),
)
def test_what_an_operator_gives_goes_before(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = Runtime.model_validate(given)

    assert {key: getattr(found, key) for key in expected} == expected


@table(
    "given",
    unknown=({"preset": "nope"},),
    a_list=({"preset": ["ping"]},),
    flags_a_text=({"preset": "ping", "flags": "--net-raw"},),
)
def test_wrong_ones_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Runtime.model_validate(given)

"""The example data: good as it is, and as somebody makes it who wants all that it offers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import Settings, load_settings

GROUP_DATA = Path(__file__).parents[2] / "inventories" / "group_data"
# A line of code: a setting, or an entry of one that is a dictionary.
_OFFERED = re.compile(r'^( *)# (gvisor_[a-z_]+ = .*|"[a-z]+": \{.*\},)$', re.MULTILINE)


@pytest.fixture(autouse=True)
def _accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with what was accepted so far: nothing."""
    (tmp_path / "infrastructure.json").write_text("[]\n")
    monkeypatch.chdir(tmp_path)


def settings(text: str) -> Settings:
    """What the text of a file says; it must be good."""
    data: dict[str, Any] = {"__file__": str(GROUP_DATA / "group.py")}
    exec(text, data)  # noqa: S102  # a file of this checkout, as pyinfra loads it
    if data.get("gvisor_default"):  # one of the two, as the file says
        del data["gvisor_exempt"]
    found, problems = load_settings(data)
    assert found, problems
    return found


@pytest.mark.parametrize("group", ["all", "build", "coolify", "run"])
def test_the_example_is_good_with_and_without_what_it_offers(group: str) -> None:
    text = (GROUP_DATA / f"{group}.py").read_text()

    settings(text)
    settings(_OFFERED.sub(r"\1\2", text))


def test_a_second_runtime_with_a_network_stack_of_its_own_is_ready_made() -> None:
    text = (GROUP_DATA / "run.py").read_text()

    found = settings(_OFFERED.sub(r"\1\2", text))

    assert settings(text).runtimes == {"runsc": Runtime(network="host")}
    assert found.runtimes["gvisor"].network == "sandbox"
    assert found.runtimes["gvisor"].dns == "docker"
    assert found.dispatch
    assert found.egress
    assert found.kernel is not None

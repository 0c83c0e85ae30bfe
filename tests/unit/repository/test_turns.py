"""Three runs of all tests with another turn each try every test."""

from collections import Counter
from pathlib import Path

import pytest

from tests.node.turns import FILES, SETTING, TURNS, is_of_turn, steps_of_turn, versions_of_turn

TESTS = Path(__file__).parents[2]
STEPS = [*range(10)]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Counter[object]:
    """How often each test, step and version is tried in three runs."""
    found: Counter[object] = Counter()
    for turn in range(TURNS):
        monkeypatch.setenv(SETTING, str(turn))
        tests = [f"tests/node/{path.name}::a" for path in (TESTS / "node").glob("test_*.py")]
        found.update(name for name in tests if is_of_turn(name))
        found.update(steps_of_turn(STEPS))
        found.update(versions_of_turn("docker-20", "docker-29"))
    return found


def test_each_test_and_each_step_has_a_turn(tried: Counter[object]) -> None:
    listed = {f"tests/node/{name}.py::a" for names in FILES for name in names if "::" not in name}

    assert min(tried[f"tests/node/{path.name}::a"] for path in (TESTS / "node").glob("test_*")) == 1
    assert {name for name, times in tried.items() if times == 1} == listed | {*STEPS, "docker-20"}
    assert tried["docker-29"] == TURNS - 1, "the newest is tried most"


def test_what_is_listed_is_there_and_takes_no_turns_itself() -> None:
    for name in (name.partition("::") for names in FILES for name in names):
        (path,) = TESTS.glob(f"*/{name[0]}.py") if name[2] else [TESTS / "node" / f"{name[0]}.py"]
        text = path.read_text()
        assert f"def {name[2]}" in text
        assert "of_turn(" not in text, "a sweep of a third would miss the same steps each time"

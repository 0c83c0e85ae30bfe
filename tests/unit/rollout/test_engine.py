"""What the engine stores."""

import pytest

from pyinfra_gvisor.rollout.engine import JsonText
from tests.table import table


@table("data", states={"run-1": "proven", "error": "failed"}, text="why", nothing=None)
def test_what_is_stored_comes_back(data: object) -> None:
    stored = JsonText()

    assert stored.deserialize(stored.serialize(data)) == data


def test_an_error_comes_back_as_one_that_can_be_raised() -> None:
    stored = JsonText()

    with pytest.raises(RuntimeError, match="OSError: no space left"):
        raise stored.deserialize(stored.serialize(OSError("no space left")))

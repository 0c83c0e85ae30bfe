"""What a command needs that a function runs by hand: pyinfra hands it over for its own only."""

from __future__ import annotations

from typing import Any

from pyinfra import host
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS


def connector_arguments() -> dict[str, Any]:
    """``_sudo`` and its like, as the current operation was given them."""
    given: dict[str, Any] = dict(host.current_op_global_arguments or {})
    return {key: given[key] for key in CONNECTOR_ARGUMENT_KEYS if key in given}

"""Connector arguments, such as ``_sudo``, for commands that a function of ours runs itself."""

from __future__ import annotations

from typing import Any

from pyinfra import host
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS


def connector_arguments() -> dict[str, Any]:
    """Return the connector arguments of the current operation, such as ``_sudo``."""
    given: dict[str, Any] = dict(host.current_op_global_arguments or {})
    return {key: given[key] for key in CONNECTOR_ARGUMENT_KEYS if key in given}

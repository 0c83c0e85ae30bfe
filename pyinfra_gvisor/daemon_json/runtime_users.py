"""Which containers use which runtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from pyinfra_gvisor.base.models import Reading

END = "end of containers"


class RuntimeUser(Reading):
    """A container, running or stopped, and the runtime that it was created with."""

    name: str
    running: bool
    runtime: str

    def __str__(self) -> str:
        """Return the container's name, with ``(stopped)`` if it does not run."""
        return self.name if self.running else f"{self.name} (stopped)"


Ask = Callable[[], Sequence[RuntimeUser]]
"""Return every container. Raises ``Problem`` if Docker does not answer."""


def read_user(line: str) -> RuntimeUser:
    """
    Return the container from one line: ``["/name", true, "runtime"]``.

    Raises ``AttributeError``, ``RecursionError``, ``TypeError`` or ``ValueError`` if the line is
    malformed.
    """
    name, running, runtime = json.loads(line)
    return RuntimeUser(name=name.removeprefix("/"), running=running, runtime=runtime)


def parse_runtime_users(output: Sequence[str]) -> tuple[RuntimeUser, ...]:
    """
    Return the containers that ``daemon_json/runtime_users.sh`` printed.

    Raises ``ValueError`` if the answer is cut short or malformed.
    """
    if END not in output:
        last = " ".join(output[-1:])[:60]
        raise ValueError(f"the node's answer is incomplete: it ends with: {last}")
    try:
        return tuple(read_user(line) for line in output[: output.index(END)])
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"the node's answer is malformed: {error}") from error


def users_by_runtime(
    names: Iterable[str], users: Iterable[RuntimeUser]
) -> dict[str, tuple[str, ...]]:
    """
    Return the containers of each of these runtimes; runtimes without containers are left out.

    Names are compared as Docker compares them: case matters.
    """
    found: dict[str, list[str]] = {}
    for user in users:
        found.setdefault(user.runtime, []).append(str(user))
    # The fact that lists containers prints "?" for bytes outside of ASCII.
    asked = {name: found.get(name) or found.get(_as_told(name)) for name in names}
    return {name: tuple(containers) for name, containers in asked.items() if containers}


def _as_told(name: str) -> str:
    return "".join(char if char.isascii() else "?" * len(char.encode()) for char in name)

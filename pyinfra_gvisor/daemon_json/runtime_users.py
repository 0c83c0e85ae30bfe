"""Who uses which runtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from pyinfra_gvisor.models import Reading

END = "end of containers"


class RuntimeUser(Reading):
    """A container, running or not, and the runtime that it asks for."""

    name: str
    running: bool
    runtime: str

    def __str__(self) -> str:
        """Return its name, and whether it is stopped."""
        return self.name if self.running else f"{self.name} (stopped)"


Ask = Callable[[], Sequence[RuntimeUser]]
"""Returns every container; raises ``Problem`` if Docker does not tell."""


def read_user(line: str) -> RuntimeUser:
    """
    Return the container of one line: ``["/name", true, "runtime"]``.

    Raises ``AttributeError``, ``RecursionError``, ``TypeError`` or ``ValueError`` if the line is
    malformed.
    """
    name, running, runtime = json.loads(line)
    return RuntimeUser(name=name.removeprefix("/"), running=running, runtime=runtime)


def parse_runtime_users(output: Sequence[str]) -> tuple[RuntimeUser, ...]:
    """
    Return the containers that ``scripts/runtime_users.sh`` printed.

    Raises ``ValueError`` if the answer is cut short or malformed.
    """
    if END not in output:
        raise ValueError(f"the node's answer breaks off: {' '.join(output[-1:])[:60]}")
    try:
        return tuple(read_user(line) for line in output[: output.index(END)])
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"the node's answer is malformed: {error}") from error


def users_by_runtime(
    names: Iterable[str], users: Iterable[RuntimeUser]
) -> dict[str, tuple[str, ...]]:
    """
    Return the containers that ask for one of these runtimes, by runtime; no runtime without one.

    Names are compared as Docker compares them: case matters.
    """
    found: dict[str, list[str]] = {}
    for user in users:
        found.setdefault(user.runtime, []).append(str(user))
    # The fact that lists containers prints "?" for bytes that are no ASCII.
    asked = {name: found.get(name) or found.get(_as_told(name)) for name in names}
    return {name: tuple(containers) for name, containers in asked.items() if containers}


def _as_told(name: str) -> str:
    return "".join(char if char.isascii() else "?" * len(char.encode()) for char in name)

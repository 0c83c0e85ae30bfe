"""What a command prints of pyinfra's output: nothing twice, and nothing that says only "done"."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import gevent  # type: ignore[import-untyped] # it is not annotated
from pyinfra import logger
from pyinfra.api import Host, State

from pyinfra_gvisor.base.columns import plain

_COLOUR = r"(?:\x1b\[[0-9;]*m)*"
_OF_A_HOST = re.compile(rf"{_COLOUR}\[{_COLOUR}([^\]\x1b]+){_COLOUR}\]")
_DONE = re.compile(
    r"Success|No changes|Connected|(?:Ready|Loading): .*|--> Skipping change detection|"
    r"--> Beginning operation run[.]+"
)
_PROGRESS = re.compile(r"upload .*%")
_NOBODY_LEFT = re.compile(r"--> pyinfra error.*: No hosts remaining!")
_FAILED = re.compile(r"Error: executed \d+ commands?.*")
_HELD_S = 1.0


class Brief(logging.Filter):
    """
    Filters the messages of a run of pyinfra.

    What is said of hosts within a second is kept until then, so that hosts of which the same is
    said share it; a step's end, an error or a warning ends the second. That a step has failed is
    left out where the step has said more of the host, or where the end says why. So is the table
    of results: the summary has them. With pyinfra's ``-v`` all is passed on.
    """

    def __init__(self, state: State, is_explained: Callable[[Host], bool]) -> None:
        super().__init__()
        self._state = state
        self._is_explained = is_explained  # whether it is known why a host fails
        self._said: dict[str, list[tuple[int, str]]] = {}  # by host, with the levels
        self._acts = False  # a step has begun
        self._told: set[str] = set()  # hosts of which this step has said something
        self._in_results = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if a message is to be printed now."""
        text = record.getMessage()
        host = self._host(text)
        rest = text[len(host.print_prefix) :] if host else text
        if self._state.print_noop_info:
            return True
        if _DONE.fullmatch(plain(rest)) or _NOBODY_LEFT.fullmatch(plain(rest)):
            return False
        if host:
            if _FAILED.fullmatch(plain(rest)) and self._is_explained(host):
                return False
            return self._is_said_now(host.name, rest, record.levelno)
        if plain(text).startswith("-->"):  # a host's words are not pyinfra's
            self.flush()
            self._told.clear()
            self._in_results = "--> Results:" in text
            self._acts |= "--> Starting operation" in text
        if self._in_results and record.levelno == logging.INFO:
            return False
        self.flush()
        return True

    def _is_said_now(self, host: str, text: str, level: int) -> bool:
        if _PROGRESS.match(text):
            return True
        if _FAILED.fullmatch(plain(text)) and host in self._told:
            return False
        self._told.add(host)
        if level == logging.INFO or not self._acts:
            if not self._said:
                gevent.spawn_later(_HELD_S, self.flush)
            self._said.setdefault(host, []).append((level, text))
            return False
        self.flush()
        return True

    def _host(self, text: str) -> Host | None:
        """Return the host of which pyinfra says something."""
        found = _OF_A_HOST.match(text)
        host = self._state.inventory.get_host(found[1], None) if found else None
        return host if host and text.startswith(host.print_prefix) else None

    def flush(self) -> None:
        """Print what is kept, each text once."""
        said, self._said = self._said, {}
        alike: dict[tuple[tuple[int, str], ...], list[str]] = {}
        for host in sorted(said):
            alike.setdefault(tuple(said[host]), []).append(host)
        for lines, hosts in alike.items():
            logger.info(f"{', '.join(hosts)}:")
            for level, line in lines:
                logger.log(level, f"  {line}")

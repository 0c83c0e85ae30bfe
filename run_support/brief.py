"""What a command prints of pyinfra's output: nothing twice, and nothing that says only "done"."""

from __future__ import annotations

import logging
import re

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
_OWN_END = re.compile(r"--> pyinfra error.*: No hosts remaining!|Error: executed \d+ commands?.*")


class Brief(logging.Filter):
    """
    Filters the messages of a run of pyinfra.

    What a step says of hosts is kept until its end, so that hosts of which the same is said share
    it. Errors, warnings and the progress of uploads are passed on at once. The table of results is
    left out: the summary has them. With pyinfra's ``-v`` all is passed on.
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._said: dict[str, list[str]] = {}
        self._in_results = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if a message is to be printed now."""
        text = record.getMessage()
        host = self._host(text)
        rest = text[len(host.print_prefix) :] if host else text
        if self._state.print_noop_info:
            return True
        if _DONE.fullmatch(plain(rest)) or _OWN_END.fullmatch(plain(rest)):
            return False
        if host and record.levelno == logging.INFO and not _PROGRESS.match(rest):
            self._said.setdefault(host.name, []).append(rest)
            return False
        if host is None and plain(text).startswith("-->"):  # a host's words are not pyinfra's
            self._in_results = False
            self.flush()
            self._in_results = "--> Results:" in text
        return not self._in_results or record.levelno > logging.INFO

    def _host(self, text: str) -> Host | None:
        """Return the host of which pyinfra says something."""
        found = _OF_A_HOST.match(text)
        host = self._state.inventory.get_host(found[1], None) if found else None
        return host if host and text.startswith(host.print_prefix) else None

    def flush(self) -> None:
        """Print what is kept, each text once."""
        said, self._said = self._said, {}
        alike: dict[tuple[str, ...], list[str]] = {}
        for host in sorted(said):
            alike.setdefault(tuple(said[host]), []).append(host)
        for lines, hosts in alike.items():
            logger.info(f"{', '.join(hosts)}:")
            for line in lines:
                logger.info(f"  {line}")

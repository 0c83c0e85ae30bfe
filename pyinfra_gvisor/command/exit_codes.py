"""Exit codes: one table for all commands and for the deploys."""

from __future__ import annotations

from typing import Final

FINE: Final = 0
FAILED: Final = 1
SIGNALLED: Final = 128  # and the signal's number, as a shell has it
INTERRUPTED: Final = SIGNALLED + 2  # SIGINT

TABLE: Final = """\b
Exit codes of every command:
  0  as declared: every host was reached and is, or now is, as declared
  1  not as declared: a host failed, was refused or was not reached, a check
     failed, or the command line is wrong
  2  changes are pending, and nothing failed (drift only)
  130, 143  ended by Ctrl-C or SIGTERM
"""

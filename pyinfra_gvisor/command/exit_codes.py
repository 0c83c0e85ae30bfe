"""Exit codes: one table for all commands and for the deploys."""

from __future__ import annotations

from typing import Final

FINE: Final = 0
FAILED: Final = 1
INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell has it

TABLE: Final = """\b
Exit codes of every command:
  0  as declared: every host was reached and is, or now is, as declared
  1  not as declared: a host failed, was refused or was not reached, a check
     failed, or the command line is wrong
  2  changes are pending, and nothing failed (drift only)
  130, 143  ended by Ctrl-C or SIGTERM
"""

"""How facts ask a node: with one shell, whose answer is ASCII whatever the node holds."""

from __future__ import annotations

from pyinfra.api import QuoteString, StringCommand

# pyinfra fails a host on bytes that are no UTF-8. Names of processes, files and interfaces may hold
# any byte, and containers choose some of them. What has to survive is escaped or base64 by then.
_PRINTABLE = r"\011\012\040-\176"


def asked(text: str) -> StringCommand:
    """
    Return the command that runs a script on a node and prints ``?`` for bytes that are no ASCII.

    + text: a POSIX shell script. The exit code is lost, so its answer has to end with a line that
      says so
    """
    return StringCommand(
        "sh", "-c", QuoteString(text), "|", "LC_ALL=C", "tr", "-c", QuoteString(_PRINTABLE), "'?'"
    )

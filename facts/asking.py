"""Make the command of a fact: one shell, whose output is ASCII."""

from __future__ import annotations

from typing import Any, TypeVar

from pyinfra.api import FactBase, Host, QuoteString, StringCommand

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.scripts import packed
from pyinfra_gvisor.facts.deadline import given_up, limit

# pyinfra fails a host whose output is not UTF-8. Names of processes, files and interfaces may have
# any byte, and containers choose some of them. Scripts escape or base64-encode what must survive.
_PRINTABLE = r"\011\012\040-\176"
_LONGEST = 100_000
"""Characters of a script that is sent as it is: sudo and quoting add to it, see ``packed``."""
_UNREAD = "pyinfra_gvisor.unread"

_NO_PASSWORD = Problem(
    "sudo asks for a password, and this run has no terminal to ask you",
    todo="set _sudo_password for this host, or allow its ssh user NOPASSWD in /etc/sudoers.d on "
    "the node",
)
_BROKEN = Problem("the SSH connection broke", todo="run again")

T = TypeVar("T")


def asked(text: str) -> StringCommand:
    """
    Return the command that runs a script on a node and prints ``?`` for each non-ASCII byte.

    + text: a POSIX shell script. Its exit code is lost, so its last line must mark the end of a
      complete output. Of a long one all but that line is sent compressed
    """
    if len(text) > _LONGEST:
        most, _, end = text.rstrip("\n").rpartition("\n")
        text = f'eval "$(printf %s {packed(most)} | base64 -d | gzip -d)"\n{end}\n'
    return StringCommand(
        "sh", "-c", QuoteString(text), "|", "LC_ALL=C", "tr", "-c", QuoteString(_PRINTABLE), "'?'"
    )


def get(host: Host, fact: type[FactBase[T | None]], **arguments: Any) -> T | None:
    """
    Return a fact of a host; None if it cannot be read, for a reason that was logged or is kept.

    sudo that wants a password makes pyinfra ask for it, which without a terminal ends the run of
    all hosts with ``EOFError``. From here on a host that does not answer is given up in time.
    """
    limit(host)
    try:
        found: T | None = host.get_fact(fact, **arguments)
    except EOFError:
        host.connector_data[_UNREAD] = _NO_PASSWORD if _is_connected(host) else _BROKEN
        return None
    return found


def _is_connected(host: Host) -> bool:
    """Return False if an SSH connection broke, which paramiko reports as ``EOFError`` as well."""
    client = getattr(host.connector, "client", None)
    transport = client.get_transport() if client else None
    return transport is None or bool(transport.is_active())


def why_unread(host: Host) -> Problem | None:
    """Return why no fact of the host can be read; None if pyinfra has said why."""
    problem: Problem | None = given_up(host) or host.connector_data.get(_UNREAD)
    return problem

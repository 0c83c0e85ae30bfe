"""What the flags of a runtime open: one judge for what is declared, and for what is on a node."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from pyinfra_gvisor.runtimes.reviewed import Flag, review

# What it has without --network, in every release: runsc/config/flags.go.
DEFAULT_NETWORK = "sandbox"
DOCKERS_FIRST = "--root"  # follows the words: containerd/go-runc, Runc.args()
# runsc puts these into the names of logs (LogFileOpts in gVisor's runsc/specutils/specutils.go).
LOG_VARIABLES = ("%TIMESTAMP%", "%COMMAND%", "%ID%", "%CID%")


def dangers(words: Iterable[str], network: str = DEFAULT_NETWORK) -> tuple[tuple[str, Flag], ...]:
    """
    Return what a runtime opens to whoever runs in it, with the name of the flag that does.

    + words: what runsc is started with, before the words that Docker adds
    + network: the value of ``--network``, unless the words have it
    """
    given = values_by_flag(words)
    networks = set(given.get("network", (network,)))
    rows = [(name, review(name), values) for name, values in given.items()]
    return tuple(
        (name, row)
        for name, row, values in rows
        if not networks <= set(row.harmless_in)
        if any(not _is_safe(row, value) for value in values)
    )


def told(found: Iterable[tuple[str, Flag]]) -> tuple[str, ...]:
    """Return a phrase for each danger."""
    return tuple(f"{row.what} (--{name})" for name, row in found)


def values_by_flag(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """
    Return the values that each flag may have, read as Go's package flag does.

    The last one counts. A flag without ``=`` that is no switch takes the next word, whatever that
    begins with. Where nobody knows if a flag is a switch, the next word may be its value: then it
    counts as both, and replaces no value that the flag in it had before.
    """
    given: dict[str, tuple[str, ...]] = {}
    taker, sure = "", False
    for word in words:
        doubtful = bool(taker) and not sure
        if taker:
            given[taker] = (*given[taker], word)
        if (taker and sure) or not re.match(r"--?[^-=]", word):
            taker = ""
            continue
        name, equals, value = re.sub("^--?", "", word).partition("=")
        switch = review(name).switch
        new = (value,) if equals else () if switch is False else ("true",)
        given[name] = (*given.get(name, ()), *new) if doubtful else new
        taker = "" if equals or switch else name
        sure = switch is False and not doubtful
    if taker and sure:
        given[taker] = (*given[taker], DOCKERS_FIRST)
    return given


def lacks_value(word: str) -> bool:
    """Return True if runsc would take the next word, Docker's own in the end, for its value."""
    name = re.sub("^--?", "", word)
    return "=" not in name and review(name).switch is False


def is_log_path(path: str, variables: Iterable[str] = LOG_VARIABLES) -> bool:
    """Return True if a log may be written to ``path``: below ``/var/log``, by its name."""
    plain = re.sub("|".join(variables), "x", path)
    below = posixpath.normpath(plain).startswith("/var/log/") and ".." not in plain.split("/")
    return below and re.fullmatch(r"[A-Za-z0-9._/-]+", plain) is not None


def _is_safe(row: Flag, value: str) -> bool:
    if row.log and value and not is_log_path(value):
        return False
    return row.is_safe(value)

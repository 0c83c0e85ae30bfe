"""The dangers of a runtime's flags, for declared runtimes and for those found on a node."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from pyinfra_gvisor.runtimes.reviewed import Flag, review

# runsc's default for --network in every release: runsc/config/flags.go.
DEFAULT_NETWORK = "sandbox"
DOCKERS_FIRST = "--root"  # the first word that Docker adds: containerd/go-runc, Runc.args()
# runsc replaces these in names of logs (LogFileOpts in gVisor's runsc/specutils/specutils.go).
LOG_VARIABLES = ("%TIMESTAMP%", "%COMMAND%", "%ID%", "%CID%")


def dangers(words: Iterable[str], network: str = DEFAULT_NETWORK) -> tuple[tuple[str, Flag], ...]:
    """
    Return the dangerous flags of a runtime: the name of each, and its row in the reviewed table.

    + words: the arguments of runsc, without those that Docker adds
    + network: the value of ``--network``, unless the words have one
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


def describe(found: Iterable[tuple[str, Flag]]) -> tuple[str, ...]:
    """Return a phrase for each danger: what the flag opens, and its name."""
    return tuple(f"{row.what} (--{name})" for name, row in found)


def values_by_flag(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """
    Return the values that each flag may have, parsed like Go's package flag.

    The last value counts. A flag without ``=`` that is not a switch takes the next word as its
    value, whatever that word begins with. If we do not know whether a flag is a switch, the next
    word counts both as its value and as a flag. Then it replaces no earlier value of that flag.
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
    """Return True if runsc would use the next word, such as Docker's first, as the flag's value."""
    name = re.sub("^--?", "", word)
    return "=" not in name and review(name).switch is False


def is_log_path(path: str, variables: Iterable[str] = LOG_VARIABLES) -> bool:
    """Return True if ``path`` is allowed for a log: a plain path below ``/var/log``."""
    plain = re.sub("|".join(variables), "x", path)
    below = posixpath.normpath(plain).startswith("/var/log/") and ".." not in plain.split("/")
    return below and re.fullmatch(r"[A-Za-z0-9._/-]+", plain) is not None


def _is_safe(row: Flag, value: str) -> bool:
    if row.log and value and not is_log_path(value):
        return False
    return row.is_safe(value)

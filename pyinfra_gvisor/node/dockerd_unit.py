"""What starts dockerd, and with which arguments: systemd.service(5), "Command lines"."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

PREFIXES = "-@:+!|"

_WHOLE = re.compile(r"\$(\w+)")
_INSIDE = re.compile(r"\$\{(\w+)\}")


class Supervisor(BaseModel):
    """What starts dockerd; ``process``: nothing does. ``unit`` is systemd's unit, or empty."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["systemd", "openrc", "sysvinit", "process"]
    unit: str = ""

    @classmethod
    def of(cls, value: str) -> Self:
        """Parse what ``node/node_state.sh`` prints. Raises ``ValueError`` if it is unknown."""
        kind, _, unit = value.partition(" ")
        return cls.model_validate({"kind": kind, "unit": unit})


def unit_arguments(text: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the arguments of the command that a unit starts, without the program itself.

    + text: the unit and its drop-ins, as ``systemctl cat`` prints them
    + environment: variables that an ``EnvironmentFile`` sets; they override ``Environment``

    %-specifiers stay as they are. Source: systemd.service(5) and systemd.exec(5).
    """
    command, own = "", dict[str, str]()
    for key, value in _assignments(text):
        if key == "ExecStart":
            command = value  # an empty one resets; of several, the last one starts dockerd
        elif key == "Environment":
            own.update(_variables(value))
    words = split_words(command.lstrip(PREFIXES))
    # With the prefix "@", the word after the program is argv[0].
    prefixes = command[: len(command) - len(command.lstrip(PREFIXES))]
    words = words[2:] if "@" in prefixes else words[1:]
    known = {**own, **environment}
    return tuple(word for raw in words for word in _expanded(raw, known))


def next_arguments(
    unit: str | None = None, docker_opts: str | None = None
) -> tuple[str, ...] | None:
    """
    Return the arguments of dockerd's next start, as far as files have them; None if no file does.

    + unit: the output of ``systemctl cat``, None if no unit starts dockerd
    + docker_opts: the line of ``/etc/default/docker`` that sets ``DOCKER_OPTS``
    """
    options = _variables(docker_opts or "").get("DOCKER_OPTS", "")
    if unit is not None:
        return unit_arguments(unit, {"DOCKER_OPTS": options})
    return None if docker_opts is None else tuple(options.split())  # as an init script splits it


def split_words(text: str) -> list[str]:
    """Split ``text`` like a shell; only at white space if a quote is not closed."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yield the unit's keys and values; lines that end in a backslash are joined."""
    held = ""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):  # also between the lines of one value
            continue
        held += line
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        key, equals, value = held.partition("=")
        if equals:
            yield key.strip(), value.strip()
        held = ""


def _variables(text: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in split_words(text))
    return {name: value for name, equals, value in pairs if equals}


def _expanded(word: str, known: Mapping[str, str]) -> list[str]:
    """Expand a word's variables; a variable that is a whole word becomes zero or more words."""
    if whole := _WHOLE.fullmatch(word):
        return split_words(known.get(whole[1], ""))
    if "$" not in word:
        return [word]
    return [_INSIDE.sub(lambda found: known.get(found[1], ""), word).replace("$$", "$")]

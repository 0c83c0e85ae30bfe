"""Read and change ``--runtime`` in Coolify's Custom Docker Options, and change nothing else."""

from __future__ import annotations

import re

from pyinfra_gvisor.base.errors import Problem

# Valid options of an app: ValidationPatterns::shellSafeCommandRules(2000) in
# bootstrap/helpers/api.php of Coolify 4.0.0 to 4.3.11. Earlier releases accept more.
LIMIT_CHARACTERS = 2000
_PART = re.compile(
    r"""[ \t]+|&&|\|\||"[^"$`\\\n\r]*"|'[^'\n\r]*'|[a-zA-Z0-9._\-/=:@,+\[\]{}#%^~*?!]+"""
)
# Coolify trims texts that it receives: TrimStrings in app/Http/Kernel.php.
_BLANK = " \t\n\r\v"

# Tested with Coolify's own parser, which cuts values at "-".
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]*")
_OPTION = "--runtime"
_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""", re.ASCII)
# The same expression as in the patch of Coolify's bootstrap/helpers/docker.php. It ignores quotes:
# it also finds a runtime inside a quoted value.
_TAKEN = re.compile(
    r"""(?:^|\s)--runtime(?:=|\s+)(["']?)([A-Za-z0-9][A-Za-z0-9._-]*)\1(?=\s|$)""", re.ASCII
)


def runtime_of(text: str | None) -> str | None:
    """Return the runtime that Coolify takes from options: the last one; None if there is none."""
    found = _TAKEN.findall(text or "")
    return str(found[-1][1]) if found else None


def with_runtime(text: str | None, runtime: str) -> str:
    """
    Return the options with ``--runtime`` exactly once and with this runtime, all others unchanged.

    Raises ``Problem`` if Coolify's API would refuse the options, before or after the change.
    """
    if not _NAME.fullmatch(runtime):
        todo = "use letters, digits, dots and underscores; Coolify cuts values at a hyphen"
        raise Problem("Coolify cannot use this name of a runtime", got=runtime, todo=todo)
    before = text or ""
    check_text(before)
    after = _in_place(before, runtime)
    if runtime_of(after) != runtime:  # A quoted value after it looks like the option.
        after = _at_the_end(before, runtime)
    if after != before and len(after.strip(_BLANK)) > LIMIT_CHARACTERS:
        raise Problem(
            f"with {_OPTION}={runtime} the options are longer than Coolify's limit of "
            f"{LIMIT_CHARACTERS} characters",
            got=f"{len(after.strip(_BLANK))} characters",
            todo="shorten them in Coolify",
        )
    return after


def without_runtime(text: str | None) -> str:
    """Return the options without any ``--runtime``. Raises ``Problem`` as ``with_runtime`` does."""
    before = text or ""
    check_text(before)
    return _without(before, _places(before))


def check_text(text: str) -> None:
    """Raise ``Problem`` if Coolify's API would refuse the options."""
    inner, at = text.strip(_BLANK), 0
    while at < len(inner):
        part = _PART.match(inner, at)
        if part is None:
            raise Problem(
                f"Coolify refuses options that contain {_called(inner[at])}",
                got=inner,
                todo="rewrite them in Coolify",
            )
        at = part.end()


def _called(char: str) -> str:
    if char in "\"'":
        return f"a {char} without a closing one, or with $, `, \\ or a newline between the two"
    return "a newline" if char in "\r\n" else f"{char!r}"


def _in_place(text: str, runtime: str) -> str:
    places = _places(text)
    if not places:
        return _at_the_end(text, runtime)
    start, end = places[0]
    rest = _without(text[end:], [(a - end, b - end) for a, b in places[1:]], follows=True)
    written = text[start:end]
    if runtime_of(written) != runtime:
        written = f"{_OPTION}={runtime}"
    return f"{text[:start]}{written}{rest}"


def _at_the_end(text: str, runtime: str) -> str:
    kept = _without(text, _places(text))
    if not kept.strip(_BLANK):
        return f"{_OPTION}={runtime}"
    head = kept.rstrip(_BLANK)
    blank = kept[len(head) :]
    if not blank or blank.strip(" \t"):  # Coolify trims newlines at the end and refuses others.
        blank = " "
    return f"{head}{blank}{_OPTION}={runtime}"


def _places(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each option ``--runtime`` with its value."""
    words = list(_WORD.finditer(text))
    places = []
    for at, word in enumerate(words):
        if word[0].startswith(f"{_OPTION}="):
            places.append(word.span())
        elif word[0] == _OPTION:
            value = words[at + 1] if at + 1 < len(words) else None
            has_value = value is not None and not value[0].startswith(("-", "&", "|"))
            places.append((word.start(), value.end() if value and has_value else word.end()))
    return places


def _without(text: str, places: list[tuple[int, int]], *, follows: bool = False) -> str:
    """
    Remove words, each with the blanks before it; the first word with the blanks after it.

    + follows: whether the text follows another one, so that its first word is not the first
    """
    for start, end in reversed(places):
        head = text[:start].rstrip(_BLANK)
        text = head + text[end:] if head or follows else text[end:].lstrip(_BLANK)
    return text

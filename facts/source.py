"""Ask from a node for the files of a release, where a deploy would fetch them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.host import Host

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.facts.asking import asked, why_unread
from pyinfra_gvisor.facts.node import read_once
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.releases.pins import is_there
from pyinfra_gvisor.releases.sources import shown_url
from pyinfra_gvisor.settings import Settings

END = "end of source"
_SAY = "say() { printf '%s\\n' \"$*\"; }\n"


class _Url(str):
    """A URL that pyinfra's own messages show without user, password and query."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(shown_url(self))


class Unreachable(FactBase[tuple[str, ...] | None]):
    """Which files the node cannot fetch, each with the reason; ``None`` if nobody answers."""

    def command(self, urls: Sequence[str] = ()) -> StringCommand:
        """Return one shell command, which takes at most 30 seconds for each URL."""
        return asked(question(urls))

    def process(self, output: list[str]) -> tuple[str, ...]:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        *lines, end = output or [""]
        if end != END or not all(line.startswith("no ") for line in lines):
            raise FactProcessError("facts.source: the answer is not complete")
        return tuple(line.removeprefix("no ") for line in lines)


def question(urls: Sequence[str]) -> str:
    """Return the shell program that asks for these URLs."""
    words = shlex.join(word for url in urls for word in (url, shown_url(url)))
    text = script("releases/fetch", "releases/reach")
    return f"{_SAY}{text}reach {words}\necho '{END}'\n"


def source_problem(host: Host, node: Node, settings: Settings) -> Problem | None:
    """Return why the node cannot fetch its release; None if it can, or if it has it."""
    archive = settings.archive
    if is_there(node, settings.release, archive) or not settings.runtimes:
        return None
    try:
        fetch = archive.fetch(settings.release, node.arch)
    except Problem:
        return None  # preflight says it
    no_tool = node.tools is not None and not {"curl", "wget"} & {*node.tools}
    if fetch.kind != "url" or no_tool:  # preflight says that, too
        return None
    urls = tuple(_Url(file.location) for file in fetch.files)
    found = read_once(host, Unreachable, urls=urls)
    if found is None:
        return why_unread(host) or Problem("the node does not answer", todo="run again")
    if not found:
        return None
    todo = "check the node's DNS, firewall and proxy, or set gvisor_source to what it can reach"
    return Problem(f"the node cannot fetch {found[0]}", todo=todo)

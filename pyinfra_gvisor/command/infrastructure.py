"""``infrastructure`` and ``accept``: which containers run outside of gVisor on the nodes."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from pyinfra_gvisor.base.columns import as_laid_out
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.exit_codes import FAILED
from pyinfra_gvisor.command.running import (
    INVENTORY,
    Nodes,
    check_reason,
    fleets_or_own,
    on_nodes,
    pyinfra_arguments,
    run_pyinfra,
)
from pyinfra_gvisor.dispatch.accepted import (
    accepted_so_far,
    accepted_text,
    is_accepted,
    merged,
    write_accepted,
)
from pyinfra_gvisor.dispatch.policy import Infrastructure
from pyinfra_gvisor.dispatch.proposals import proposals
from pyinfra_gvisor.dispatch.shapes import SHAPES
from pyinfra_gvisor.platforms.discovered import (
    FOUND_DIR,
    WANTED,
    HostFound,
    as_result,
    lines,
    read_found,
    unused,
)
from pyinfra_gvisor.platforms.selection import (
    Chosen,
    applying,
    cards,
    chosen,
    doubts,
    file_of,
    with_reason,
)
from pyinfra_gvisor.report.results import as_document

_DEPLOY = "infrastructure"


class _Typed(NamedTuple):
    """What was typed: names, and after ``--`` options of pyinfra."""

    names: tuple[str, ...]
    options: tuple[str, ...]


def _typed(words: Sequence[str]) -> _Typed:
    first = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    return _Typed(tuple(words[:first]), tuple(words[first:]))


@click.command()
@on_nodes
@click.option("--json", "as_json", is_flag=True, help="The result as JSON, on stdout.")
def infrastructure(nodes: Nodes, *, as_json: bool) -> int:
    """
    List the platform's own containers. Changes nothing.

    For each node: known images and containers, whether they are accepted, and how they differ from
    their image. With --json also the entries that accept would write.
    """
    found, unread = _look(nodes, ())
    if as_json:
        click.echo(json.dumps(as_document(tuple(map(as_result, found)))))
        return unread
    for host in found:
        listed = lines(proposals(host.pulled), host.entries)
        for line in (*listed, *unused(host.entries, host.pulled)):
            click.echo(f"[{host.host}] {as_laid_out(line)}")
    return unread


@click.command()
@click.option(
    "--inventory", default=INVENTORY, show_default=True, metavar="FILE", help="The nodes."
)
@click.option("--limit", multiple=True, metavar="PATTERN", help="Hosts or groups.")
@click.option("--reason", metavar="TEXT", help="Why it may run outside of gVisor.")
@click.option(
    "--shape", type=click.Choice(list(SHAPES)), help="What it is. Default: by its image's name."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.argument("things", nargs=-1, required=True, metavar="IMAGE_ID|CONTAINER… [-- OPTIONS…]")
def accept(
    inventory: str,
    limit: tuple[str, ...],
    reason: str | None,
    shape: str | None,
    things: tuple[str, ...],
    *,
    yes: bool,
) -> int:
    """
    Accept an image or a container as infrastructure.

    Shows it as it is on the nodes, and with -- -v the whole entry; writes it to infrastructure.json
    in the current directory, and brings it to the nodes that read this file and have
    gvisor_default.
    """
    typed = _typed(things)
    _check(typed.names, reason, yes=yes)
    nodes = Nodes(inventory, limit, typed.options)
    found, unread = _look(nodes, typed.names)
    picked = chosen(found, typed.names, shape)
    file = file_of(found, picked)
    path = Path(file)
    new = _new(path, picked, reason)
    for line in cards(found, picked):
        click.echo(as_laid_out(line))
    if new and yes and reason is None and (why := doubts(found, picked)):
        todo = "run again without -y and answer the question, or give a --reason"
        raise Problem(f"-y does not accept this without a reason: {'; '.join(why)}", todo=todo)
    if not new:
        click.echo(f"{path}: already accepted")
    elif not _written(path, new, yes=yes, whole="-v" in typed.options):
        return FAILED
    hosts = applying(found, file)
    if not hosts:
        click.echo("no node was changed: entries take effect with gvisor_default")
        return unread
    nodes = nodes._replace(limits=hosts)
    return run_pyinfra(pyinfra_arguments(nodes, "gvisor", *(("-y",) if yes else ()))) or unread


def _check(names: Sequence[str], reason: str | None, *, yes: bool) -> None:
    if not names:
        raise click.UsageError("give the id of an image, or the name of a container")
    if tag := next((name for name in names if _is_reference(name)), None):
        what = "a name does not identify an image: any image can have this name"
        todo = "give the image's id: pyinfra-gvisor infrastructure lists ids"
        raise Problem(what, got=tag, todo=todo)
    if reason is not None:
        check_reason(reason)
    if not yes and not sys.stdin.isatty():
        raise Problem("accept asks before a change, and stdin is no terminal", todo="add -y")


def _is_reference(name: str) -> bool:
    """Return True for an image's name, which is no name of a container and no id."""
    return not re.fullmatch(r"(sha256:)?[0-9a-f]+|[a-zA-Z0-9][a-zA-Z0-9_.-]*", name)


def _look(nodes: Nodes, names: Sequence[str]) -> tuple[tuple[HostFound, ...], int]:
    """Return what the nodes have, and 1 if one of them could not be read, else 0."""
    with tempfile.TemporaryDirectory(prefix="pyinfra-gvisor-") as directory:
        environment = {FOUND_DIR: directory, WANTED: json.dumps(list(names))}
        arguments = pyinfra_arguments(nodes, fleets_or_own(_DEPLOY), "-y")
        code = run_pyinfra(arguments, environment=environment)
        found = read_found(Path(directory))
    if code and not found:
        raise Problem("no node could be read", todo="see the errors above; nothing was changed")
    if code:
        click.echo("not every node could be read: see the errors above", err=True)
    return found, code


def _new(path: Path, picked: Sequence[Chosen], reason: str | None) -> tuple[Infrastructure, ...]:
    """Return the entries that are not in the file yet."""
    known = accepted_so_far(path)
    today = str(datetime.now(UTC).date())
    return tuple(
        with_reason(item, reason, today)
        for item in picked
        if not any(is_accepted(item.entry, entry) for entry in known)
    )


def _written(path: Path, new: Sequence[Infrastructure], *, yes: bool, whole: bool) -> bool:
    if whole:
        click.echo(f"\nto be written to {path}:\n{accepted_text(new)}")
    if not yes and not click.confirm(f"Accept {len(new)} as infrastructure?", default=False):
        click.echo("nothing was written", err=True)
        return False
    known = accepted_so_far(path)
    write_accepted(path, merged(known, new))
    click.echo(f"wrote {path}")
    return True

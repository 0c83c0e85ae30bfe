"""Which runtimes a change of daemon.json removes, and the entries of those that stay."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise

from pyinfra_gvisor.base.json_text import Json, JsonText, from_pointer, pointer
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import CANARY, Owned
from pyinfra_gvisor.daemon_json.records import owned_by_us
from pyinfra_gvisor.node import Node


def leaving(node: Node, before: str | None, after: str | None, action: Force) -> tuple[str, ...]:
    """
    Return the runtimes of the file and of the running dockerd that the change removes.

    + before, after: the text of daemon.json, None for no file

    A reload without ``runtimes`` in the file does not change the running dockerd's runtimes. Our
    own temporary runtimes do not count, because nobody else uses them.
    """
    old, new = ({} if text is None else JsonText(text).value for text in (before, after))
    owned = {from_pointer(name): mine for name, mine in owned_by_us(node).paths.items()}
    there = set(registered(old))
    read = "runtimes" in {*new, *old, *(path[0] for path in owned)}
    if action is Force.RESTART or (action is Force.RELOAD and read):
        live = () if node.info is None else node.info.runtimes
        there |= {name for name in live if not is_builtin(name)}
    flags = node.dockerd.arguments if node.dockerd else ()
    if action is Force.RESTART and node.next_arguments is not None:
        flags = node.next_arguments
    temporary = {path[-1] for path, mine in owned.items() if mine.owners == (CANARY,)}
    return tuple(sorted(there - {*registered(new), *_of_flags(flags), *temporary}))


def staying_entries(text: str | None, owned: Owned, staying: Collection[str]) -> dict[str, Json]:
    """Return the entries of these runtimes: as in the file, or else as we wrote them."""
    ours = {pointer(("runtimes", name)): name for name in staying}
    wrote = {ours[key]: mine.wrote for key, mine in owned.paths.items() if key in ours}
    there = registered({} if text is None else JsonText(text).value)
    return {**wrote, **{name: there[name] for name in staying if name in there}}


def with_staying(
    wanted: Mapping[str, Json], text: str | None, owned: Owned, staying: Collection[str]
) -> Mapping[str, Json]:
    """Return the wanted keys of daemon.json, with the entries of these runtimes added."""
    entries = staying_entries(text, owned, staying)
    return {**wanted, "runtimes": {**entries, **registered(wanted)}} if entries else wanted


def registered(value: Mapping[str, Json]) -> dict[str, Json]:
    """Return the entries of ``runtimes`` in daemon.json, by name."""
    entries = value.get("runtimes")
    return dict(entries) if isinstance(entries, dict) else {}


def _of_flags(arguments: Iterable[str]) -> set[str]:
    """Return the names of the runtimes that dockerd's flag ``--add-runtime`` registers."""
    words = list(arguments)
    given = [word.partition("=")[2] for word in words if word.startswith("--add-runtime=")]
    given += [after for word, after in pairwise(words) if word == "--add-runtime"]
    return {entry.partition("=")[0] for entry in given}


def is_builtin(name: str) -> bool:
    """Return True if the runtime is built into dockerd."""
    return name == "runc" or name.startswith("io.containerd.")

"""Read the state of a node in one command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.host import Host

from pyinfra_gvisor.dispatch.preview import Preview
from pyinfra_gvisor.facts.asking import asked, get
from pyinfra_gvisor.node import Node, parse_node, state_script
from pyinfra_gvisor.settings import PREFIX, Settings, load_settings

_MEMORY = "pyinfra_gvisor.node"
_CHANGING = "pyinfra_gvisor.changing"
_PREVIEW = "pyinfra_gvisor.preview"

T = TypeVar("T")


class NodeState(FactBase[Node | None]):
    """
    Everything a deploy decides on, in one command; ``None`` if it cannot be read.

    + textfile_dir: a directory to look for
    + proof_image: an image to look for
    + preview: the policy and seals by which to say where each container would run

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.node.NodeState
    """

    def command(
        self,
        textfile_dir: str | None = None,
        proof_image: str | None = None,
        preview: Preview | None = None,
    ) -> StringCommand:
        """Return the whole script, as the argument of the one shell that pyinfra starts."""
        return asked(
            state_script(
                textfile_dir=textfile_dir,
                proof_image=proof_image,
                preview=preview.variables if preview else None,
            )
        )

    def process(self, output: list[str]) -> Node:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        try:
            return parse_node(output)
        except ValueError as error:
            raise FactProcessError(f"facts.node: {error}") from error


def read_node(host: Host, settings: Settings | None = None) -> Node | None:
    """
    Return the node's state, read once and kept until a command may have changed it.

    + settings: by which to say where containers would run; None: those of the host's data

    pyinfra caches no facts, and each read is a round trip. The kept state is valid until an
    operation yields a command on this host (it calls ``forget_node``) or has run one (pyinfra
    counts them).

    Returns None, with the host marked as failed, if the state cannot be read.
    """
    given = {name: host.data.get(PREFIX + name) for name in ("textfile_dir", "proof_image")}
    preview = _preview(host) if settings is None else settings.preview
    return read_once(host, NodeState, **_texts(given), **({"preview": preview} if preview else {}))


def _texts(given: Mapping[str, Any]) -> dict[str, str]:
    """Return what is a text: settings may be wrong where a node is read anyway."""
    return {name: value for name, value in given.items() if value and isinstance(value, str)}


def _preview(host: Host) -> Preview | None:
    """Return what the host's settings declare about places; None if nothing, or if invalid."""
    if _PREVIEW not in host.connector_data:
        settings, _ = load_settings(host.data.dict())
        host.connector_data[_PREVIEW] = None if settings is None else settings.preview
    found: Preview | None = host.connector_data[_PREVIEW]
    return found


def remember(host: Host, settings: Settings) -> None:
    """Keep what the host's data declare, which every later read of the node needs."""
    host.connector_data[_PREVIEW] = settings.preview


def read_once(host: Host, fact: type[FactBase[T | None]], **arguments: Any) -> T | None:
    """Return another fact about the node, kept as long as its state is."""
    memory = host.connector_data.setdefault(_MEMORY, {})
    key = (fact, *sorted(arguments.items()))
    kept = memory.get(key)
    if kept and kept[0] == operations_run(host):
        value: T = kept[1]
        return value
    found = get(host, fact, **arguments)
    if found is not None:
        memory[key] = (operations_run(host), found)
    return found


def forget_node(host: Host) -> None:
    """
    Discard the kept state: the next ``read_node`` asks the node again.

    Call this before yielding a command. Does nothing while pyinfra only prepares commands.
    """
    if host.state.is_executing:
        host.connector_data.pop(_MEMORY, None)
        host.connector_data[_CHANGING] = host.executing_op_hash


def operations_run(host: Host) -> int:
    """
    Return how many operations, also of other deploys, have run a command on this host.

    pyinfra counts an operation when it has ended. One that called ``forget_node`` counts from then
    on: what it reads after its command is still true for the next operation.
    """
    changing = host.connector_data.get(_CHANGING)
    operations = host.state.ops[host].items()
    return sum(data.operation_meta.executed or key == changing for key, data in operations)

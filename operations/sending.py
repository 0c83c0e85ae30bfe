"""The command that runs scripts on a node."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from pyinfra_gvisor.node_files import NodeFile
from pyinfra_gvisor.scripts import script


def sent(
    operation: str, *names: str, files: Iterable[NodeFile] = (), **variables: str | int
) -> StringCommand:
    """
    The command that runs scripts on this host, with files behind it that they put there.

    + operation: what errors begin with
    + names: of scripts behind ``put_files``
    + variables: what these need
    """
    text = script("put_files", *names, operation=operation, host=host.name, **variables)
    words = [word for item in files for word in item.words]
    return StringCommand("sh", "-c", QuoteString(text), "sh", *map(QuoteString, words))

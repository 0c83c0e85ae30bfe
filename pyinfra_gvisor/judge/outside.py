"""Which containers run outside of gVisor without that anybody asks the judge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.docker_files import read_container
from pyinfra_gvisor.judge.places import below
from pyinfra_gvisor.judge.rules import DEFAULT_RUNTIME, asks_for_runc, in_force

_ID = re.compile("[0-9a-f]{64}")


def outside_with_volumes(
    root: str,
    takes_runc: bool,
    paths: NodePaths = NodePaths(),  # noqa: B008
) -> Iterator[str]:
    """
    Yield the names of such containers that have volumes.

    The judge cannot have them follow the links in their volumes.

    + root: Docker's data root
    + takes_runc: whether the judge is asked about containers under runc, too

    Raises ``Undecided`` if a container cannot be read.
    """
    _, runtimes = in_force(paths.daemon_json)
    for path in sorted(Path(root, "containers").glob("*/hostconfig.json")):
        if not _ID.fullmatch(path.parent.name):
            continue
        container = read_container(root, path.parent.name)
        asked = container.host.get("Runtime") or ""
        own = below((runtimes.get(asked) or {}).get("path") or "", paths.runtimes) is not None
        taken = takes_runc and asks_for_runc(asked, runtimes.get(asked))
        is_asked = own or taken or asked in ("", DEFAULT_RUNTIME)
        if not is_asked and any(mount.is_volume for mount in container.mounts):
            yield container.name

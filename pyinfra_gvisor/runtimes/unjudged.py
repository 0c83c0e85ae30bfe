"""Ways into a sandbox that ask no judge, so that neither policy nor seal holds there."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME

RULE = "judge-bypassed"
"""The id of the finding. Its waiver also lifts the refusal of ``gvisor_default``."""

REMOVE = (
    "Remove the runtime from daemon.json, or declare it in gvisor_runtimes. Move the shim to a "
    "directory that is not on containerd's PATH"
)


def unjudged(node: Node, declared: Collection[str]) -> Iterator[tuple[str, str]]:
    """
    Yield the runtimes and shims that start sandboxes past our wrappers, each with the reason.

    + declared: names of declared runtimes, whose entries a run replaces
    """
    known = {} if node.info is None else node.info.runtimes
    for name in node.foreign_runsc:
        if name not in (*declared, DEFAULT_RUNTIME):
            entry = known.get(name)
            what = (entry and entry.path) or "a shim"
            yield f"runtime {cut(name)}", f"starts runsc by {cut(what)}, without our wrapper"
    for path in node.foreign_shims:
        name = path.rpartition("/")[2].removeprefix("containerd-shim-").replace("-", ".", 1)
        yield cut(path), f"docker run --runtime io.containerd.{cut(name)} starts it"

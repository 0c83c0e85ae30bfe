"""A node that has what the resolver needs, and one on which it is, as the node tells it."""

from collections.abc import Sequence
from typing import Any

from pyinfra_gvisor.base.node_files import ROOT, FoundFile, NodeFile
from pyinfra_gvisor.parts.resolver.files import kept_files
from pyinfra_gvisor.parts.resolver.state import ResolverState

ABLE: dict[str, Any] = {"ip": True, "shared": True}


def there(files: Sequence[NodeFile] | None = None, **changes: Any) -> ResolverState:
    """The state of a node on which these files are, or those of a resolver without settings."""
    found = {
        item.path: FoundFile(sha256=item.sha256, mode=item.mode, owner=ROOT)
        for item in (kept_files((), None) if files is None else files)
    }
    states = {"enabled": True, "socket": "active", "service": "active"}
    return ResolverState(**{**ABLE, **states, "files": found, **changes})


def told(found: ResolverState) -> list[str]:
    """The lines by which ``parts/resolver/state.sh`` tells of it."""
    lines = [key for key in ("ip", "shared", "enabled") if getattr(found, key)]
    one = {"socket": found.socket, "service": found.service}
    lines += [f"{key} {value}" for key, value in one.items() if value]
    for path, item in found.files.items():
        lines += [f"sum {item.sha256} {path}", f"stat {item.mode}:{item.owner} {path}"]
    many = {"asks": found.asks, "stray": found.strays}
    lines += [f"{key} {value}" for key, values in many.items() for value in values]
    return [f"resolver {line}" for line in lines]

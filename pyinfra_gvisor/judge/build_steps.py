"""
What a build step asks for that a sandbox may not have.

BuildKit mounts nothing of the node into a step. What a container loses, a build step is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyinfra_gvisor.judge.seal import control_group


def violations(seal: Mapping[str, Any], spec: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return what is refused, a phrase each.

    + spec: ``config.json`` in the step's bundle
    """
    linux = spec.get("linux") or {}
    own = {item.get("type") for item in linux.get("namespaces") or ()}
    asked = {
        "devices": [f"device {item['path']}" for item in linux.get("devices") or ()],
        "host_namespaces": [
            f"{kind} namespace of the node" for kind in ("network", "pid", "ipc") if kind not in own
        ],
        "privileged": ["--security=insecure"] if _is_insecure(spec) else [],
    }
    found = [item for kind in asked if seal[kind] != "allow" for item in asked[kind]]
    return (*found, *control_group(linux.get("cgroupsPath")))


def _is_insecure(spec: Mapping[str, Any]) -> bool:
    """Return True for a step to which BuildKit gives every capability."""
    capabilities = (spec.get("process") or {}).get("capabilities") or {}
    return "CAP_SYS_ADMIN" in (capabilities.get("bounding") or ())

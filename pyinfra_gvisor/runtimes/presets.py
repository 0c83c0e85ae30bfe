"""Options of a runtime for what does not run under the usual ones, each with its price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Name = Literal["shared-sockets", "ping", "setuid", "docker-cp"]


@dataclass(frozen=True)
class Preset:
    """
    Options of a runtime.

    + helps: what runs with it and not without
    + price: what is given up, or slower
    + options: of ``Runtime``; what an operator gives as well goes before
    """

    helps: str
    price: str
    options: Mapping[str, Any]


# Tried in tests/node/test_presets.py, with Docker 26.1 and a lab build of runsc 20260928.0.
PRESETS: Final[dict[Name, Preset]] = {
    "shared-sockets": Preset(
        "containers that share a Unix socket in a volume, such as nginx and PHP",
        "a socket of the node that is mounted works, too: only with a seal, which refuses it",
        {"host_uds": "all", "reason": "containers of one app talk over a Unix socket"},
    ),
    "ping": Preset(
        "ping, traceroute and other users of raw sockets, with the capability NET_RAW",
        "the sockets are gVisor's own, so its network is slower for large transfers",
        {"network": "sandbox", "flags": ("--net-raw",)},
    ),
    "setuid": Preset(
        "setuid programs, such as sudo, in a container without no-new-privileges",
        "an attacker in the container becomes its root, but not the node's",
        {"flags": ("--allow-suid",), "reason": "an app needs a setuid program in its container"},
    ),
    "docker-cp": Preset(
        "docker cp over files that the running container knows already; not in /tmp",
        "the sandbox asks the node again for each file",
        {"flags": ("--file-access=shared",)},
    ),
}


def with_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a runtime with those of the preset that it names, if it names one."""
    name = given.get("preset")
    preset = PRESETS.get(name) if isinstance(name, str) else None  # type: ignore[call-overload]
    flags = given.get("flags", ())
    if preset is None or not isinstance(flags, list | tuple):
        return dict(given)
    return {**preset.options, **given, "flags": (*preset.options.get("flags", ()), *flags)}

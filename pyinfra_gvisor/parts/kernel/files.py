"""Render and parse the files that block kernel modules and set sysctls on a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.parts.kernel.names import sysctl_key

MODULES_FILE = "/etc/modprobe.d/pyinfra-gvisor.conf"
SYSCTL_FILE = "/etc/sysctl.d/90-pyinfra-gvisor.conf"
DIRECTORY = "/opt/gvisor/kernel"

_HEAD = "# Written by pyinfra-gvisor from gvisor_kernel in the inventory. Do not edit.\n"


def kernel_files(modules: Iterable[str], settings: Mapping[str, str]) -> tuple[NodeFile, ...]:
    """
    Return the files for these modules and sysctls; a file without content is left out.

    ``blacklist`` would only ignore a module's aliases; ``install`` blocks every way to load it:
    modprobe.d(5).
    """
    kept_out = "".join(f"install {name} /bin/false\n" for name in modules)
    set_to = "".join(f"{key} = {value}\n" for key, value in settings.items())
    texts = {MODULES_FILE: kept_out, SYSCTL_FILE: set_to}
    return tuple(NodeFile(path, "644", _HEAD + text) for path, text in texts.items() if text)


def kept_out_by(text: str) -> tuple[str, ...]:
    """Parse the modules that our modprobe.d file blocks."""
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "install")


def set_by(text: str) -> dict[str, str]:
    """
    Parse the lines of a sysctl.d(5) file into values by key.

    Patterns are skipped: keys that a file names win over them.
    """
    found = {}
    for line in text.splitlines():
        key, equals, value = line.strip().removeprefix("-").partition("=")
        try:
            name = sysctl_key(key.strip())
        except Problem:
            continue
        if equals:
            found[name] = " ".join(value.split())
    return found

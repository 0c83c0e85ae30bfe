"""Our files about the kernel on a node, as texts, and what they say when they are read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node_files import NodeFile
from pyinfra_gvisor.parts.kernel.names import sysctl_key

MODULES_FILE = "/etc/modprobe.d/pyinfra-gvisor.conf"
SYSCTL_FILE = "/etc/sysctl.d/90-pyinfra-gvisor.conf"
DIRECTORY = "/opt/gvisor/kernel"

_HEAD = "# Of pyinfra-gvisor, which writes it anew.\n"


def kernel_files(modules: Iterable[str], settings: Mapping[str, str]) -> tuple[NodeFile, ...]:
    """
    Those that have something to say.

    ``blacklist`` would only take a module's aliases away; ``install`` stops every way to load it:
    modprobe.d(5).
    """
    kept_out = "".join(f"install {name} /bin/false\n" for name in modules)
    set_to = "".join(f"{key} = {value}\n" for key, value in settings.items())
    texts = {MODULES_FILE: kept_out, SYSCTL_FILE: set_to}
    return tuple(NodeFile(path, "644", _HEAD + text) for path, text in texts.items() if text)


def kept_out_by(text: str) -> tuple[str, ...]:
    """The modules that a file of ours keeps out."""
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "install")


def set_by(text: str) -> dict[str, str]:
    """
    What lines of sysctl.d(5) set, by key.

    A pattern is passed over: what a file names itself comes before it.
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

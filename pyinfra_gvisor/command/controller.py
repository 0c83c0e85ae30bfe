"""What a run needs on the controller, the machine that pyinfra runs on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from pyinfra_gvisor.command.fleet import KNOWN_HOSTS
from pyinfra_gvisor.command.host_keys import hashed_lines
from pyinfra_gvisor.node.changes import package_version

KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
"""Private keys that paramiko, which pyinfra connects with, looks for in ~/.ssh."""

MANY_HASHED = 100
"""Lines of known_hosts: computing so many for each host is felt."""


def controller_lines() -> Iterator[str]:
    """Return a line for each thing that was checked here, with what to do where it is missing."""
    ours = f"pyinfra-gvisor {package_version()}"
    yield f"controller  Python {platform.python_version()}, pyinfra {version('pyinfra')}, {ours}"
    home = Path.home() / ".ssh"
    keys = [str(home / name) for name in KEYS if (home / name).is_file()]
    if os.environ.get("SSH_AUTH_SOCK"):
        keys.append("ssh-agent")
    config = home / "config"
    if config.is_file() and "identityfile" in config.read_text(errors="replace").lower():
        keys.append(f"IdentityFile in {config}")
    if keys:
        yield f"controller  SSH keys: {', '.join(keys)}"
    else:
        yield (
            f"controller  no SSH key in {home} and no ssh-agent. If the inventory sets no ssh_key, "
            "make one: ssh-keygen -t ed25519"
        )
    hashed = hashed_lines(home / "known_hosts")
    if hashed > MANY_HASHED and not Path(KNOWN_HOSTS).exists():
        yield (
            f"controller  {home / 'known_hosts'}: {hashed} names are hashed, and a run computes "
            "each for each host: docs/how-to/canary.md#host-keys"
        )

"""Data of every host. All settings: docs/reference/settings.md."""

import sys as _sys
from pathlib import Path as _Path

_sys.path.append(str(_Path(__file__).resolve().parents[2]))  # from any directory, uninstalled

from pyinfra_gvisor.deploys.hosts import require_hosts

# Without a host, for example after a mistyped --limit, pyinfra does nothing and still exits with 0.
require_hosts()

_sudo = True

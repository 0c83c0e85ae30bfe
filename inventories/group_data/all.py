"""For every host. Keys and their meaning: docs/reference/settings.md."""

import sys as _sys
from pathlib import Path as _Path

_sys.path.append(str(_Path(__file__).resolve().parents[2]))  # from any directory, uninstalled

from pyinfra_gvisor.deploys.hosts import require_hosts

# Without a host, as behind a mistyped --limit, pyinfra would run nothing and end well.
require_hosts()

_sudo = True

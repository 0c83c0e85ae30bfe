"""
The servers that Coolify knows, with the same settings as your own inventory:

    export COOLIFY_URL=https://coolify.example.com COOLIFY_TOKEN=…
    pyinfra inventories/coolify.py deploys/audit.py -y

Instead of COOLIFY_TOKEN, COOLIFY_TOKEN_FILE can name a file with the token. COOLIFY_SSH_HOST is the
control host's name for ssh, if it is not the host in COOLIFY_URL, for example with a tunnel.
COOLIFY_SSH_KEY is the SSH key for all servers.
"""

import os as _os
import sys as _sys
from pathlib import Path as _Path

_sys.path.append(str(_Path(__file__).resolve().parent.parent))  # from any directory, uninstalled

from pyinfra.api.exceptions import PyinfraError as _PyinfraError

from pyinfra_gvisor.base.errors import Problem as _Problem
from pyinfra_gvisor.coolify import servers as _servers

try:
    _groups = _servers.groups(_os.environ)
except _Problem as _problem:
    raise _PyinfraError(f"inventories/coolify.py: {_problem}") from _problem

# Servers that run apps, servers that only build them, and the control host: group_data/<group>.py.
run, build, coolify = _groups.run, _groups.build, _groups.coolify

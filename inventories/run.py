"""
Your run nodes. Fill in hosts, as ssh knows them, then look before you leap:

    pyinfra inventories/run.py deploys/gvisor.py --dry --diff
"""

from pyinfra.api.exceptions import PyinfraError as _PyinfraError

# Nodes that get every change first: pyinfra inventories/run.py deploys/gvisor.py --limit canary
canary = [
    # "run-1.example.com",
]

# Nodes that run your users' containers. Canaries are run nodes too.
run = [
    *canary,
    # "run-2.example.com",
    # ("run-3.example.com", {"ssh_user": "debian", "ssh_port": 2222}),
    # ("run-4.example.com", {"gvisor_docker": "debian"}),  # a new machine, without Docker
]

# Nodes that build images and nothing else: builds are in no sandbox, so no app belongs beside them.
build = [
    # "build-1.example.com",
]

# Coolify's control host: no gVisor, and a daemon.json that its installer leaves alone.
coolify = [
    # "factory.example.com",
]

if not [*run, *build, *coolify]:
    raise _PyinfraError("no host is filled in; write your nodes into the list run")

"""
Your nodes, by group. Write host names as for ssh, then look at the plan, which changes nothing:

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

# Nodes that build images and run no apps: builds run directly on the host kernel.
build = [
    # "build-1.example.com",
]

# Coolify's control host: no gVisor, only a daemon.json that Coolify's installer does not overwrite.
coolify = [
    # "factory.example.com",
]

if not [*run, *build, *coolify]:
    raise _PyinfraError("inventories/run.py: it has no host; write your nodes into the list run")

"""Your nodes, as ssh knows them."""

from pyinfra_gvisor.deploys.hosts import require_hosts

require_hosts()  # from any directory: a run without hosts is an error

# Nodes that get every change first: pyinfra-gvisor apply --limit canary
canary = [
    "run-1.example.com",
]

# Nodes that run untrusted containers.
run = [
    *canary,
    "run-2.example.com",
]

# Nodes that only build images.
build = [
    "build-1.example.com",
]

# Coolify's own host: no gVisor.
coolify = [
    "factory.example.com",
]

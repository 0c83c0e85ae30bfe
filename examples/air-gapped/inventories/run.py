"""Your nodes, as ssh knows them."""

from pyinfra_gvisor.deploys.hosts import require_hosts

require_hosts()  # from any directory: a run without hosts is an error

# Nodes that get every change first: pyinfra-gvisor apply --limit canary
canary = []

# Nodes that run untrusted containers.
run = [
    *canary,
    "run-1.internal",
    "run-2.internal",
]

# Nodes that only build images.
build = []

# Coolify's own host: no gVisor.
coolify = []

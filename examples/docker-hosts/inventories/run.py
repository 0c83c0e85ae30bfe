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
    ("run-3.example.com", {"ssh_user": "debian", "ssh_port": 2222}),
    ("run-4.example.com", {"gvisor_docker": "debian"}),  # a new machine, without Docker
]

# Nodes that only build images.
build = []

# Coolify's own host: no gVisor.
coolify = []

"""Your nodes, as ssh knows them."""

# Nodes that get every change first: pyinfra-gvisor apply --limit canary
canary = []

# Nodes that run containers of strangers.
run = [
    *canary,
    "run-1.internal",
    "run-2.internal",
]

# Nodes that only build images.
build = []

# Coolify's own host: no gVisor.
coolify = []

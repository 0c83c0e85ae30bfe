"""Your nodes, as ssh knows them."""

# Nodes that get every change first: pyinfra-gvisor apply --limit canary
canary = [
    "run-1.example.com",
]

# Nodes that run containers of strangers.
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

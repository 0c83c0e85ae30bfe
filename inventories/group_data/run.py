"""For nodes that run your users' containers. All keys: docs/reference/settings.md."""

# The release to have. Changing it installs the new one beside the old; new containers take it.
gvisor_release = "20260928.0"

# Docker runtimes by name. Apps that ask for "runsc" are what everything here is about. The second
# one has gVisor's own network stack, and Docker's names with it: docs/names.md.
gvisor_runtimes = {
    "runsc": {"network": "host"},
    # "gvisor": {"network": "sandbox", "dns": "docker"},
}

# What the audit asks for beside what Coolify runs for its users, and where its reports go.
# gvisor_exempt = [{"name": "shop-builder", "reason": "builds images, until it moves in March"}]
# gvisor_report_dir = "reports"

# A timer on the node that looks every two minutes for apps that are not in their sandbox.
# gvisor_watch = True

# What containers may reach: the open internet and each other, but no metadata service, no private
# network, not the node itself, no mail port. Look with --dry first: docs/egress.md.
# gvisor_egress = {"allow": [{"to": "10.0.0.5", "ports": ["5432"]}]}

# Kernel modules that no run node needs are kept out, and settings of its network set.
# gvisor_kernel = {}

# Keys of daemon.json to own over the hardened default; None leaves a key alone.
# gvisor_daemon_json = {"userland-proxy": None, "registry-mirrors": ["https://mirror.example.com"]}

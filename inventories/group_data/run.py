"""For nodes that run your users' containers. All keys: the settings table in the README."""

# The release to have. Changing it installs the new one beside the old; new containers take it.
gvisor_release = "20260928.0"

# Docker runtimes by name. Apps that ask for "runsc" are what everything here is about.
gvisor_runtimes = {"runsc": {"network": "host"}}

# What the audit asks for beside what Coolify runs for its users, and where its reports go.
# gvisor_exempt = [{"name": "shop-builder", "reason": "builds images, until it moves in March"}]
# gvisor_report_dir = "reports"

# A timer on the node that looks every two minutes for apps that are not in their sandbox.
# gvisor_watch = True

# Keys of daemon.json to own over the hardened default; None leaves a key alone.
# gvisor_daemon_json = {"userland-proxy": None, "registry-mirrors": ["https://mirror.example.com"]}

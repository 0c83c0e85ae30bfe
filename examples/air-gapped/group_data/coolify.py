"""Settings of Coolify's own host."""

gvisor_runtimes = {}
gvisor_daemon_json = {"no-new-privileges": None, "userland-proxy": None}

# Servers whose apps get --runtime=runsc. An app without that runtime on its server cannot start.
# gvisor_coolify_servers = ["*"]

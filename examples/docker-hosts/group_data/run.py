"""Settings of the nodes in the list `run`."""

# Change it to upgrade. The new release is proven before any container uses it.
gvisor_release = "20260928.0"

# Docker runtimes by name: docker run --runtime=runsc …
gvisor_runtimes = {
    "runsc": {"network": "host"},
    "strict": {"network": "host", "hardening": "strict"},  # for code that you trust least
}

# Which containers must run in gVisor. Without this setting: those of Coolify.
gvisor_must_sandbox = [{"labels": {"com.example.tenant": ["shop", "blog"]}}, {"name": "ci-*"}]
gvisor_exempt = [{"name": "ci-cache", "reason": "our own proxy, no code of tenants"}]

# The open internet and each other, but no metadata service, no private network, not the node, no
# port 25. Apps may reach the database, and a container may scrape the node exporter of its node.
gvisor_egress = {
    "allow": [{"to": "10.0.0.5", "ports": ["5432"]}],
    "node_ports": ["9100"],
}

# Kernel modules that no run node needs are blocked, and sysctls set.
gvisor_kernel = {}

# Keys of daemon.json beside the hardened ones. Others in the file stay as they are.
gvisor_daemon_json = {"registry-mirrors": ["https://mirror.example.com"]}

# Reports of the audit on this machine, and metrics for the node exporter on each node.
gvisor_report_dir = "reports"
gvisor_textfile_dir = "/var/lib/prometheus/node-exporter"

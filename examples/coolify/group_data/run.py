"""Settings of the nodes in the list `run`."""

# Change it to upgrade. The new release is proven before any container uses it.
gvisor_release = "20260928.0"

# Docker runtimes by name. Coolify sets --runtime=runsc. An app may ask for the second one, which
# has gVisor's own network stack, and Docker's names.
gvisor_runtimes = {
    "runsc": {"network": "host"},
    "gvisor": {"network": "sandbox", "dns": "docker"},
}

# Without gvisor_must_sandbox, all that Coolify runs for its users must run in gVisor: applications,
# services and databases, by the labels that Coolify gives them.
gvisor_exempt = [{"name": "registry-mirror-*", "reason": "needs a kernel module until the spring"}]

# Without the patch, the node decides: docs/how-to/coolify.md has the steps. Remove gvisor_exempt
# then. Railpack needs a build server. Uploads of backups to S3 also need /data/coolify/backups in
# binds: then any container of the node could mount all backups.
# gvisor_default = "sandbox"
# gvisor_infrastructure = "infrastructure.json"
# gvisor_seal = {
#     "binds": [
#         "/data/coolify/applications",
#         "/data/coolify/databases",
#         "/data/coolify/services",
#         "/data/coolify/ssl/coolify-ca.crt",
#     ]
# }

# The open internet and each other, but no metadata service, no private network, not the node, no
# port 25. Coolify's sentinel, a container, sends metrics to Coolify at this private address.
gvisor_egress = {"allow": [{"to": "10.0.0.2", "ports": ["8000"]}]}

# A timer on each node reports apps that run directly on the host kernel.
gvisor_watch = True

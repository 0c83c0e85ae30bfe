"""Data of nodes that run your users' containers. All settings: docs/reference/settings.md."""

# The gVisor release. A new one is installed beside the old one; new containers use it.
gvisor_release = "20260928.0"

# Docker runtimes by name. Apps ask for "runsc". The second one has gVisor's own network stack, and
# resolves Docker's names too: docs/names.md.
gvisor_runtimes = {
    "runsc": {"network": "host"},
    # "gvisor": {"network": "sandbox", "dns": "docker"},
}

# Run every container in gVisor by default. First accept the platform's own containers:
# pyinfra-gvisor infrastructure lists them, and pyinfra-gvisor accept ID accepts one. Then remove
# the # below. Never set gvisor_default on the host that runs Coolify itself. The seal has files and
# directories that every container of the node may mount. Coolify's uploads of backups to S3 need
# /data/coolify/backups: then any container of the node could mount all backups. gvisor_default
# excludes gvisor_exempt.
# gvisor_default = "sandbox"
# gvisor_infrastructure = "infrastructure.json"
# gvisor_seal = {"binds": ["/srv/apps"]}

# Apps that need not run in gVisor, and the directory for the audit's reports.
# gvisor_exempt = [{"name": "shop-builder", "reason": "builds images, until it moves in March"}]
# gvisor_report_dir = "reports"

# A timer on the node that checks every two minutes for apps that must run in gVisor but do not.
# gvisor_watch = True

# Firewall for containers: allow the internet and other containers; block metadata services, private
# networks, the node itself and mail ports. Look at the plan first: docs/egress.md.
# gvisor_egress = {"allow": [{"to": "10.0.0.5", "ports": ["5432"]}]}

# Block kernel modules that no run node needs, and harden sysctls: docs/kernel.md.
# gvisor_kernel = {}

# Keys of daemon.json, on top of the hardened defaults; None leaves a key unmanaged.
# gvisor_daemon_json = {"userland-proxy": None, "registry-mirrors": ["https://mirror.example.com"]}

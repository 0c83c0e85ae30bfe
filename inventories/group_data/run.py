"""Data of nodes that run your users' containers. All settings: docs/reference/settings.md."""

# The gVisor release. A new one is installed beside the old one; new containers use it.
gvisor_release = "20260928.0"

# Docker runtimes by name. Apps ask for "runsc". The second one has gVisor's own network stack, and
# resolves Docker's names too: docs/names.md.
gvisor_runtimes = {
    "runsc": {"network": "host"},
    # "gvisor": {"network": "sandbox", "dns": "docker"},
}

# Run every container in gVisor by default, but never on the host that runs Coolify itself.
# 1. If pyinfra-gvisor infrastructure lists containers, remove the # before the next line. Then
#    accept those that you trust: pyinfra-gvisor accept CONTAINER
# gvisor_infrastructure = "infrastructure.json"
# 2. Remove the # before both lines below, and gvisor_exempt. Every container of the node may mount
#    what binds names. Write the directories and files that your apps mount.
# gvisor_default = "sandbox"
# gvisor_seal = {"binds": ["/srv/apps/site/html"]}

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

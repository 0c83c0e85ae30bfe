"""Settings of Coolify's own host."""

gvisor_runtimes = {}
gvisor_daemon_json = {"no-new-privileges": None, "userland-proxy": None}

# Coolify's installer overwrites daemon.json unless it has default-address-pools.
gvisor_daemon_json_if_absent = {"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]}
gvisor_waivers = {
    "2.14": "no untrusted code runs here, and Coolify's own containers are not changed",
    "2.16": "no untrusted code runs here, and Coolify's own containers are not changed",
}

# With the patch. Without it, write gvisor_coolify = False instead.
# Servers whose apps get --runtime=runsc. An app without that runtime on its server cannot start.
gvisor_coolify_servers = ["run-*"]
gvisor_coolify_exempt = [
    {"app": "registry-mirror", "reason": "needs a kernel module until the spring"},
]
gvisor_coolify_redeploy = "never"  # "changed": restart running apps whose option was set

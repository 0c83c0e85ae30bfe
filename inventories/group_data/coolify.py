"""
For Coolify's control host: no strangers' code runs there, so no gVisor, only its daemon.json.

Coolify's installer overwrites daemon.json unless it has default-address-pools.
"""

gvisor_runtimes = {}
gvisor_daemon_json = {"no-new-privileges": None, "userland-proxy": None}
gvisor_waivers = {
    "2.14": "no strangers' code runs here, and Coolify's own containers are left as they are",
    "2.16": "no strangers' code runs here, and Coolify's own containers are left as they are",
}
# Where Coolify answers, and the servers whose apps are set: docs/coolify.md. Its token is in the
# environment as COOLIFY_TOKEN.
# gvisor_coolify_url = "https://coolify.example.com"
# gvisor_coolify_servers = ["run-*"]

gvisor_daemon_json_if_absent = {"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]}

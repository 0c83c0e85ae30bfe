"""
Data of Coolify's control host: no untrusted code runs there, so only daemon.json is managed.

Coolify's installer overwrites a daemon.json that has no default-address-pools.
"""

gvisor_runtimes = {}
gvisor_daemon_json = {"no-new-privileges": None, "userland-proxy": None}
gvisor_waivers = {
    "2.14": "no untrusted code runs here, and Coolify's own containers are not changed",
    "2.16": "no untrusted code runs here, and Coolify's own containers are not changed",
}
# Coolify's address, and the servers whose apps get the runtime: docs/coolify.md. The token comes
# from the environment variable COOLIFY_TOKEN.
# gvisor_coolify_url = "https://coolify.example.com"
# gvisor_coolify_servers = ["run-*"]

gvisor_daemon_json_if_absent = {"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]}

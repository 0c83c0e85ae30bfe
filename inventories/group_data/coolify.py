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
gvisor_daemon_json_if_absent = {"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]}

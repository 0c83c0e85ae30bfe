"""
For Coolify's control host: no strangers' code runs there, so no gVisor, only its daemon.json.

Coolify's installer overwrites daemon.json unless it has default-address-pools.
"""

gvisor_runtimes = {}
gvisor_daemon_json = {"no-new-privileges": None, "userland-proxy": None}
gvisor_daemon_json_if_absent = {"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]}

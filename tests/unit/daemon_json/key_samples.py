"""A value of every kind that dockerd takes for each of its keys, and one that it refuses."""

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.key_table import KEYS, Kind

RIGHT: dict[Kind, Json] = {
    "bool": False,
    "builder": {
        "gc": {
            "enabled": True,
            "defaultKeepStorage": "10GB",
            "policy": [{"keepStorage": "1GB", "filter": ["unused-for=2200h"], "all": True}],
        },
        "entitlements": {"network-host": True, "security-insecure": False},
        "history": {"maxAge": "48h", "maxEntries": 5},
    },
    "ignored": "x",
    "int": 5,
    "ip": "10.1.2.3",
    "ips": ["10.1.2.3"],
    "map of bools": {"x": True},
    "map of maps of strings": {"bridge": {"com.docker.network.driver.mtu": "1400"}},
    "map of strings": {"tag": "x"},
    "nri": {"enable": True, "socket-path": "/run/nri.sock"},
    "object": {"x": {"y": [1]}},
    "pools": [{"base": "10.0.0.0/8", "size": 24}],
    "proxies": {"http-proxy": "http://x:1", "https-proxy": "http://x:1", "no-proxy": "a,b"},
    "runtimes": {"x": {"path": "/x", "runtimeArgs": ["--y"]}},
    "size": "64M",
    "string": "",
    "strings": [],
    "ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}},
}

WRONG: dict[Kind, Json] = {
    "bool": "true",
    "builder": {"gc": {"enabled": "yes"}},
    "int": "5",
    "ip": "localhost",
    "ips": ["localhost"],
    "map of bools": {"x": "true"},
    "map of maps of strings": {"bridge": {"com.docker.network.driver.mtu": 1400}},
    "map of strings": {"tag": 1},
    "nri": {"enable": "yes"},
    "object": ["x"],
    "pools": [{"base": "10.0.0.0/8", "size": "24"}],
    "proxies": {"no-proxy": ["a"]},
    "runtimes": {"x": {"path": "/x", "runtimeArgs": "--y"}},
    "size": 64,
    "string": ["x"],
    "strings": "x",
    "ulimits": {"nofile": {"Name": "nofile", "Hard": "64000", "Soft": 64000}},
}

# Where dockerd asks for more than the right type: one that is there and does no harm.
SPECIAL: dict[str, Json] = {
    "api-cors-header": "*",
    "data-root": "/var/lib/docker",
    "default-cgroupns-mode": "private",
    "default-ipc-mode": "private",
    "default-runtime": "runc",
    "exec-root": "/run/docker",
    "log-driver": "json-file",
    "log-format": "json",
    "log-level": "info",
}


def right(key: str) -> Json:
    """A value that dockerd takes for this key."""
    return SPECIAL.get(key, RIGHT[KEYS[key].kind])

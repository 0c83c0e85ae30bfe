"""Fourteen containers of compose projects, as people run them, and who asks them for something."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.node.audits import sh
from tests.node.containers import must
from tools.lab import LabNode

IMAGE = "apps:1"
HOME = "/srv/move"
# Images have the node's own programs, which are Debian's. redis-server is another name of one.
_IMAGE = f"""
set -eu
mkdir -p /root/image/tmp /root/image/var/tmp /root/image/run /root/image/data /root/image/root
cd /root/image
for link in bin sbin lib lib64; do ln -sfn usr/$link $link; done
tar -C / -c --exclude=usr/share/doc --exclude=usr/sbin/dockerd usr etc > all.tar
tar -r -f all.tar bin sbin lib lib64 tmp var run data root
docker import all.tar {IMAGE} > /dev/null
rm -rf /root/image
"""
_PACKET = "import socket; socket.socket(17, 3, 8).close()"  # gVisor has none: packet(7)
SECRET = "hunter2-of-env"  # noqa: S105 - found nowhere, as a test says
_LATER = f"{_PACKET}; import time\nwhile True: time.sleep(1); {_PACKET.split('; ')[1]}"
_SQLITE = """
import http.server, sqlite3, threading
lock = threading.Lock()
db = sqlite3.connect('/data/shop.db', check_same_thread=False)
db.execute('create table if not exists orders (id integer primary key)')
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with lock, db:
            number = db.execute('insert into orders default values').lastrowid
        self.send_response(200); self.end_headers()
        self.wfile.write(str(number).encode())
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(('', 80), Shop).serve_forever()
"""
_SOCKET = "$s = stream_socket_server('unix:///run/app/app.sock'); chmod('/run/app/app.sock', 0777);"
_ANSWER = " while ($c = stream_socket_accept($s, -1)) { fread($c, 9999);"
_REST = ' fwrite($c, "HTTP/1.0 200 OK\\r\\n\\r\\nok"); fclose($c); }'
_REDIS = [
    "bash",
    "-c",
    "exec -a redis-server redis-check-rdb --appendonly yes --dir /data --protected-mode no",
]


def _service(command: list[str], **more: Any) -> dict[str, Any]:
    return {"image": IMAGE, "command": command, "init": True, "restart": "unless-stopped", **more}


def _healthy(*test: str) -> dict[str, Any]:
    return {"test": ["CMD", *test], "interval": "1s", "timeout": "3s", "retries": 2}


def _web(site: str) -> dict[str, Any]:
    """A site that its proxy finds by its label: two of it can run at once."""
    command = ["caddy", "file-server", "--root", "/etc", "--listen", ":80"]
    check = _healthy("bash", "-c", "exec 3<> /dev/tcp/127.0.0.1/80")
    return _service(command, labels={"caddy": site}, healthcheck=check)


def _to(where: str) -> list[str]:
    return ["caddy", "reverse-proxy", "--from", ":80", "--to", where]


_CRON = """
mkdir /tmp/c
echo '* * * * * date >> /data/ticks' > /tmp/c/root
exec busybox crond -f -c /tmp/c
"""
_ANON = ["sh", "-c", "date >> /data/starts; exec sleep infinity"]
PROJECTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "shop": {"db": _service(["python3", "-c", _SQLITE], volumes=["data:/data"], ports=["8081:80"])},
    "queue": {"redis": _service(_REDIS, volumes=["data:/data"], ports=["6379:6379"])},
    "blog": {
        "php": _service(["php", "-S", "0.0.0.0:80", "-t", "/etc"], ports=["8082:80"]),
        "cron": _service(
            ["sh", "-c", _CRON],
            volumes=["data:/data"],
        ),
    },
    "sock": {
        "php": _service(["php", "-r", _SOCKET + _ANSWER + _REST], volumes=["data:/run/app"]),
        "web": _service(
            _to("unix//run/app/app.sock"), volumes=["data:/run/app"], ports=["8083:80"]
        ),
    },
    "edge": {
        "proxy": _service(_to("site:80"), ports=["8084:80"]),
        "site": _service(["caddy", "file-server", "--root", "/etc", "--listen", ":80"]),
    },
    "one": {"web": _web("one.example.com")},
    "two": {"web": _web("two.example.com")},
    "misc": {
        "fails": _service(["python3", "-c", _LATER], environment={"PASSWORD": SECRET}),
        "sick": _service(["sleep", "infinity"], healthcheck=_healthy("python3", "-c", _PACKET)),
        "anon": _service(_ANON, volumes=["/data"]),
        "api": _service(
            ["python3", "-m", "http.server", "80", "-d", "/etc"],
            ports=["80"], mem_limit="256m", read_only=True, hostname="api",
            extra_hosts=["old.example.com:192.0.2.7"], ulimits={"nofile": 4096},
        ),
    },
}  # fmt: skip
GAPLESS = ("one-web-1", "two-web-1")
BAD = ("misc-fails-1", "misc-sick-1")
SHARING = ("sock-php-1", "sock-web-1")
EVERY = tuple(f"{name}-{each}-1" for name, services in PROJECTS.items() for each in services)
MOVES = tuple(name for name in EVERY if name not in BAD + SHARING)
"""What runs in gVisor in the end."""

# A stand-in for docker-gen of nginx-proxy, which no package has: nginx itself is Debian's. It knows
# a container when it is healthy, or at once if it has no health check. nginx asks another one if
# nobody answers there.
_PROXY = r"""
cat > /srv/proxy.sh <<'END'
told='{{index .Config.Labels "LABEL"}}'
told="$told {{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}"
told="$told{{range .NetworkSettings.Networks}} {{.IPAddress}}{{end}}"
write() {
    echo 'proxy_connect_timeout 1s;'
    docker ps -q | xargs -r docker inspect -f "$told" | awk '
        $1 ~ /[.]/ && $2 == "healthy" && $3 { at[$1] = at[$1] "server " $3 ":80; " }
        END { for (site in at) print "upstream " site " { " at[site] "}\nserver { listen 80;",
            "server_name " site "; location / { proxy_pass http://" site "; } }" }'
}
write > /etc/nginx/conf.d/sites.conf
rm -f /etc/nginx/sites-enabled/default
systemctl start nginx
while :; do # a reload of dockerd ends it
    docker events --filter type=container --filter event=start --filter event=die \
        --filter event=health_status
    sleep 0.2
done | while read -r line; do
    while read -r -t 0.1 line; do :; done
    write > /etc/nginx/conf.d/sites.conf
    nginx -s reload
done
END
systemd-run --quiet --collect --unit=test-proxy bash /srv/proxy.sh
"""
PLACES: Mapping[str, tuple[int, str]] = {
    "shop-db-1": (8081, ""),
    "blog-php-1": (8082, ""),
    "sock-web-1": (8083, ""),
    "edge-proxy-1": (8084, ""),
    "one-web-1": (80, "one.example.com"),
    "two-web-1": (80, "two.example.com"),
}
_ASKING = """
import http.client, json, signal, sys, threading, time
places, seen, on = json.loads(sys.argv[1]), {}, [True]
def ask(name, port, site):
    mine = seen[name] = {"asked": 0, "failed": 0, "away_s": 0.0}
    since = None
    while on[0]:
        try:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            c.request("GET", "/hostname", headers={"Host": site} if site else {})
            ok = c.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            ok = False
        mine["asked"] += 1
        if ok and since:
            mine["away_s"] = max(mine["away_s"], time.monotonic() - since)
        since = None if ok else since or time.monotonic()
        mine["failed"] += not ok
        time.sleep(float(sys.argv[2]))
every = [threading.Thread(target=ask, args=(n, *p)) for n, p in places.items()]
signal.signal(signal.SIGTERM, lambda *_: on.__setitem__(0, False))
[t.start() for t in every]
[t.join() for t in every]
open("/run/asked.json", "w").write(json.dumps(seen))
"""


def bring(node: LabNode) -> None:
    """Start all of them under runc, and the proxy."""
    have_image(node)
    for name, services in PROJECTS.items():
        used = {one for item in services.values() for one in item.get("volumes", ())}
        volumes: dict[str, dict[str, str]] = (
            {"data": {}} if any(one.startswith("data:") for one in used) else {}
        )
        text = json.dumps({"services": services, "volumes": volumes}).replace("$", "$$")
        node.put(f"{HOME}/{name}/compose.yaml", text.encode())
        sh(node, f"docker compose --progress quiet --project-directory {HOME}/{name} up -d")
    have_proxy(node, "caddy")
    sh(node, "for i in 1 2 3 4 5; do redis-cli rpush jobs $i; done; sleep 3")


def have_image(node: LabNode) -> None:
    """Make ``IMAGE`` of the node's programs."""
    must(node, "sh", "-c", _IMAGE)


def have_proxy(node: LabNode, label: str) -> None:
    """Start a proxy for the sites that containers name in a label."""
    sh(node, _PROXY.replace("LABEL", label))


@dataclass(frozen=True)
class Asked:
    """How often somebody asked, how often nobody answered, and for how long at most."""

    asked: int
    failed: int
    away_s: float


def begin_asking(
    node: LabNode, places: Mapping[str, tuple[int, str]] = PLACES, every_s: float = 0.1
) -> None:
    """
    Ask each site again and again from now on.

    + places: by name a port of the node, and the site that is asked for
    """
    given = ("systemd-run", "--quiet", "--unit=test-asking", "python3", "-c", _ASKING)
    must(node, *given, json.dumps(places), str(every_s))


def end_asking(node: LabNode) -> dict[str, Asked]:
    """Return how often each answered."""
    sh(node, "systemctl stop test-asking || true; systemctl reset-failed test-asking || true")
    return {
        name: Asked(**item) for name, item in json.loads(sh(node, "cat /run/asked.json")).items()
    }


def kept(node: LabNode) -> dict[str, Any]:
    """Return the data in volumes, which only grow."""
    orders = sh(node, "curl -s http://127.0.0.1:8081/")
    starts = sh(node, "docker exec misc-anon-1 cat /data/starts").splitlines()
    jobs = sh(node, "redis-cli lrange jobs 0 -1").split()
    return {"orders": int(orders), "starts": starts[:1], "jobs": jobs}

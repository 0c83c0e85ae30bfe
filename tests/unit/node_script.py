"""``node/node_state.sh`` with the paths of a test instead of the machine's."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyinfra_gvisor.audit.observed import ASKING
from pyinfra_gvisor.node import Node, parse_node, state_script
from tests.unit.shells import replaced, run, stub, toolbox

ALARM_S = 20


class Machine:
    """A node's files under a directory, and the programs that are in its PATH."""

    def __init__(self, root: Path, *, perl: bool = True, **asked: str) -> None:
        self.asked = asked
        self.root = root
        self.socket = root / "docker.sock"
        self.daemon_json = root / "etc-docker" / "daemon.json"
        self.state_dir = root / "state"
        self.gvisor = root / "gvisor"
        self.runsc = root / "runsc"
        self.cgroup = root / "cgroup"
        self.units = root / "units"
        self.defaults = root / "defaults"
        self.path = toolbox(root / "bin", *(["perl"] if perl else []))
        self.daemon_json.parent.mkdir()
        self.state_dir.mkdir()
        (root / "mountinfo").write_text("")
        stub(self.path, "docker", "echo 'Docker version 26.1.5, build a72d7cd'")

    def script(self, alarm_s: int = ALARM_S) -> str:
        """The script with this machine's paths."""
        return replaced(
            state_script(asking=ASKING if self.asked.get("wide") else (), **self.asked),
            {
                "daemon_json=/etc/docker/daemon.json": f"daemon_json='{self.daemon_json}'",
                '$path = "/etc/docker/daemon.json"': f'$path = "{self.daemon_json}"',
                "/etc/docker ": f"'{self.daemon_json.parent}' ",
                "socket=/var/run/docker.sock": f"socket='{self.socket}'",
                "state_dir=/var/lib/pyinfra-gvisor": f"state_dir='{self.state_dir}'",
                "/opt/gvisor/": f"{self.gvisor}/",
                "/usr/local/bin/runsc": self.runsc,
                "/run/docker.pid": self.root / "docker.pid",
                "/proc/$pid/cgroup": self.cgroup,
                "/run/systemd/system": self.root / "run-systemd",
                "/etc/systemd/system": self.units,
                "/usr/lib/systemd/system": self.root / "packaged",
                "/etc/init.d/docker": self.root / "init-script",
                "/etc/default/docker": self.defaults,
                "/run/openrc": self.root / "openrc",
                "/sbin/openrc-run": self.root / "openrc-run",
                "/run/docker-ssd.pid": self.root / "docker-ssd.pid",
                "/var/lock/subsys/docker": self.root / "subsys",
                "/var/lib/dpkg/info": self.root / "packages",
                f"alarm {ALARM_S};": f"alarm {alarm_s};",
                **self._network(),
                **self._names(),
            },
        )

    def _names(self) -> dict[str, str | Path]:
        """What the resolver needs, and the bundles of those who ask it."""
        return {
            "/usr/sbin/ip": self.root / "ip",
            "/usr/bin/python3": self.root / "python3",
            "/usr/lib/$python": f"{self.root}/lib/$python",
            "/run/containerd/": f"{self.root}/run-containerd/",
            "/run/docker/containerd/": f"{self.root}/run-docker/",
            "/proc/self/mountinfo": self.root / "mountinfo",
        }

    def _network(self) -> dict[str, str | Path]:
        """What a firewall is made of and depends on."""
        return {
            "/usr/sbin/nft": self.path / "nft",
            "/run/pyinfra-gvisor-egress": self.root / "run-egress",
            "/proc/net/": f"{self.root}/proc-net/",
            "/proc/$process": f"{self.root}/proc/$process",
            "/sys/class/net/": f"{self.root}/interfaces/",
            "/etc/resolv.conf": self.root / "resolv.conf",
            "/run/systemd/resolve/": f"{self.root}/resolved/",
            "/etc/ufw/": f"{self.root}/ufw/",
            "/run/firewalld": self.root / "firewalld",
        }

    def output(self, alarm_s: int = ALARM_S) -> str:
        """What the script prints."""
        return run(self.script(alarm_s), path=self.path).stdout

    def node(self, alarm_s: int = ALARM_S) -> Node:
        """What the script tells of it."""
        return parse_node(self.output(alarm_s).rstrip("\n").split("\n"))


@contextmanager
def process(argv0: str = "sleep", executable: str = "/usr/bin/sleep") -> Iterator[int]:
    """A process that calls itself ``argv0``; yields its PID."""
    running = subprocess.Popen([argv0, "1000"], executable=executable)
    try:
        yield running.pid
    finally:
        running.kill()
        running.wait()

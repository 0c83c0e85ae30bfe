"""A second dockerd on a node, beside the one that systemd runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.node.audits import sh
from tests.node.faults import wait_for
from tools.lab import LabNode

AT = "/var/lib/docker/engine-2"  # on a file system that overlayfs can be on
SECOND = (
    *(f"-H unix://{AT}/sock", f"--data-root={AT}/data", f"--exec-root={AT}/exec"),
    *(f"--pidfile={AT}/pid", f"--config-file={AT}/daemon.json", "--live-restore"),
    *("--iptables=false", "--ip6tables=false", "--bridge=engine-2"),
    *("--containerd-namespace=engine-2", "--containerd-plugins-namespace=engine-2-plugins"),
)


@contextmanager
def engine(node: LabNode, *options: str) -> Iterator[None]:
    """A dockerd with live-restore on, beside the node's own."""
    # Not --bridge=none: that would remove docker0, which is the first engine's.
    sh(node, "ip link add engine-2 type bridge && ip address add 172.31.250.1/24 dev engine-2")
    start = f"systemd-run --quiet --unit=engine-2 dockerd {' '.join((*SECOND, *options))}"
    sh(node, f"mkdir -p {AT}; echo '{{}}' > {AT}/daemon.json; {start}")
    try:
        wait_for(node, f"docker -H unix://{AT}/sock version")
        yield
    finally:
        sh(node, f"systemctl stop engine-2; rm -rf {AT}; ip link del engine-2")


@contextmanager
def another_engine(node: LabNode) -> Iterator[None]:
    """A dockerd that root's context, environment and client name."""
    with engine(node):
        sh(node, f"docker context create engine-2 --docker host=unix://{AT}/sock")
        sh(node, "docker context use engine-2")
        sh(node, f"systemctl set-environment DOCKER_HOST=unix://{AT}/sock DOCKER_API_VERSION=1.1")
        try:
            yield
        finally:
            sh(node, "systemctl unset-environment DOCKER_HOST DOCKER_API_VERSION")
            sh(node, "rm -r /root/.docker")

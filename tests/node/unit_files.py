"""Units of systemd that run a container, as people write them beside Docker's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.node.audits import sh
from tests.node.containers import remove_container, start_container
from tools.lab import LabNode

_RUN = "/usr/bin/docker run {options} --name {name} -v /usr:/usr:ro test:1 sleep infinity"
_DETACHED = """[Unit]
{relation}=docker.service
After=docker.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={run}
ExecStop=/usr/bin/docker stop -t 1 {name}
ExecStopPost=-/usr/bin/docker rm -f {name}
"""
_ATTACHED = """[Unit]
{relation}=docker.service
After=docker.service
[Service]
ExecStartPre=-/usr/bin/docker rm -f {name}
ExecStart={run}
Restart=always
TimeoutStopSec=1
"""
_REMOVED = "systemctl stop {0}; rm /etc/systemd/system/{0}.service; systemctl daemon-reload"
STARTS = "systemctl daemon-reload && systemctl start {0} && until docker exec {0} true; do :; done"


def write_unit(node: LabNode, name: str, relation: str, *options: str, attached: bool) -> None:
    """Write a unit that depends on dockerd's and runs a container, both called ``name``."""
    run = _RUN.format(name=name, options=" ".join(options if attached else ("-d", *options)))
    text = (_ATTACHED if attached else _DETACHED).format(name=name, relation=relation, run=run)
    node.put(f"/etc/systemd/system/{name}.service", text.encode())


@contextmanager
def units(node: LabNode, **relations: str) -> Iterator[None]:
    """Run a unit for each name, which starts its container and does not wait for it."""
    start_container(node, "image-maker")
    remove_container(node, "image-maker")
    for name, relation in relations.items():
        write_unit(node, name, relation, attached=False)
        sh(node, STARTS.format(name))
    try:
        yield
    finally:
        for name in relations:
            remove_unit(node, name)


def remove_unit(node: LabNode, name: str) -> None:
    """Remove a unit with its container."""
    node.exec("sh", "-c", _REMOVED.format(name))
    remove_container(node, name)

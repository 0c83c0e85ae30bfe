"""Containers that look like sandboxes and are none, and sandboxes that look odd."""

import json
from dataclasses import dataclass

from tests.node.audits import LABELS, sh
from tests.node.containers import remove_containers
from tests.node.running import HOME, RELEASE
from tools.lab import LabNode

NAMED = "exec -a runsc-sandbox"
VOLUME = "forge-volume"
IN_VOLUME = f"/var/lib/docker/volumes/{VOLUME}/_data"
CHANGED = f"/opt/gvisor/runtimes/runsc-{RELEASE}-00000000"
STRAY = "/opt/gvisor/runtimes/forge"
FILE = "/etc/docker/daemon.json"
KEPT = "/root/forge.daemon.json"
ENTRIES = {
    "forgecrun": "/usr/local/bin/crun",
    "forgeold": "/usr/local/lib/forge/runsc",
    "forgestray": STRAY,
    "forgechanged": CHANGED,
    "forgelost": "/usr/local/lib/forge/runsc",
}
"""Runtimes that somebody has registered: each of them starts runc."""

LOST = ("unknown", "its runtime is not registered in dockerd")
LAYER = ("unknown", "")  # where it lies, images of a graph driver only tell
RUNC = ("bare", "runc is not gVisor")


@dataclass(frozen=True)
class Forgery:
    """
    A container: its runtime, what bash in it does, its options, and what it is told to be.

    ``verdict`` is the state and why, empty for whatever.
    """

    runtime: str
    does: str
    verdict: tuple[str, str]
    options: tuple[str, ...] = ()


_SLEEP = f"{NAMED} /usr/bin/sleep 3000"
_OURS = f"mkfifo /dev/shm/x; {NAMED} {HOME}/gvisor-bin/gvisor_sentry --log=/dev/shm/x list"
# The path on the node of a file in the container's own layer, at the same path in the container.
_LAYER = (
    "m=$(sed -n 's/.*upperdir=\\([^,]*\\)\\/[a-z]*,.*/\\1/p' /proc/self/mountinfo);"
    "m=$(echo $m | cut -d ' ' -f 1)/merged;"
    f"cp /usr/bin/sleep /runsc; mkdir -p $m; ln /runsc $m/runsc; {NAMED} $m/runsc 3000"
)
_GIVEN = ("-v", "/opt/gvisor:/opt/gvisor:ro")
_VOLUME = ("-v", f"{VOLUME}:{IN_VOLUME}")
_SHIM = ("bare", "a containerd shim handles its runtime")

FORGERIES = {
    "forge-named": Forgery("runc", _SLEEP, RUNC),
    "forge-with-ours": Forgery("runc", _OURS, RUNC, _GIVEN),
    "forge-shim": Forgery("io.containerd.runc.v2", _SLEEP, RUNC),
    "forge-any-shim": Forgery("a.runc.v2", f"{NAMED} {IN_VOLUME}/runsc 3000", _SHIM, _VOLUME),
    "forge-crun": Forgery("forgecrun", _SLEEP, ("bare", "crun is not gVisor")),
    "forge-old-named": Forgery("forgeold", _SLEEP, ("bare", "its binary is not runsc")),
    "forge-old-volume": Forgery(
        "forgeold",
        f"{NAMED} {IN_VOLUME}/runsc 3000",
        ("unknown", "one of its mounts contains its binary"),
        _VOLUME,
    ),
    "forge-old-with-ours": Forgery(
        "forgeold", _OURS, ("unknown", "one of its mounts contains its binary"), _GIVEN
    ),
    "forge-old-copy": Forgery(
        "forgeold",
        f"mkfifo /dev/shm/x; cp {HOME}/gvisor-bin/gvisor_sentry /runsc; "
        f"{NAMED} /runsc --log=/dev/shm/x list",
        ("unknown", "its binary is on another file system"),
        _GIVEN,
    ),
    "forge-old-layer": Forgery("forgeold", _LAYER, LAYER),
    "forge-old-replaced": Forgery(
        "forgeold",
        f"cp {IN_VOLUME}/runsc {IN_VOLUME}/gone; (sleep 1; rm {IN_VOLUME}/gone) & "
        f"{NAMED} {IN_VOLUME}/gone 3000",
        ("unknown", "its binary was replaced on the node"),
        _VOLUME,
    ),
    "forge-stray": Forgery(
        "forgestray", _SLEEP, ("unknown", f"{STRAY} is not as pyinfra-gvisor wrote it")
    ),
    "forge-changed": Forgery(
        "forgechanged", _SLEEP, ("unknown", f"{CHANGED} is not as pyinfra-gvisor wrote it")
    ),
    "forge-lost": Forgery("forgelost", _SLEEP, LOST),
}
"""By the container's name; tests/unit/sandbox/cases.json has what one such tells for others."""

REAL = {"forge-real": (), "forge-real-mount": ("-v", "/srv:/srv:ro"), "forge-real-given": _GIVEN}
"""Sandboxes of ours, and what they are given."""

_RUNC = '#!/bin/sh\nexec runc "$@"\n'
_IMAGE = """
cd "$(mktemp -d)" && mkdir -p proc sys dev tmp etc usr
for link in bin lib lib64; do ln -s usr/$link $link; done
tar -c . | docker import - forge:1 > /dev/null
"""


def forge(node: LabNode) -> dict[str, Forgery]:
    """
    Start all forgeries on a node and register the runtimes that they need.

    Returns those that run: Docker 20.10 accepts no shim for a runtime after a reload.
    """
    for path in ENTRIES.values():
        sh(node, f"mkdir -p {path.rpartition('/')[0]}")
        node.put(path, _RUNC.encode(), mode=0o755)
    sh(node, f"cp -p {FILE} {KEPT}")
    _register(node, ENTRIES)
    sh(node, _IMAGE)
    sh(node, f"docker volume create {VOLUME} && cp /usr/bin/sleep {IN_VOLUME}/runsc")
    started = {}
    for name, forgery in FORGERIES.items():
        said = _run(node, name, forgery.runtime, forgery.does, *forgery.options)
        if said == "":
            started[name] = forgery
        elif "." not in forgery.runtime or "Unknown runtime specified" not in said:
            raise AssertionError(f"{name}: {said}")
    for name, options in REAL.items():
        assert _run(node, name, "runsc", "exec sleep 3000", *options) == ""
    _register(node, {name: path for name, path in ENTRIES.items() if name != "forgelost"})
    return started


def forget(node: LabNode) -> None:
    """Remove all forgeries and their runtimes."""
    remove_containers(node, "^/forge-")
    sh(node, f"docker volume rm {VOLUME} && docker rmi forge:1")
    sh(node, f"cat {KEPT} > {FILE} && rm {KEPT} && systemctl reload docker")
    sh(node, f"rm -rf /usr/local/lib/forge {' '.join(ENTRIES.values())}")


def _run(node: LabNode, name: str, runtime: str, does: str, *options: str) -> str:
    """Start one; return None if it runs, else the error."""
    words = ("-v", "/usr:/usr:ro", *LABELS, *options, "forge:1", "bash", "-c", does)
    ran = node.exec("docker", "run", "-d", "--name", name, "--runtime", runtime, *words)
    if ran.code == 0:
        return ""
    node.exec("docker", "rm", "-f", name)
    return ran.stderr


def _register(node: LabNode, entries: dict[str, str]) -> None:
    """Register only these runtimes, by a reload, as another user would."""
    file = json.loads(node.exec("cat", FILE).stdout)
    kept = {name: item for name, item in file["runtimes"].items() if not name.startswith("forge")}
    file["runtimes"] = {**kept, **{name: {"path": path} for name, path in entries.items()}}
    node.put(FILE, json.dumps(file, indent=2).encode())
    sh(node, "systemctl reload docker")
    known = "docker info --format '{{json .Runtimes}}'"
    has_lost = "" if "forgelost" in entries else "! "
    until = f"{known} | grep -q forgecrun && {has_lost}{known} | grep -q forgelost"
    sh(node, f"for i in $(seq 50); do if {until}; then exit 0; fi; sleep 0.1; done; exit 1")

"""A node with a watch, read with plain commands: its journal, its timer, its files."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyinfra_gvisor.parts.keeper.files import NAME as KEEPER
from tests.node.containers import remove_containers, start_container
from tests.node.running import HOME, RELEASED, SENTRY, Fleet, Outcome
from tests.node.seeing import processes
from tools.lab import LabNode

INTERVAL_S = 10
SLACK_S = 5  # for the look itself on a busy machine, and for the journal
# The release as it is released: one lab is to meet bzip2.
WATCH = {**RELEASED, "gvisor_watch": True, "gvisor_watch_interval_s": INTERVAL_S}
UNIT = "pyinfra-gvisor-watch"
FILES = (
    "/opt/gvisor/watch",
    f"/etc/systemd/system/{UNIT}.service",
    f"/etc/systemd/system/{UNIT}.timer",
    f"/etc/systemd/system/timers.target.wants/{UNIT}.timer",
)
COOLIFYS = ("--label=coolify.managed=true", "--label=coolify.type=application")
TEXTFILES = "/var/lib/node-exporter"
TEXTFILE = f"{TEXTFILES}/pyinfra_gvisor_watch.prom"
TEXT = {"gvisor_textfile_dir": TEXTFILES}
PROBE = "pyinfra-gvisor-probe"  # how the names of a proof's containers begin

NOT_RUNSC = """#!/bin/sh
for flag; do case "$flag" in --network=* | --overlay2=*) shift ;; esac; done
exec runc "$@"
"""
_FORGER = f"""
set -eu
directory=$(mktemp -d)
cd "$directory"
mkdir -p proc sys dev tmp etc {SENTRY.rpartition("/")[0].lstrip("/")}
for link in bin lib lib64; do ln -s "usr/$link" "$link"; done
cp /usr/bin/sleep .{SENTRY}
tar -c . | docker import - forger:1 > /dev/null
cd / && rm -rf "$directory"
docker run -d --name "$1" --runtime=runsc {" ".join(COOLIFYS)} -v /usr:/usr:ro forger:1 \\
    bash -c 'exec -a runsc-sandbox {SENTRY} 600' > /dev/null
"""


def have_watch(fleet: Fleet, name: str = "plain", **settings: Any) -> Outcome:
    """Run the deploy with a watch and further settings."""
    return fleet.deploy(name, data={**WATCH, **settings})


def have_none(fleet: Fleet, name: str = "plain") -> Outcome:
    """Run the deploy without a watch, and remove a test's containers."""
    remove_containers(fleet.nodes[name], "^/watched-")
    fleet.nodes[name].exec("docker", "image", "rm", "forger:1")
    return fleet.deploy(name, data=RELEASED)


def start(node: LabNode, name: str, *options: str) -> str:
    """Start a container; return its id as in the journal, because tests reuse names."""
    start_container(node, name, *options)
    return identity(node, name)


def identity(node: LabNode, name: str) -> str:
    """Return the first part of a container's id."""
    return node.exec("docker", "inspect", "--format", "{{.Id}}", name).stdout[:12]


def start_forger(node: LabNode, name: str) -> str:
    """
    A container that asked for runsc and runs under runc, and looks like a sandbox in /proc.

    Its process is called runsc-sandbox and runs a file of the image's at the path of the real one.
    """
    node.exec("mv", f"{HOME}/runsc", "/root/runsc.real")
    try:
        node.put(f"{HOME}/runsc", NOT_RUNSC.encode(), mode=0o755)
        ran = node.exec("sh", "-c", _FORGER, "sh", name)
    finally:
        node.exec("mv", "/root/runsc.real", f"{HOME}/runsc")
    assert ran.code == 0, ran.stderr
    return identity(node, name)


def journal(node: LabNode, about: str, *, options: tuple[str, ...] = ()) -> list[str]:
    """Return the watch's errors about a container, by its id, or about another text."""
    assert about
    command = ("journalctl", "-q", "--no-pager", "-o", "cat", "-t", UNIT, "-p", "err..err")
    lines = node.exec(*command, *options).stdout.splitlines()
    return [line for line in lines if about in line]


def within(seconds: float, seen: Callable[[], object]) -> bool:
    """Return True if a condition becomes true in time."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        if seen():
            return True
        time.sleep(0.2)
    return bool(seen())


def looks(node: LabNode) -> int:
    """Return how often the watch has checked since boot."""
    text = node.exec("journalctl", "-q", "--no-pager", "-o", "cat", "-u", f"{UNIT}.service").stdout
    return len(re.findall("^Finished ", text, re.MULTILINE))


def look_now(node: LabNode) -> int:
    """Run one more check; return its exit code."""
    # systemd starts a unit five times in ten seconds: StartLimitBurst= in systemd.unit(5)
    node.exec("systemctl", "reset-failed", f"{UNIT}.service")
    return node.exec("systemctl", "start", f"{UNIT}.service").code


def looked_at(fleet: Fleet, name: str, **settings: Any) -> set[int]:
    """Run a deploy and check without a pause until its end; return the exit codes."""
    deploy = fleet.start(name, {**WATCH, **settings})
    codes = set()
    while deploy.poll() is None:
        codes.add(look_now(fleet.nodes[name]))
    _, said = deploy.communicate()
    assert deploy.returncode == 0, said
    return codes


def left(node: LabNode) -> list[str]:
    """Return the watch's files, and its units that systemd still knows."""
    files = [path for path in (*FILES, TEXTFILE) if node.exec("test", "-e", path).code == 0]
    known = node.exec("systemctl", "list-units", "--all", "--plain", "--no-legend", f"{UNIT}.*")
    return [*files, *known.stdout.splitlines()]


def metrics(node: LabNode) -> Mapping[str, float]:
    """Return the metrics in the textfile, by name with labels."""
    lines = node.exec("cat", TEXTFILE).stdout.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def used_by(seen: Mapping[str, float], container: str) -> Mapping[str, float]:
    """Return a container's metrics among all, by the ends of their names."""
    pattern = re.compile(f'gvisor_container_([a-z_]+){{container="{container}",app="shop",')
    found = {pattern.match(name): value for name, value in seen.items()}
    return {match[1]: value for match, value in found.items() if match}


def sees_one_of_two(fleet: Fleet, name: str) -> None:
    """Check that of a container under runc and one in gVisor only the first is reported."""
    node = fleet.nodes[name]
    have_watch(fleet, name)
    good = start(node, "watched-good", "--runtime=runsc", *COOLIFYS)
    before = looks(node)
    bad = start(node, "watched-bad", *COOLIFYS)
    running = processes(node)

    found = within(INTERVAL_S + SLACK_S, lambda: journal(node, bad))
    again = within(2 * INTERVAL_S, lambda: len(journal(node, bad)) > 1)

    assert found
    assert again
    assert "runtime runc, process /usr/bin/sleep" in journal(node, bad)[0]
    assert journal(node, good) == []
    assert looks(node) >= before + 2
    assert processes(node) == running
    second = fleet.deploy(name, data=WATCH)
    assert second.idle


@contextmanager
def without_docker(node: LabNode) -> Iterator[None]:
    """A node whose dockerd does not answer; its containers go on."""
    node.exec("systemctl", "stop", "docker.socket", "docker.service")
    try:
        yield
    finally:
        node.exec("systemctl", "start", "docker.socket", "docker.service")
        node.wait_until_ready()


def keeper_says(node: LabNode) -> list[str]:
    """Have the keeper check once; return what it says in the journal."""
    look = f"journalctl -q --sync; journalctl -q -o cat -t {KEEPER}"
    before = node.exec("sh", "-c", look).stdout
    node.exec("systemctl", "start", f"{KEEPER}.service")
    return node.exec("sh", "-c", look).stdout.removeprefix(before).splitlines()

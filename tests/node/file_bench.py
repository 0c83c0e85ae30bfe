"""A node on which many daemon.json files are tested, one after the other."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.daemon_json.keys import NEUTRAL
from pyinfra_gvisor.daemon_json.plan import Plan, plan_daemon_json
from pyinfra_gvisor.daemon_json.transaction import transaction
from pyinfra_gvisor.node import Node, parse_node, state_script
from tests.node.bad_files import BadFile
from tests.node.containers import remove_container, start_container
from tests.node.odd_files import BESIDE
from tests.node.seeing import processes
from tests.node.transactions import FILE
from tools.lab import LabNode

BENCH = "/root/bad-files"
SHELL = f"""
file={FILE}
put() {{
    umount "$file" 2> /dev/null || :
    rm -rf "$file" {BESIDE} /etc/docker/.pyinfra-gvisor
    if [ $# -gt 0 ]; then sh -c "$(cat "$1/place")" sh "$1/file" "$file"; fi
}}
look() {{
    readlink "$file"
    stat -c '%F %a %u:%g' "$file" | sed 's/ empty//'
    stat -L -c '%F %a %u:%g' "$file" 2>&1 | sed 's/ empty//'
}}
sum() {{ if [ -f "$file" ]; then sha256sum < "$file"; fi; }}
"""
READ = (
    state_script().rpartition("\nmachine\n")[0]
    + SHELL
    + f"""
pid=''
for case in {BENCH}/*/; do
    put "$case"
    echo "case $(basename "$case")"
    before=$(look; sum)
    change_times
    daemon_json_file
    if [ "$before" = "$(look; sum)" ]; then echo "same yes"; fi
done
put
"""
)
APPLY = (
    "set -u\n"
    + SHELL
    + f"""
for case in {BENCH}/*/; do
    if [ ! -e "$case/run.sh" ]; then continue; fi
    rm -rf /var/lib/pyinfra-gvisor
    put "$case"
    echo "case $(basename "$case")"
    echo "before "$(look)
    sh "$case/run.sh" > "$case/said" 2>&1 < /dev/null
    echo "code $?"
    echo "after "$(look)
    echo "file $(base64 -w0 < "$file")"
    echo "labels $(docker info --format '{{{{json .Labels}}}}')"
    echo "said $(base64 -w0 < "$case/said")"
    echo "left "$(find /etc/docker/.[!.]* {BESIDE}/.[!.]* /var/lib/pyinfra-gvisor/.[!.]*)
done
"""
)


@dataclass(frozen=True)
class Bench:
    """A node whose own daemon.json and records are put aside."""

    node: LabNode
    base: list[str]

    def sections(self, command: str) -> dict[int, dict[str, str]]:
        """Return a script's output for every file, by its number."""
        self.node.put("/root/bad-files.sh", command.encode())
        # "timeout": a fifo must not hang it
        ran = self.node.exec("timeout", "900", "sh", "/root/bad-files.sh")
        found: dict[int, dict[str, str]] = {}
        for line in ran.stdout.splitlines():
            key, _, value = line.partition(" ")
            if key == "case":
                found[int(value)] = said = {}
            elif key != "end":
                said[key] = value
        return found

    def full(self) -> list[str]:
        """Return the node's whole state, as a deploy reads it."""
        return self.node.exec("timeout", "20", "sh", "-c", state_script()).stdout.splitlines()

    def with_file(self, said: dict[str, str]) -> Node:
        """The node with that file."""
        names = ("daemon_json", "daemon_json_ctime")
        rest = [line for line in self.base if line.split(" ")[0] not in names]
        return parse_node([*(f"{name} {said[name]}" for name in names if name in said), *rest])


@contextmanager
def bench(node: LabNode) -> Iterator[Bench]:
    """Put the node's own file and records aside; restore all of it in the end."""
    away = (
        "mkdir -p /root/away; cp -p /etc/docker/daemon.json /root/away/;"
        "mv /var/lib/pyinfra-gvisor /root/away/state; rm -f /etc/docker/daemon.json; true"
    )
    node.exec("sh", "-c", away)
    start_container(node, "bystander")
    before = processes(node)
    try:
        yield Bench(node, Bench(node, []).full())
        assert processes(node) == before
    finally:
        remove_container(node, "bystander")
        _put_back(node)


def _put_back(node: LabNode) -> None:
    old = node.exec("cat", "/root/away/daemon.json").stdout or "{}"
    neutral = json.dumps({**NEUTRAL, "features": {}, **json.loads(old)})
    node.exec("sh", "-c", f"{SHELL} put; rm -rf {BENCH} /root/bad-files.sh /var/lib/pyinfra-gvisor")
    for unit in ("", "docker.service.wants/"):
        node.exec("rm", "-f", f"/etc/systemd/system/{unit}pyinfra-gvisor-recovery.service")
    node.put(FILE, neutral.encode())
    reload = 'kill -HUP "$(cat /run/docker.pid)"; sleep 1; docker info > /dev/null'
    node.exec("sh", "-c", reload)
    back = (
        f"rm {FILE}; if cd /root/away; then"
        f" if [ -e daemon.json ]; then cp -p daemon.json {FILE}; fi;"
        " if [ -e state ]; then mv state /var/lib/pyinfra-gvisor; fi;"
        f" fi; {reload}; rm -rf /root/away"
    )
    assert node.exec("sh", "-c", back).code == 0


def lay_out(node: LabNode, files: Iterable[BadFile]) -> None:
    """Every file in a directory of its own, with the shell that puts it in place."""
    content = {}
    for number, file in enumerate(files):
        content[f"{BENCH}/{number:03}/file"] = (file.content, 0o644)
        content[f"{BENCH}/{number:03}/place"] = (file.place.encode(), 0o644)
    node.put_files(content)


def planned(found: Node, file: BadFile, number: int) -> tuple[Plan, str] | tuple[None, str]:
    """Return the plan and its script, or the refusal."""
    try:
        plan = plan_daemon_json(found, file.wishes(number), owner="bad")
    except Problem as problem:
        return None, str(problem)
    return plan, transaction(plan, found, host="bad", timeout_s=20, wait_s=0)

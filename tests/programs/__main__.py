"""
Run real programs under runc and in gVisor, and keep what was predicted, tried and true.

``GVISOR_LAB_NAME`` and ``GVISOR_LAB_NODES`` choose nodes that the lab starts if they are missing.
Each node takes the next program. Arguments: names of programs; without, all.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from tests.node.running import RELEASE
from tests.programs.rows import HERE, Program, Seen, keep, programs
from tools.lab import Lab, LabNode, lab_name, node_specs, tell_on_stderr

INVENTORY = "inventories/lab.py"
_FUNCTIONS = (HERE / "node.sh").read_text()
_COMMAND = (sys.executable, "-m", "pyinfra_gvisor.command")
_WRITING = threading.Lock()


class CheckError(Exception):
    """A program does not do its work under runc, or a command failed."""


def call(node: LabNode, function: str, *arguments: str) -> str:
    """Call a function of ``node.sh`` on a node. Return its output. Raises ``CheckError``."""
    ran = node.exec("sh", "-c", f'{_FUNCTIONS}\n{function} "$@"', "sh", *arguments)
    if ran.code != 0:
        raise CheckError(f"{function}: {ran.stdout[-600:]}{ran.stderr[-600:]}")
    return ran.stdout.strip()


def ours(*arguments: str) -> dict[str, Any]:
    """Run a command of ours. Return its result for the one host. Raises ``CheckError``."""
    command = [*_COMMAND, *arguments, f"--inventory={INVENTORY}", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if not ran.stdout:
        raise CheckError(ran.stderr[-1000:])
    (result,) = json.loads(ran.stdout)["hosts"]
    return dict(result)


def seen(node: LabNode, program: Program) -> Seen:
    """Return what is predicted, tried and true. Raises ``CheckError`` if it fails under runc."""
    run = (program.serve, program.beside, *program.options)
    check = (str(program.wait_s), program.client, program.inside)
    call(node, "start", "runc", *run)
    call(node, "check", *check)
    told = ours("apps", f"--limit={node.name}")
    (app,) = (item for item in told["apps"] if item["name"] == "programs-app")
    tried = ours("try", node.name, "programs-app", f"--seconds={program.trial_s}")
    failed = ""
    try:
        call(node, "start", "runsc", *run)
        call(node, "check", *check)
    except CheckError as error:
        failed = str(error)
    call(node, "remove")
    return Seen(
        name=program.name,
        version=version(node, program.packages.split()[0]),
        predicted=app["outlook"],
        rules=tuple(sorted({item["rule"] for item in app["differences"]})),
        tried=tried["verdict"],
        seconds=tried["seconds"],
        why=tuple(tried["why"]),
        news=tuple(tried["news"]),
        true="fails" if failed else "works",
        failed=failed,
    )


def version(node: LabNode, package: str) -> str:
    """Return the version of an installed package."""
    return node.exec("dpkg-query", "-W", "-f", "${Version}", package).stdout


def work(node: LabNode, waiting: "queue.SimpleQueue[Program]", missing: list[str]) -> None:
    """Run programs until none waits."""
    docker = node.exec("docker", "version", "-f", "{{.Server.Version}}").stdout.strip()

    today = datetime.now(UTC).date().isoformat()
    about = {"date": today, "docker": docker, "runsc": RELEASE}
    while not waiting.empty():
        program = waiting.get()
        try:
            found = seen(node, program)
        except CheckError as error:
            missing.append(program.name)
            tell_on_stderr(f"{program.name}: not kept: {error}")
            continue
        with _WRITING:
            keep(found, about)
        tell_on_stderr(f"{found.name}: {found.predicted}, {found.tried}, {found.true}")


def prepared(packages: str) -> list[LabNode]:
    """Return nodes that have runsc and the image."""
    nodes = Lab(lab_name(os.environ), tell=tell_on_stderr).up(node_specs(os.environ))
    command = [sys.executable, "-m", "pyinfra", INVENTORY, "deploys/gvisor.py", "-y"]
    subprocess.run(command, check=True)
    for node in nodes:
        call(node, "make_image", packages)
    return nodes


def main(names: list[str]) -> int:
    """Run the programs of these names, all if there are none. Return the exit code."""
    waiting: queue.SimpleQueue[Program] = queue.SimpleQueue()
    for program in programs():
        if not names or program.name in names:
            waiting.put(program)
    nodes = prepared(" ".join(program.packages for program in programs()))
    missing: list[str] = []
    threads = [threading.Thread(target=work, args=(node, waiting, missing)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

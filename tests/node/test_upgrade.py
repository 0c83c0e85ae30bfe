"""From release to release and back while sandboxes run, and never to one that is not proven."""

from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.node.archives import ArchiveServer, packed_archive, release_members, sha512
from tests.node.audits import verdicts
from tests.node.containers import remove_container, start_container
from tests.node.old_runsc import loose_files
from tests.node.running import RELEASE, WITH_ROWS, Fleet
from tests.node.seeing import daemon_json, docker_info, no_leftovers, processes, snapshot
from tests.node.story import channels
from tests.node.transactions import assert_as_declared, dockerd_pid
from tools.lab import LabNode

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("converged")]

FIRST = RELEASE
LOOSE, OLD, NEW = "20260817.0", "20260831.0", "20260928.0"
BAD = "20261005.0"
NEVER = {"gvisor_proof": "never"}  # tried and proven is what the test is about
KERNEL = b"#1 SMP Sun Jan 10 15:06:54 PST 2016"
RUN_DIR = "/opt/gvisor/releases"


@pytest.fixture(scope="module")
def offered(
    nodes: dict[str, LabNode],
    archive: Path,
    server: ArchiveServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, Any]]:
    """What the server has, as settings by release: one in loose files, two archives, a bad one."""
    directory = tmp_path_factory.mktemp("releases")
    found: dict[str, dict[str, Any]] = {}
    for release in (OLD, NEW, BAD):
        members = release_members(archive, release)
        if release == BAD:  # whatever runs in it does not see gVisor's kernel
            members = {
                name: body.replace(KERNEL, KERNEL.replace(b"10", b"11"))
                for name, body in members.items()
            }
        path = packed_archive(directory / f"{release}.tar.bz2", members)
        server.put(release, path.read_bytes())
        found[release] = settings(server, release, {"x86_64": sha512(path)})
    sums = {}
    for name, path in loose_files(nodes["lived-in"], LOOSE, directory).items():
        server.put(LOOSE, path.read_bytes(), file=name)
        sums[name] = sha512(path)
    reason = {"gvisor_accept_risk": "throwaway test nodes"}
    found[LOOSE] = {**settings(server, LOOSE, {"x86_64": sums}), **reason}
    found[FIRST] = settings(server, FIRST, {"x86_64": sha512(archive)})
    return found


def settings(server: ArchiveServer, release: str, sums: dict[str, Any]) -> dict[str, Any]:
    """A release from the server, in either layout."""
    source = server.source.replace("gvisor.tar.bz2", "{file}")
    return {"gvisor_release": release, "gvisor_source": source, "gvisor_sha512": sums}


def executable(node: LabNode, name: str) -> str:
    """What a container's process really is."""
    return node.exec("readlink", f"/proc/{processes(node)[name]}/exe").stdout.strip()


def runs_from(node: LabNode, name: str) -> str:
    """The release that a container's sandbox runs from, as /proc shows it."""
    path = executable(node, name)
    assert path.startswith(f"{RUN_DIR}/"), path
    return path.removeprefix(f"{RUN_DIR}/").split("/")[0]


def answers(node: LabNode, name: str) -> bool:
    """Whether exec works, in a sandbox."""
    seen = node.exec("docker", "exec", name, "uname", "-v")
    return seen.stdout.strip() == KERNEL.decode()


def releases(node: LabNode) -> list[str]:
    """The releases on the node, nothing else in their directory."""
    return node.exec("ls", "-A", RUN_DIR).stdout.split()


def runtimes(node: LabNode) -> dict[str, str]:
    """The runtimes that the live daemon has of us, and their release."""
    entries = docker_info(node)["Runtimes"].items()
    return {
        name: str(entry["path"]).split("-")[1]
        for name, entry in entries
        if str(entry.get("path")).startswith("/opt/gvisor/runtimes/")
    }


def assert_second_run_changes_nothing(fleet: Fleet, name: str, data: dict[str, Any]) -> None:
    second = fleet.deploy(name, data=data)
    assert second.idle
    assert no_leftovers(fleet.nodes[name]) == ""


def leave(fleet: Fleet, name: str, offered: dict[str, Any], *containers: str) -> None:
    """The node as other tests know it; its first release may have been collected."""
    for container in containers:
        remove_container(fleet.nodes[name], container)
    assert_as_declared(fleet, name, data=offered[FIRST] | NEVER)


@pytest.mark.parametrize("name", ["docker-20"])
def test_up_and_back_while_sandboxes_of_each_release_keep_running(
    fleet: Fleet, offered: dict[str, Any], name: str
) -> None:
    node = fleet.nodes[name]
    start_container(node, "on-first", "--runtime=runsc")
    fleet.deploy(name, data=offered[LOOSE] | NEVER)
    for container in ("on-loose", "to-restart"):
        start_container(node, container, "--runtime=runsc")
    assert runs_from(node, "on-loose") == LOOSE
    before, pid, untouched = processes(node), dockerd_pid(node), snapshot(node)
    dry = fleet.deploy(name, data=offered[NEW], flags=("--dry", "--diff"))
    assert f"-{NEW}-" in dry.stderr
    assert snapshot(node) == untouched

    up = fleet.deploy(name, flags=WITH_ROWS, data=offered[NEW])

    assert "Prove the new release" in up.stderr
    assert up.stderr.count("  runsccanary  ") == len(asked_of(Runtime()))
    assert f"running on runsc {LOOSE} until their next restart: on-loose, to-restart" in up.stderr
    assert dockerd_pid(node) == pid, "by reload only"
    assert processes(node) == before
    assert runtimes(node) == {"runsc": NEW}
    assert [runs_from(node, item) for item in ("on-loose", "to-restart")] == [LOOSE, LOOSE]
    assert answers(node, "on-loose")
    assert node.exec("docker", "restart", "-t", "2", "to-restart").code == 0
    assert runs_from(node, "to-restart") == NEW
    told = verdicts(node)
    for item, release in {"on-first": FIRST, "on-loose": LOOSE, "to-restart": NEW}.items():
        assert told[item] == ("sandboxed", "", release)
    assert_second_run_changes_nothing(fleet, name, offered[NEW])
    goes_back(fleet, name, offered[LOOSE])
    assert dockerd_pid(node) == pid
    leave(fleet, name, offered, "on-first", "on-loose", "to-restart")


def goes_back(fleet: Fleet, name: str, data: dict[str, Any]) -> None:
    """Rolled back: the runtime is switched, and sandboxes of both releases go on."""
    node = fleet.nodes[name]

    fleet.deploy(name, deploy="deploys/rollback.py", data=data)

    assert runtimes(node) == {"runsc": LOOSE}
    assert [runs_from(node, item) for item in ("on-loose", "to-restart")] == [LOOSE, NEW]
    assert all(answers(node, item) for item in ("on-loose", "to-restart"))
    link = node.exec("readlink", "/usr/local/bin/runsc").stdout.strip()
    assert link in (f"{RUN_DIR}/{LOOSE}/runsc", "")  # lived-in nodes have a file of their own there
    for action in ("stop", "start"):
        assert node.exec("docker", action, "to-restart").code == 0
    assert runs_from(node, "to-restart") == LOOSE
    assert node.exec("docker", "stop", "-t", "2", "on-loose").code == 0


@pytest.mark.parametrize("name", ["docker-29"])
def test_a_release_that_is_not_what_it_says_is_never_used(
    fleet: Fleet, offered: dict[str, Any], name: str
) -> None:
    node = fleet.nodes[name]
    assert fleet.run(name, data=offered[OLD] | NEVER).code == 0
    start_container(node, "shop", "--runtime=runsc")
    text, known, running = daemon_json(node), runtimes(node), processes(node)
    generations = node.exec("ls", "/var/lib/pyinfra-gvisor/generations").stdout

    outcome = fleet.run(name, data=offered[BAD])

    assert outcome.code == 1
    assert f"upgrade.canary: runsc {BAD} on {name}: not proven: kernel-inside; " in outcome.stderr
    assert daemon_json(node) == text
    assert (runtimes(node), processes(node)) == (known, running)
    assert node.exec("ls", "/var/lib/pyinfra-gvisor/generations").stdout == generations
    assert answers(node, "shop")
    assert no_leftovers(node) == ""
    assert_second_run_changes_nothing(fleet, name, offered[OLD] | NEVER)
    leave(fleet, name, offered, "shop")


@pytest.mark.parametrize("name", ["docker-29"])
def test_a_release_goes_when_nothing_needs_it_any_more(
    fleet: Fleet, offered: dict[str, Any], name: str
) -> None:
    node, keep_one = fleet.nodes[name], {"gvisor_keep_releases": 1, **NEVER}
    for release in (OLD, NEW):
        assert (
            fleet.run(name, data={**offered[release], **NEVER, "gvisor_keep_releases": 9}).code == 0
        )
        start_container(node, f"on-{release}", "--runtime=runsc")
    assert {OLD, NEW} <= set(releases(node))

    assert fleet.run(name, data={**offered[NEW], **keep_one}).code == 0  # what others have left
    opened = channels(node)
    needed = fleet.deploy(name, data={**offered[NEW], **keep_one})

    assert channels(node) - opened <= 2
    assert needed.idle
    assert {OLD, NEW} <= set(releases(node)), "a generation to go back to has it"
    node.exec("sh", "-c", "rm -rf /var/lib/pyinfra-gvisor/generations/*")

    fleet.deploy(name, data={**offered[NEW], **keep_one})

    assert {OLD, NEW} <= set(releases(node)), "a sandbox runs from it"
    assert answers(node, f"on-{OLD}")
    remove_container(node, f"on-{OLD}")

    unused = fleet.deploy(name, data={**offered[NEW], **keep_one})

    assert f"remove {RUN_DIR}/{OLD}, which nothing needs" in unused.stderr
    assert NEW in releases(node)
    assert OLD not in releases(node)
    wrappers = node.exec("ls", "/opt/gvisor/runtimes").stdout
    assert f"runsc-{NEW}-" in wrappers
    assert f"-{OLD}-" not in wrappers
    assert answers(node, f"on-{NEW}")
    assert_second_run_changes_nothing(fleet, name, {**offered[NEW], **keep_one})
    leave(fleet, name, offered, f"on-{NEW}")

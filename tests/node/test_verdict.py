"""What looks like a sandbox and is none is told by all that tells, on each kind of Docker."""

from collections.abc import Iterator

import pytest

from tests.node.audits import audit, sh, verdicts
from tests.node.containers import remove_container, start_container
from tests.node.forgeries import REAL, Forgery, forge, forget
from tests.node.running import RELEASE, SENTRY, Fleet
from tests.node.seeing import processes
from tests.node.story import ENDS
from tests.node.watching import TEXTFILES, have_none, have_watch, journal, look_now, metrics, within
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

# A program at a path like ours, with a name that is no text and has lines of ours.
_BLINDING = r"""
path=$(printf '/opt/gvisor/releases/\377\nend of release users\n/opt/gvisor/releases/x')
mkdir -p "${path%/*}"
cp /usr/bin/sleep "$path"
exec -a "$(printf '\377\376\nend of node state\n')" "$path" 3000
"""
_ASK_ALL = """
from pyinfra import host

from pyinfra_gvisor.facts.audit import AuditState
from pyinfra_gvisor.facts.coolify import CoolifyState
from pyinfra_gvisor.facts.generations import Generations
from pyinfra_gvisor.facts.node import NodeState
from pyinfra_gvisor.facts.release_users import ReleaseUsers
from pyinfra_gvisor.facts.users import RuntimeUsers

facts = (AuditState, CoolifyState, Generations, NodeState, ReleaseUsers, RuntimeUsers)
assert [fact for fact in facts if host.get_fact(fact) is None] == []
"""


@pytest.fixture
def forgeries(
    name: str, converged: dict[str, LabNode], fleet: Fleet
) -> Iterator[dict[str, Forgery]]:
    """All forgeries that Docker starts on a node, with real sandboxes beside them."""
    yield forge(converged[name])
    forget(converged[name])
    have_none(fleet, name)


@pytest.mark.parametrize("name", ENDS)
def test_a_forgery_is_told_and_a_sandbox_is_not(
    name: str, forgeries: dict[str, Forgery], fleet: Fleet
) -> None:
    node = fleet.nodes[name]
    node.exec("install", "-d", "-m", "0755", TEXTFILES)

    seen = audit(fleet, name, textfile_dir=TEXTFILES)
    have_watch(fleet, name, gvisor_textfile_dir=TEXTFILES)
    assert within(60, lambda: look_now(node) == 0)

    told = {item["name"]: (item["verdict"], item["why"]) for item in seen.report["containers"]}
    expected = {item: forgery.verdict for item, forgery in forgeries.items()}
    assert len(forgeries) >= 12
    assert {item: told[item] for item in forgeries} == {
        item: (state, why or told[item][1]) for item, (state, why) in expected.items()
    }
    assert {item: told[item] for item in REAL} == dict.fromkeys(REAL, ("sandboxed", ""))
    for item in forgeries:
        assert f"container-unsandboxed {item}" in seen.found
        assert journal(node, f"{item} (")
    for item in REAL:
        assert f"container-unsandboxed {item}" not in seen.found
        assert not journal(node, f"{item} (")
    assert metrics(node)["gvisor_watch_unsandboxed"] == len(forgeries)


def test_a_sandbox_whose_program_was_deleted_and_repaired_is_one(fleet: Fleet) -> None:
    node = fleet.nodes["docker-29"]
    start_container(node, "deleted", "--runtime=runsc")
    sh(node, "rm -r /opt/gvisor")
    between = verdicts(node)["deleted"]

    fleet.deploy("docker-29")

    pid = processes(node)["deleted"]
    assert sh(node, f"readlink /proc/{pid}/exe") == f"{SENTRY} (deleted)\n"
    after, answer = verdicts(node)["deleted"], sh(node, "docker exec deleted echo there")
    remove_container(node, "deleted")
    sh(node, "docker restart -t 2 old-sandbox")  # other tests know it on a file that is there
    assert between[0] == "unknown"
    assert (after, answer) == (("sandboxed", "", RELEASE), "there\n")


def test_a_sandbox_whose_path_breaks_off_at_a_mount_is_one(fleet: Fleet) -> None:
    node = fleet.nodes["docker-29"]
    sh(node, "mount -t tmpfs -o mode=755,exec tmpfs /mnt && cp -a /opt/. /mnt")
    sh(node, "mount --bind /mnt /opt")
    try:
        fleet.deploy("docker-29")
        start_container(node, "elsewhere", "--runtime=runsc")
        pid = processes(node)["elsewhere"]
        shown = sh(node, f"readlink /proc/{pid}/exe").strip()
        told = verdicts(node)["elsewhere"]
        remove_container(node, "elsewhere")
    finally:
        sh(node, "umount -l /opt && umount -l /mnt")

    assert (shown, told) == (SENTRY.removeprefix("/opt"), ("sandboxed", "", RELEASE))
    assert fleet.run("docker-29").code == 0


def test_no_name_that_a_container_chooses_blinds_a_run(fleet: Fleet) -> None:
    node = fleet.nodes["docker-29"]
    start_container(node, "blinding", "--label=coolify.name=\u00fc\xff\nend of node state")
    node.exec("docker", "exec", "-d", "blinding", "bash", "-c", _BLINDING)
    assert within(10, lambda: node.exec("pgrep", "-x", "x").code == 0)
    asking = fleet.directory / "ask_all.py"
    asking.write_text(_ASK_ALL)

    asked = fleet.run("docker-29", deploy=asking)
    deployed = fleet.run("docker-29")
    seen = audit(fleet, "docker-29")
    back = fleet.run("docker-29", deploy="deploys/rollback.py", flags=("--dry",))
    remove_container(node, "blinding")

    assert asked.code == 0, asked.text
    assert deployed.code == 0, deployed.text
    assert seen.container("blinding")["verdict"] == "bare"
    assert back.code == 0, back.text

"""
What only a machine with a kernel of its own can show, in one boot and a power cut.

The tests stand in the order in which they are run: from a plain server to one that is proven, and
decides itself where containers run.
"""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, RUNC_BY_NAME
from tests.node.audits import LABELS, audit, sh
from tests.node.containers import must, remove_container, start_container
from tests.node.dispatching import in_sandbox
from tests.node.faults import PAUSE, PENDING, wait_for
from tests.node.proving import rows
from tests.node.running import PROVEN, WITH_ROWS, Fleet, Outcome
from tests.node.seeing import processes
from tests.vm.conftest import NAME, SPEC
from tools.compatibility.kept import read_record
from tools.lab import LabNode, qemu

WANTED: dict[str, Any] = {
    **PROVEN,
    "gvisor_egress": {},
    "gvisor_kernel": {},
    "gvisor_runtimes": {"runsc": {}, "inner": {"network": "sandbox"}},
}
DECIDING: dict[str, Any] = {
    **WANTED,
    "gvisor_runtimes": {"runsc": {}},
    "gvisor_default": "sandbox-all",
    "gvisor_seal": {
        "binds": ["/usr"],
        "log_drivers": "allow",
        "reason": "containers here run the node's own programs, and say where dockerd logs to",
    },
}
PROVEN_RUNTIMES = ("runsc", DEFAULT_RUNTIME, RUNC_BY_NAME)
STEP_S = 240
ALWAYS = ("--restart=unless-stopped",)
CONNECT = (
    "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 5);"
    ' print $s && defined(readline $s) ? "reached" : "not reached"'
)


# What dockerd asks for whoever may pull or build.
REMOTE = (
    "curl -sS --unix-socket /run/docker.sock -X POST 'http://d/build?version=2&remote=http://{}/f'"
)
DOCKERS = {
    "pull": "docker pull {}/image 2>&1",
    "build": "printf 'FROM test:1\nADD http://{}/f /f\n' | DOCKER_BUILDKIT=0 docker build - 2>&1",
}
LOGGING = "--log-driver=fluentd --log-opt fluentd-async=true --log-opt fluentd-address="
PRINTS = ("-v", "/usr:/usr:ro", "test:1", "perl", "-e", "$|=1; while (1) { print 1; sleep 1 }")
NFS = "docker volume create --opt type=nfs --opt o=addr={},port={} --opt device=:/ shared 2>&1"
PULLS = "while :; do docker pull {}/image > /dev/null 2>&1; sleep 0.05; done"
RESTARTS = 10


class Hello(BaseRequestHandler):
    """Sends hello on every connection."""

    def handle(self) -> None:
        assert isinstance(self.server, Neighbour)
        self.server.visits += 1
        self.request.sendall(b"hello\n")


class Neighbour(ThreadingTCPServer):
    """A server in the machine's private network: on our loopback, to which QEMU forwards."""

    visits = 0

    @property
    def address(self) -> str:
        """Where the machine finds it."""
        return f"{qemu.GATEWAY}:{self.server_address[1]}"


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Neighbour]:
    """A server that counts who comes."""
    with Neighbour(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Story:
    """The main job on a plain server with a container, observed before, between and after."""

    fleet: Fleet
    node: LabNode
    neighbour: Neighbour
    """Where nobody should look."""
    could: tuple[str, str]
    """What came of loading a module, and of looking there, before."""
    brought: list[int]
    """How often dockerd looked there before, by what it was asked."""
    running: dict[str, int]
    converged: Outcome

    def run(self, **others: Any) -> Outcome:
        """Run the main job with further settings."""
        return self.fleet.run(NAME, data={**DECIDING, **others})


@pytest.fixture(scope="module")
def story(fleet: Fleet, neighbour: Neighbour) -> Story:
    """Run once for all tests."""
    node = fleet.nodes[NAME]
    start_container(node, "shop", *ALWAYS, *LABELS, "--cap-drop=ALL")
    could = module(node), reach(node, "runc", neighbour.address)
    brought = [visits(node, neighbour, way) for way in (*DOCKERS.values(), REMOTE)]
    sh(node, "modprobe -r tipc")
    running = processes(node)
    data = {**DECIDING, "gvisor_report_dir": str(fleet.directory)}
    converged = fleet.run(NAME, flags=WITH_ROWS, data=data)
    return Story(fleet, node, neighbour, could, brought, running, converged)


def module(node: LabNode) -> str:
    """Return what happens when a module with known holes is loaded."""
    return "loaded" if node.exec("modprobe", "tipc").code == 0 else "refused"


def reach(node: LabNode, runtime: str, target: str) -> str:
    """Return what a container receives from a server in the machine's network."""
    start_container(node, "asker", f"--runtime={runtime}")
    said = sh(node, f"docker exec asker perl -e '{CONNECT}' {target}")
    remove_container(node, "asker")
    return said


def visits(node: LabNode, neighbour: Neighbour, way: str) -> int:
    """Return how often dockerd comes to the neighbour when it is asked in this way."""
    before = neighbour.visits
    asked(node, neighbour, way)
    return neighbour.visits - before


def asked(node: LabNode, neighbour: Neighbour, way: str) -> str:
    """Ask dockerd for something of the neighbour's; return what it says."""
    return asked_at(node, neighbour.address, way)


def asked_at(node: LabNode, address: str, way: str = DOCKERS["pull"]) -> str:
    """Ask dockerd for something at an address; return what it says."""
    return node.exec("sh", "-c", way.format(address)).stdout


def test_it_is_a_machine_as_users_have(machine: LabNode) -> None:
    assert sh(machine, "stat -fc %T /sys/fs/cgroup") == "cgroup2fs\n"
    info = sh(machine, "docker info --format '{{.CgroupVersion}} {{.CgroupDriver}}'")
    assert info == "2 systemd\n"
    assert "name=apparmor" in sh(machine, "docker info --format '{{.SecurityOptions}}'")
    assert sh(machine, "test -e /proc/modules && systemd-detect-virt").strip() in {"qemu", "kvm"}


def test_a_plain_server_loads_any_module_and_its_containers_reach_its_network(story: Story) -> None:
    assert story.could == ("loaded", "reached")


def test_the_main_job_with_firewall_and_kernel_is_proven_and_touches_nothing(story: Story) -> None:
    assert story.converged.code == 0, story.converged.text
    for runtime in PROVEN_RUNTIMES:
        found = rows(story.converged, runtime)
        assert len(found) > 20
        assert [line for line in found.values() if not line.endswith((" ok", " n/a"))] == []
        assert found["memory-limit"].endswith(" ok")
        assert found["build-kernel"].endswith(" ok")
    assert processes(story.node) == story.running


def test_it_leaves_a_record_of_what_was_seen_together(story: Story) -> None:
    record = read_record(story.fleet.directory / "compatibility" / f"{NAME}.json")

    assert (record.seen_by, record.arch) == ("virtual machine", SPEC.arch)
    assert (record.firewall, record.kernel_surface) == (True, True)
    assert {item.asked for item in record.runtimes} == {"name", "nothing", "runc"}


def test_a_second_run_changes_nothing(story: Story) -> None:
    second = story.run()

    assert second.idle, second.text


def test_behind_it_nobody_reaches_the_private_network(story: Story) -> None:
    asks = f"perl -e '{CONNECT}' {story.neighbour.address}"
    outside = sh(story.node, f"docker exec shop {asks}")  # it is under runc, from before
    inside = reach(story.node, "runc", story.neighbour.address)
    assert (outside, inside) == ("not reached", "not reached")
    own = sh(story.node, asks)
    assert own == "reached", "the node itself does"


def test_behind_it_dockerd_looks_nowhere_for_anybody_and_what_it_is_asked_is_told(
    story: Story,
) -> None:
    node, neighbour = story.node, story.neighbour
    before = neighbour.visits

    said = {what: asked(node, neighbour, way) for what, way in DOCKERS.items()}
    remote = asked(node, neighbour, REMOTE)  # by BuildKit
    logs = ("--log-driver=syslog", "--log-opt=syslog-address=tcp://127.0.0.1:22")
    loopback = node.exec("docker", "run", "--rm", *logs, "test:1", "true")
    volume = node.exec("sh", "-c", NFS.format(*neighbour.address.split(":")))
    listed = story.fleet.run(NAME, deploy="deploys/egress.py", data=DECIDING)

    # Of two that lead to one port, Docker 29 with nftables cannot start the container.
    ports = ("--publish=127.0.0.1:8088:80", "--publish=8089:81")
    start_container(node, "published", *ports)  # nobody listens there
    own = sh(node, "hostname -I").split()[0]
    reached = [asked_at(node, address) for address in ("127.0.0.1:8088", f"{own}:8089")]
    remove_container(node, "published")

    assert min(story.brought) > 0, "before, it looked there"
    assert ["no route to host" in reached[0], "connection refused" in reached[1]] == [True] * 2
    assert [what for what, text in said.items() if "no route to host" not in text] == []
    assert "dockerd may not download" in remote, "the door refuses it"
    assert "127.0.0.1:22: connect: no route to host" in loopback.stderr
    assert "network file system" in volume.stdout, "the seal refuses it"
    assert neighbour.visits == before
    told = listed.text.partition("Docker itself")[2]
    assert f"{neighbour.address}/tcp" in told
    assert "127.0.0.1:22/tcp" in told


def test_behind_it_dockerd_looks_nowhere_while_it_is_restarted_ten_times(story: Story) -> None:
    node, neighbour = story.node, story.neighbour
    before = neighbour.visits
    logs = f"{LOGGING}{neighbour.address}".split()
    must(node, "docker", "run", "-d", "--name=logger", *ALWAYS, *logs, *PRINTS)
    sh(node, f"systemd-run --quiet --unit=pulls sh -c '{PULLS.format(neighbour.address)}'")

    for _ in range(RESTARTS):
        sh(node, "systemctl reset-failed docker; systemctl restart docker")
    sh(node, "systemctl restart containerd; systemctl stop pulls")

    assert neighbour.visits == before
    assert unfiltered(node) == ""
    assert "no route to host" in sh(node, "journalctl -q -u docker -n 50")


def unfiltered(node: LabNode) -> str:
    """Return what of Docker's the rules do not hold for."""
    return sh(node, "sh /opt/gvisor/egress/members.sh /opt/gvisor/egress/rules.nft unfiltered")


def test_behind_it_a_module_is_refused(story: Story) -> None:
    assert module(story.node) == "refused"


def test_a_container_of_before_is_found(story: Story) -> None:
    others = {key.removeprefix("gvisor_"): value for key, value in DECIDING.items()}

    found = audit(story.fleet, NAME, **others)

    assert not in_sandbox(story.node, "shop")
    assert found.outcome.code == 1
    assert found.found["container-unsandboxed shop"]["severity"] == "critical"


@pytest.fixture(scope="module")
def plain(story: Story) -> str:
    """A container that asks for no runtime."""
    start_container(story.node, "plain", *ALWAYS)
    return "plain"


def test_what_asks_for_no_runtime_is_in_gvisor(story: Story, plain: str) -> None:
    assert in_sandbox(story.node, plain)


DEPLOY = """
from pyinfra_gvisor.daemon_json import transaction
from pyinfra_gvisor.deploys.gvisor import run_node

whole = transaction.script
transaction.script = lambda *names, **values: whole(*names, **values).replace(
    "\\nbegan=", "\\n" + {pause!r} + "began=", 1
)
run_node()
"""


@pytest.mark.parametrize(
    ("step", "driver"),
    [
        pytest.param("write", "local", marks=pytest.mark.slow),
        pytest.param("restart after", "journald"),
        pytest.param("look", "local", marks=pytest.mark.slow),
    ],
)
def test_a_power_cut_in_a_deploy_leaves_no_app_down_and_what_was_declared_before(
    story: Story, plain: str, step: str, driver: str
) -> None:
    node, fleet = story.node, story.fleet
    log = {"gvisor_daemon_json": {"log-driver": driver}}
    changed = {**DECIDING, **log, "gvisor_proof": "never"}
    deploy = fleet.directory / "cut.py"
    deploy.write_text(DEPLOY.format(pause=PAUSE.format(step=step)))
    controller = fleet.start(NAME, changed, deploy=str(deploy))
    wait_for(node, "test -e /run/at-step", timeout_s=STEP_S)

    before_boot = story.neighbour.visits
    node.kill()
    node.start()

    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    assert node.exec("test", "-e", PENDING).code == 1, "undone or finished at boot"
    assert in_sandbox(node, plain)
    assert in_sandbox(node, "shop"), "it asks for runc, and was started again"
    assert (module(node), reach(node, "runc", story.neighbour.address)) == (
        "refused",
        "not reached",
    )
    assert story.neighbour.visits == before_boot, "the logger tries all the time"
    assert unfiltered(node) == ""
    before = fleet.run(NAME, data={**DECIDING, "gvisor_proof": "never"})
    assert before.idle, before.text
    assert sh(node, "docker info --format '{{.LoggingDriver}}'") != f"{driver}\n"
    assert {"shop", plain} <= processes(node).keys()


@pytest.mark.slow
def test_it_goes_back_and_strands_nobody(story: Story, plain: str) -> None:
    node = story.node
    before = processes(node)

    back = story.fleet.run(NAME, data={**WANTED, "gvisor_proof": "never"})
    kept = processes(node)
    sh(node, f"docker restart -t 1 shop; docker exec {plain} true")
    are = in_sandbox(node, "shop"), in_sandbox(node, plain)
    remove_container(node, plain)

    assert back.code == 0, back.text
    assert kept == before
    assert are == (False, True)

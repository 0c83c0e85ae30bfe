"""What the script of an audit tells of a node, with a Docker API of the test's own."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from pyinfra_gvisor.audit.observed import Engine, Given, Observed, Volume, parse_observed
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts.egress.observed import read
from pyinfra_gvisor.parts.egress.state import EgressState, Subnet
from tests.table import table
from tests.unit.answers import compact
from tests.unit.fake_docker import SECRET, Answer, Handler, container, daemon, network, routes, says
from tests.unit.node_script import Machine, process
from tests.unit.shells import held, replaced, run, stub, toolbox

ID = "e" * 64
PROFILE = "seccomp=" + json.dumps({"defaultAction": "SCMP_ACT_ALLOW" * 100})
ANSWERS_ALL = "/containers/json?all=1"
FILTERS = "%7B%22type%22%3A%5B%22daemon%22%5D%2C%22event%22%3A%5B%22reload%22%5D%7D"
NASTY = 'a "quoted" {brace}: \\ line\nü'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node that is asked for all that an audit asks for, and for a label with an odd name."""
    labels, guarded = "app\no.d-d/<&>", f"{tmp_path}/guarded\n/"
    return Machine(tmp_path, wide="yes", labels=labels, guarded=guarded)


def ask(machine: Machine, answers: Mapping[str, Answer]) -> Observed:
    """What the script tells of a daemon that answers so."""
    with daemon(machine.socket, answers):
        return parse_observed(machine.output().rstrip("\n").split("\n"))


def observed(machine: Machine, *documents: dict[str, Any], events: str = "") -> Observed:
    """What the script tells of a daemon with these containers."""
    return ask(machine, Answers(routes(documents), documents, events))


def shop(**given: Any) -> dict[str, Any]:
    """The only container, made from an image."""
    document = container(1, 1, **given)
    document["Config"]["Image"] = "shop:2"
    return document


def of_shop(machine: Machine, document: dict[str, Any]) -> Given:
    """What that container was given."""
    return observed(machine, document).given[f"{1:064x}"]


def listing(*ids: str) -> str:
    """The list of all containers."""
    return compact([{"Id": item} for item in ids])


class Answers(dict[str, Any]):
    """A good daemon's answers; those to questions with a time in them too."""

    def __init__(self, known: dict[str, Any], documents: Any, events: str) -> None:
        super().__init__(known)
        self[ANSWERS_ALL] = says(listing(*(item["Id"] for item in documents)))
        self.events = events

    def get(self, key: str, default: Any = None) -> Any:
        if key.startswith("/events?since=1&until=") and key.endswith(f"&filters={FILTERS}"):
            return says(self.events)
        return super().get(key, default)


def test_what_a_container_was_given_is_seen(machine: Machine) -> None:
    device = {"PathOnHost": "/dev/sda", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}
    request = {"Driver": "cdi", "Count": 0, "DeviceIDs": ["a/b=c"], "Capabilities": None}
    cpu = "/sys/devices/system/cpu/cpu0/thermal_throttle"
    obeyed = {"dev.gvisor.flag.host-uds": "open", "io.kubernetes.cri.container-type": "container"}
    given = {
        "Privileged": True,
        "NetworkMode": "host",
        "PidMode": "host",
        "CapAdd": ["SYS_ADMIN"],
        "CapDrop": ["ALL"],
        "Annotations": {**obeyed, "com.example": SECRET},
        "PortBindings": {"80/tcp": [{"HostPort": "8080"}], "53/udp": None, SECRET: []},
        "Devices": [device],
        "DeviceCgroupRules": ["c 1:* rwm"],
        "DeviceRequests": [{**request, "Options": {}}],
        "SecurityOpt": ["apparmor=unconfined", PROFILE],
        "MaskedPaths": ["/proc/kcore", cpu],
        "ReadonlyPaths": [],
    }
    document = shop(host=given, labels={"app": NASTY, "o.d-d/<&>": "x", "b": SECRET})
    document["Config"]["ExposedPorts"] = {"80/tcp": {}, "443/tcp": {}}

    seen = of_shop(machine, document)

    assert (seen.privileged, seen.network_mode, seen.pid_mode) == (True, "host", "host")
    assert (seen.capabilities, seen.dropped) == (("SYS_ADMIN",), ("ALL",))
    assert (seen.annotations, seen.labels) == (obeyed, {"app": NASTY, "o.d-d/<&>": "x"})
    assert (seen.image, seen.ports) == ("shop:2", ("443/tcp", "53/udp", "80/tcp"))
    assert (seen.devices[0].host, seen.device_rules) == ("/dev/sda", ("c 1:* rwm",))
    assert seen.device_requests[0].ids == ("a/b=c",)
    assert seen.security[0] == "apparmor=unconfined"
    assert seen.security[1].startswith("seccomp={")
    assert len(seen.security[1]) < 90
    assert (seen.masked, seen.readonly) == (("/proc/kcore",), ())


@table("nothing", null=None, empty={})
def test_what_docker_does_not_say_is_none(machine: Machine, nothing: object) -> None:
    keys = ("CapDrop", "Devices", "SecurityOpt", "MaskedPaths")
    document = shop(host={"PortBindings": nothing, **dict.fromkeys(keys)})
    document["Config"]["ExposedPorts"] = nothing

    seen = of_shop(machine, document)

    assert (seen.dropped, seen.ports, seen.devices, seen.security) == ((), (), (), ())
    assert (seen.masked, seen.readonly) == (None, None)


@table(
    "events, at",
    none=("", None),
    one=('{"time":5,"timeNano":5250000000}\n', 5.25),
    the_last=('{"timeNano":5250000000}\n{"timeNano":7500000000}', 7.5),
)
def test_when_dockerd_read_a_file_is_seen(machine: Machine, events: str, at: float | None) -> None:
    assert observed(machine, events=events).reloaded_s == at


@table("identity, is_leak", unknown=("d" * 64, True), known=(f"{1:064x}", False))
def test_a_sandbox_without_container_is_a_leak(
    machine: Machine, identity: str, is_leak: bool
) -> None:
    command = ["runsc-sandbox", "-c", "sleep 60 & wait", "x", identity]
    running = subprocess.Popen(command, executable="/bin/sh", start_new_session=True)
    try:
        document = container(1, 1)
        with daemon(machine.socket, Answers(routes([document]), [document], "")):
            output = machine.output()
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()

    assert bool(re.search(rf"^sandbox {running.pid} \d ", output, re.MULTILINE)) is is_leak


def test_a_process_that_only_calls_itself_a_sandbox_is_the_nodes_or_none(machine: Machine) -> None:
    with process("runsc-sandbox") as pid:
        document = container(1, pid)
        seen = observed(machine, document)

    assert seen.node.containers[0].process.file


def test_without_perl_nothing_is_guessed(tmp_path: Path) -> None:
    seen = ask(Machine(tmp_path, perl=False, wide="yes", labels=""), routes([]))

    assert seen.node.info is None
    assert seen.node.docker_error == (
        "perl-base is not installed on the node, and Docker cannot be asked without it; "
        "install perl-base, a package that every Debian and Ubuntu has"
    )


def test_where_a_container_is_and_since_when_is_seen(machine: Machine) -> None:
    networks = {
        "bridge": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": ""},
        "six": {"IPAddress": "172.20.0.2", "GlobalIPv6Address": "fd00::2"},
        f'"IPAddress":"{SECRET}"': {"Aliases": ['"IPAddress":"10.9.9.9"'], "IPAddress": ""},
    }
    settings = {"IPAddress": "172.18.0.2", "Networks": networks}
    document = shop(
        state={"StartedAt": "2026-11-25T14:01:28.104348169Z"}, others={"NetworkSettings": settings}
    )

    seen = of_shop(machine, document)

    assert seen.addresses == ("172.18.0.2", "172.20.0.2", "fd00::2")
    assert seen.started_s == pytest.approx(1795615288.104)


def test_a_deploy_asks_neither_where_containers_are_nor_for_stopped_ones(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    document, idle = shop(state={"StartedAt": "2026-11-25T14:01:28Z"}), container(2, 0, name="idle")
    answers = {**routes([document, idle]), **routes([document]), ANSWERS_ALL: listing(idle["Id"])}

    with daemon(machine.socket, answers) as asked:
        output = machine.output()

    assert "container {" in output
    assert not re.search("Addresses|StartedAt|^idle ", output, re.MULTILINE)
    assert f"/containers/{idle['Id']}/json" not in asked


@table("name, told", there=("text", "yes"), gone=("none", "no"))
def test_whether_metrics_have_a_directory_is_told(tmp_path: Path, name: str, told: str) -> None:
    machine = Machine(tmp_path, textfile_dir=f"{tmp_path}/{name}")
    (tmp_path / "text").mkdir()

    with daemon(machine.socket, routes([])):
        assert f"\ntextfile_dir {told}\n" in machine.output()


NFT = """
case "$*" in
    '-j -n list counters table inet pyinfra_gvisor')
        found='"counter": {"table": "pyinfra_gvisor", "name": "drop_node", "packets": 7}' ;;
    '-j -n list set inet pyinfra_gvisor stopped'[46])
        element='{"elem": {"val": {"concat": ["172.18.0.2", "10.0.0.5", 6, 22]}, "expires": 3600}}'
        found='"set": {"table": "pyinfra_gvisor", "name": "'"$7"'", "size": 9, "timeout": 3600'
        found="$found, \\"elem\\": [$element]}" ;;
    *) exit 9 ;;
esac
echo "{\\"nftables\\": [{$found}]}"
"""


def firewall(tmp_path: Path, nft: str | None) -> Sequence[str]:
    """What the audit's own script tells of a firewall, where nft does this."""
    path = toolbox(tmp_path / "bin")
    if nft is not None:
        stub(path, "nft", nft)
    text = script("parts/egress/observed", "audit/state", observed="egress_observed")
    text = replaced(text, {"/usr/sbin/nft": path / "nft"})
    ran = run(text, path=path)
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line for line in ran.stdout.splitlines() if line.startswith("egress_observed ")]


def test_what_a_firewall_has_counted_is_told_with_the_time(tmp_path: Path) -> None:
    lines = firewall(tmp_path, NFT)

    found = read([line.removeprefix("egress_observed ") for line in lines])
    assert (found.counters, found.is_full) == ({"drop_node": 7}, False)
    assert [(one.source, one.to) for one in found.attempts] == [("172.18.0.2", "10.0.0.5:22/tcp")]
    assert [abs(float(line.split(" ")[1]) - time.time()) < 60 for line in lines] == [True] * 3


@table("nft", no_nft=None, no_table="echo 'Error: No such file or directory' >&2; exit 1")
def test_where_there_is_no_firewall_nothing_is_told(tmp_path: Path, nft: str | None) -> None:
    assert firewall(tmp_path, nft) == []


def test_an_audit_waits_for_a_proof_and_lets_none_begin(tmp_path: Path) -> None:
    lock, told = tmp_path / "probe.lock", tmp_path / "told"
    text = replaced(script("audit/state", observed=""), {"/run/pyinfra-gvisor/probe.lock": lock})
    begins = f"flock -n {lock} true && echo a proof may begin >> {told}"
    with held(lock) as proof:
        Timer(1, lambda: (told.write_text("the proof has ended\n"), proof.close())).start()
        ran = run(f"{text}\ncat {told}\n{begins}\ntrue")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == "the proof has ended"
    assert "may begin" not in told.read_text()


def test_a_proof_without_end_keeps_no_audit_from_its_work(tmp_path: Path) -> None:
    lock = tmp_path / "probe.lock"
    changes = {"/run/pyinfra-gvisor/probe.lock": lock, "limit / 4 + 30": "limit / 4"}
    with held(lock):
        lock.write_text("1\n")
        ran = run(f"{replaced(script('audit/state', observed=''), changes)}\necho goes on")

    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "goes on")


def test_stopped_containers_are_told_with_the_runtime_they_ask_for(machine: Machine) -> None:
    up = container(1, 1, name="up")
    idle = [
        container(2, 0, name="idle", host={"Runtime": "n\u00e9t"}),
        container(3, 0, name="old", host={"Runtime": ""}),
    ]
    answers = Answers({**routes([up, *idle]), **routes([up])}, [up, *idle], "")
    answers.update({f"/containers/{item['Id']}/json": says(compact(item)) for item in idle})
    answers[ANSWERS_ALL] = says(listing(*(f"{number:064x}" for number in (1, 2, 3, 4))))

    seen = ask(machine, answers)

    assert [(item.name, item.running, item.runtime) for item in seen.users] == [
        ("up", True, "runc"),
        ("idle", False, "n\u00e9t"),
        ("old", False, ""),
    ]
    assert seen.idle_error is None


def test_a_flood_of_labels_hides_nothing_and_an_escaped_one_is_known(machine: Machine) -> None:
    document = container(1, 1)
    document["Config"]["Labels"] = {"app": "x", **{f"a{n}": '"\\\n' for n in range(70000)}}
    document["HostConfig"]["Annotations"] = {f"a{number}": "" for number in range(70000)}
    document["HostConfig"]["Privileged"] = True
    answers = Answers(routes([document]), [document], "")
    text = json.dumps(document).replace('"app"', '"\\u0061pp"')
    answers[f"/containers/{1:064x}/json"] = says(text)

    seen = ask(machine, answers).given[f"{1:064x}"]

    assert (seen.privileged, seen.labels) == (True, {"app": "x"})


def told(machine: Machine, *documents: dict[str, Any], ids: str = "[]") -> Observed:
    """What the script tells of a daemon with these containers, which lists others as all."""
    return ask(machine, {**routes(documents), ANSWERS_ALL: says(ids)})


@table("name", plain="link", two_lines="a\nb", quoted='q"\\', not_ascii="ü")
def test_a_mount_is_told_by_where_its_links_lead(machine: Machine, name: str) -> None:
    (machine.root / "real").mkdir()
    link = machine.root / name
    link.symlink_to(machine.root / "real")
    mounts = [{"Type": "bind", "Source": str(link), "RW": False}]

    (mount,) = of_shop(machine, shop(mounts=mounts)).mounts

    assert (mount.source, mount.writable) == (str(link), False)
    assert mount.places == (str(machine.root / "real"),)


def test_a_guarded_path_is_told_by_where_its_links_lead(machine: Machine) -> None:
    (machine.root / "data").mkdir()
    (machine.root / "guarded").symlink_to("data")

    assert told(machine).places == {f"{machine.root}/guarded": (f"{machine.root}/data",)}


def test_what_is_mounted_twice_is_told_by_both_paths_and_what_is_gone_by_none(
    machine: Machine,
) -> None:
    first, second = machine.root / "first", machine.root / "second"
    first.mkdir()
    (first / "file").write_text("")
    second.symlink_to(first)  # as good as a mount: the same inode at another path
    (machine.root / "mountinfo").write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 8:1 {first} {second} rw - ext4 /dev/sda rw\n"
        f"3 1 8:2 {first} {machine.root}/third rw - ext4 /dev/sdb rw\n"
    )
    sources = (str(first / "file"), "/nowhere/at/all")
    mounts = [{"Type": "bind", "Source": source, "RW": True} for source in sources]

    gone, twice = of_shop(machine, shop(mounts=mounts)).mounts

    assert (twice.places, gone.places) == ((f"{first}/file", f"{second}/file"), ())


@contextmanager
def running(machine: Machine, program: str, *arguments: str, does: str = "read x") -> Iterator[int]:
    """A process of a program by that name, with these arguments; yields its PID."""
    path = machine.root / program
    shutil.copy("/bin/sh", path)
    words = [program, "-c", does, *arguments]
    started = subprocess.Popen(words, executable=path, stdin=subprocess.PIPE)
    try:
        yield started.pid
    finally:
        started.kill()
        started.communicate()


def of(seen: Observed, pid: int) -> list[Engine]:
    """What was told of that process; others may run on the machine."""
    return [item for item in seen.engines if item.pid == pid]


def test_a_shim_of_a_container_that_docker_does_not_know_is_told(machine: Machine) -> None:
    arguments = ("-namespace", "other", "-id", ID, "-address", "/run/c.sock")
    with running(machine, "containerd-shim-runc-v2", *arguments) as pid:
        (found,) = of(told(machine), pid)

    assert (found.program, found.namespace, found.id) == ("containerd-shim-runc-v2", "other", ID)
    assert (found.address, found.file) == ("/run/c.sock", f"{machine.root}/containerd-shim-runc-v2")


# Other threads of a process go on without the first one: exit(2) ends a thread, exit_group(2) all.
ENDED_LEADER = """exec 3<&0; python3 -c '
import ctypes, platform, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).syscall(93 if platform.machine() == "aarch64" else 60, 0)
' <&3 & read x"""
LABELLED = compact([{"Id": "d" * 64, "Labels": {"Id": ID}}])


@table(
    "namespace, ids, does, count",
    of_dockers_own=("moby", listing(ID), "(read x); :", 0),
    something_runs_in_it=("moby", "[]", "(read x); :", 1),
    something_whose_first_thread_has_ended=("moby", "[]", ENDED_LEADER, 1),
    nothing_does=("moby", "[]", "read x", 0),
    nothing_does_in_a_moment=("moby", "[]", "sleep 0.6; read x", 0),
    one_of_another_engine=("other", "[]", "read x", 1),
    another_container_has_its_id_in_a_label=("other", LABELLED, "read x", 1),
)
def test_a_shim_that_outlives_its_container_is_told_if_anything_runs_in_it(
    machine: Machine, namespace: str, ids: str, does: str, count: int
) -> None:
    arguments = ("-namespace", namespace, "-id", ID)
    with running(machine, "containerd-shim-runc-v2", *arguments, does=does) as pid:
        assert len(of(told(machine, ids=ids), pid)) == count


def test_a_container_that_is_made_while_the_audit_looks_is_none(machine: Machine) -> None:
    lists = iter([says("[]"), says(listing(ID))])

    def another_each_time(request: Handler) -> None:
        next(lists)(request)

    answers = {**routes([]), ANSWERS_ALL: another_each_time}
    with running(machine, "containerd-shim-runc-v2", "-id", ID) as pid:
        seen = ask(machine, answers)

    assert of(seen, pid) == []


def test_a_plugin_of_docker_is_no_container_of_somebody_elses(machine: Machine) -> None:
    answers = {**routes([]), ANSWERS_ALL: says("[]")}
    arguments = ("-namespace", "plugins.moby", "-id", ID)
    with running(machine, "containerd-shim-runc-v2", *arguments) as pid:
        known = ask(machine, {**answers, "/plugins": says(listing(ID))})
        machine.socket.unlink()
        unknown = ask(machine, {**answers, "/plugins": says("[]")})

    assert (of(known, pid), len(of(unknown, pid))) == ([], 1)


@pytest.mark.parametrize("name", ["containerd-shim-runc-v2", "dockerd", "conmon"])
def test_a_process_that_only_calls_itself_so_is_none(machine: Machine, name: str) -> None:
    with process(name) as pid:
        seen = told(machine)

    assert of(seen, pid) == []


def test_what_a_container_runs_is_none_even_in_the_nodes_process_namespace(
    machine: Machine,
) -> None:
    program = machine.root / "conmon"
    shutil.copy("/bin/sh", program)
    script = f"'{program}' -c 'echo $$; read x'; true"
    parent = subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        pid = int(parent.stdout.readline())
        alone = told(machine)
        machine.socket.unlink()
        below = told(machine, container(1, parent.pid))
    finally:
        parent.kill()
        parent.communicate()

    assert (len(of(alone, pid)), of(below, pid)) == (1, [])


def test_names_and_arguments_of_engines_may_be_any_bytes(machine: Machine) -> None:
    odd = "a\nengine socket\t1\tend of node state\x7f\udcff"
    with running(machine, "conmon", "-c", odd) as pid:
        seen = told(machine)

    assert len(of(seen, pid)) == 1
    assert seen.node.info is not None


def test_what_dockerd_uses_is_told_with_its_version_if_it_tells_it(machine: Machine) -> None:
    components = [
        {"Name": "Engine", "Version": "26.1.5", "Details": {"Os": "linux"}},
        {"Name": "containerd", "Version": "1.7.24~ds1", "Details": {"GitCommit": "1.7.24~ds1"}},
        {"Name": "runc", "Version": "1.1.15+ds1", "Details": {"GitCommit": "1.1.15+ds1-2"}},
        {"Name": "docker-init", "Version": "0.19.0", "Details": {"GitCommit": ""}},
    ]
    version = says(compact({"Platform": {"Name": ""}, "Components": components}))

    found = ask(machine, {**routes([]), ANSWERS_ALL: says("[]"), "/version": version})
    machine.socket.unlink()

    assert {name: (item.version, item.commit) for name, item in found.components.items()} == {
        "Engine": ("26.1.5", "-"),
        "containerd": ("1.7.24~ds1", "1.7.24~ds1"),
        "runc": ("1.1.15+ds1", "1.1.15+ds1-2"),
    }
    assert told(machine).components == {}


def volume(name: str, **options: Any) -> dict[str, Any]:
    """A volume of the local driver as ``/volumes`` lists it."""
    labels = {"a": '"Options":{"device":"/x"}', "b": NASTY}
    return {"Driver": "local", "Labels": labels, "Name": name, "Options": options or None}


def volumes(machine: Machine, answer: Answer) -> Observed:
    """What the script tells where Docker's list of volumes is this."""
    return ask(machine, {**routes([]), ANSWERS_ALL: says("[]"), "/volumes": answer})


@table("name", plain="link", two_lines="a\nvolume {}\nb", quoted='q"\\', not_ascii="ü")
def test_a_volume_is_told_by_where_its_device_leads(machine: Machine, name: str) -> None:
    (machine.root / "real").mkdir()
    (machine.root / name).symlink_to(machine.root / "real")
    device = f"{machine.root}/{name}".lstrip("/")
    odd = [{}, None, "x", volume("plain"), volume("sized", size="1g", device=None)]
    plugin = {**volume("other", device="/etc"), "Driver": "nfs"}
    listed = [*odd, plugin, volume("shop", o="bind", device=device), volume("old", device="/gone")]

    seen = volumes(machine, says(compact({"Volumes": listed, "Warnings": None})))

    places = (f"{machine.root}/real",)
    assert seen.volumes == (
        Volume(name="shop", type="", options="bind", device=device, places=places),
        Volume(name="old", type="", options="", device="/gone"),
    )
    assert seen.volumes_error is None


def test_no_flood_of_volumes_hides_one(machine: Machine) -> None:
    many = [volume(f"v{number}", type="tmpfs", device=NASTY * 9) for number in range(5000)]
    listed = [*many, volume("shop", type="ext4", device="/dev/sda1")]

    seen = volumes(machine, says(compact({"Volumes": listed})))

    assert (len(seen.volumes), seen.volumes[-1].device) == (5001, "/dev/sda1")


@table(
    "answer, error",
    none=(says('{"Volumes":null,"Warnings":null}'), None),
    failed=(says("{}", "500 No"), "answer 500 to /volumes"),
    cut_short=(says('{"Volumes":[{"Name":"a'), "incomplete answer to /volumes"),
)
def test_a_node_whose_volumes_are_not_known_says_so(
    machine: Machine, answer: Answer, error: str | None
) -> None:
    seen = volumes(machine, answer)

    assert (seen.volumes, seen.volumes_error) == ((), error)
    assert seen.node.info is not None


def test_addresses_of_networks_are_told_whatever_they_are_called(machine: Machine) -> None:
    config = [{"Subnet": "203.0.113.0/24", "IPRange": "10.0.0.0/8"}, {"Subnet": "fd00::/64"}]
    networks = [
        network("a b", IPAM={"Config": config, "Options": {"x": '"Subnet":"10.9.0.0/24"'}}),
        network(NASTY, IPAM={"Config": [{"Subnet": "8.8.8.0/24 x"}, None, "y"]}),
        *(network("none", IPAM=ipam) for ipam in (None, {}, {"Config": None}, {"Config": [{}]})),
    ]

    seen = ask(machine, {**routes([], networks=networks), ANSWERS_ALL: says("[]")})

    state = seen.node.part(EgressState)
    assert state.subnets == (
        Subnet(name="a b", driver="bridge", subnet="203.0.113.0/24"),
        Subnet(name="a b", driver="bridge", subnet="fd00::/64"),
        Subnet(name=networks[1]["Id"][:12], driver="bridge", subnet="?"),
    )
    assert state.networks[1].name == networks[1]["Id"][:12]

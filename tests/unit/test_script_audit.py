"""``docker_state.sh`` asked for more, against a Docker API of the test's own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from pyinfra_gvisor.audit.observed import Observed, parse_observed
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts.egress.observed import read
from tests.unit.answers import compact
from tests.unit.fake_docker import SECRET, container, daemon, routes, says
from tests.unit.node_script import Machine, process
from tests.unit.shells import held, replaced, run, stub, toolbox

FILTERS = "%7B%22type%22%3A%5B%22daemon%22%5D%2C%22event%22%3A%5B%22reload%22%5D%7D"
NASTY = 'a "quoted" {brace}: \\ line\nü'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node with perl, asked for the labels ``app`` and one with an odd name."""
    return Machine(tmp_path, wide="yes", labels=f"app\n{'o.d-d/<&>'}")


def observed(machine: Machine, *documents: dict[str, Any], events: str = "") -> Observed:
    """What the script tells of a daemon with these containers."""
    with daemon(machine.socket, Answers(routes(documents), documents, events)):
        return parse_observed(machine.output().rstrip("\n").split("\n"))


class Answers(dict[str, Any]):
    """A good daemon's answers; those to questions with a time in them too."""

    def __init__(self, known: dict[str, Any], documents: Any, events: str) -> None:
        super().__init__(known)
        ids = compact([{"Id": item["Id"]} for item in documents])
        self["/containers/json?all=1"] = says(ids)
        self.events = events

    def get(self, key: str, default: Any = None) -> Any:
        if key.startswith("/events?since=1&until=") and key.endswith(f"&filters={FILTERS}"):
            return says(self.events)
        return super().get(key, default)


def test_what_a_container_was_given_is_seen(machine: Machine) -> None:
    given = {
        "Privileged": True,
        "NetworkMode": "host",
        "PidMode": "host",
        "CapAdd": ["SYS_ADMIN"],
        "Annotations": {"dev.gvisor.flag.host-uds": "open", "com.example": SECRET},
    }
    document = container(1, 1, host=given, labels={"app": NASTY, "o.d-d/<&>": "x", "b": SECRET})
    document["Config"]["Image"] = "shop:2"

    seen = observed(machine, document).given[f"{1:064x}"]

    assert (seen.privileged, seen.network_mode, seen.pid_mode) == (True, "host", "host")
    assert seen.capabilities == ("SYS_ADMIN",)
    assert seen.annotations == {"dev.gvisor.flag.host-uds": "open"}
    assert seen.labels == {"app": NASTY, "o.d-d/<&>": "x"}
    assert seen.image == "shop:2"


def test_what_a_container_dropped_and_its_ports_are_seen(machine: Machine) -> None:
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "53/udp": None, SECRET: []}
    document = container(1, 1, host={"CapDrop": ["ALL"], "PortBindings": bindings})
    document["Config"]["ExposedPorts"] = {"80/tcp": {}, "443/tcp": {}}

    seen = observed(machine, document).given[f"{1:064x}"]

    assert seen.dropped == ("ALL",)
    assert seen.ports == ("443/tcp", "53/udp", "80/tcp")


@pytest.mark.parametrize("nothing", [None, {}], ids=["null", "empty"])
def test_a_container_without_ports_has_none(machine: Machine, nothing: object) -> None:
    document = container(1, 1, host={"CapDrop": None, "PortBindings": nothing})
    document["Config"]["ExposedPorts"] = nothing

    seen = observed(machine, document).given[f"{1:064x}"]

    assert (seen.dropped, seen.ports) == ((), ())


def test_a_label_that_nobody_asked_for_does_not_leave_the_node(machine: Machine) -> None:
    document = container(1, 1, labels={"app": "x", "password": SECRET})
    document["Config"]["Image"] = "shop:2"

    with daemon(machine.socket, Answers(routes([document]), [document], "")):
        assert SECRET not in machine.output()


def test_an_escaped_label_is_known_by_its_name(machine: Machine) -> None:
    document = container(1, 1, labels={"app": "x"})
    document["Config"]["Image"] = "shop:2"
    answers = Answers(routes([document]), [document], "")
    text = json.dumps(document).replace('"app"', '"\\u0061pp"')
    answers[f"/containers/{1:064x}/json"] = says(text)

    with daemon(machine.socket, answers):
        seen = parse_observed(machine.output().rstrip("\n").split("\n"))

    assert seen.given[f"{1:064x}"].labels == {"app": "x"}


@pytest.mark.parametrize(
    ("events", "at"),
    [
        pytest.param("", None, id="none"),
        pytest.param('{"time":5,"timeNano":5250000000}\n', 5.25, id="one"),
        pytest.param('{"timeNano":5250000000}\n{"timeNano":7500000000}', 7.5, id="the-last"),
    ],
)
def test_when_dockerd_has_read_its_file_anew_is_seen(
    machine: Machine, events: str, at: float | None
) -> None:
    assert observed(machine, events=events).reloaded_s == at


@pytest.mark.parametrize(
    ("identity", "is_leak"),
    [pytest.param("d" * 64, True, id="unknown"), pytest.param(f"{1:064x}", False, id="known")],
)
def test_a_sandbox_is_a_leak_only_without_a_container(
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


def test_a_process_that_only_calls_itself_a_sandbox_is_the_nodes_own_or_it_is_none(
    machine: Machine,
) -> None:
    with process("runsc-sandbox") as pid:
        document = container(1, pid)
        seen = observed(machine, document)

    assert seen.node.containers[0].process.file


def test_without_perl_nothing_is_guessed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, perl=False, wide="yes", labels="")

    with daemon(machine.socket, routes([])):
        seen = parse_observed(machine.output().rstrip("\n").split("\n"))

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
    document = container(
        1,
        1,
        state={"StartedAt": "2026-11-25T14:01:28.104348169Z"},
        others={"NetworkSettings": settings},
    )
    document["Config"]["Image"] = "shop:2"

    seen = observed(machine, document).given[f"{1:064x}"]

    assert seen.addresses == ("172.18.0.2", "172.20.0.2", "fd00::2")
    assert seen.started_s == pytest.approx(1795615288.104)


def test_a_deploy_does_not_ask_where_containers_are(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    document = container(1, 1, state={"StartedAt": "2026-11-25T14:01:28.104348169Z"})

    with daemon(machine.socket, routes([document])):
        output = machine.output()

    assert "container {" in output
    assert "Addresses" not in output
    assert "StartedAt" not in output


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
    assert [(item.source, item.to) for item in found.attempts] == [
        ("172.18.0.2", "10.0.0.5:22/tcp")
    ]
    assert [abs(float(line.split(" ")[1]) - time.time()) < 60 for line in lines] == [True] * 3


@pytest.mark.parametrize(
    "nft",
    [
        pytest.param(None, id="no-nft"),
        pytest.param("echo 'Error: No such file or directory' >&2; exit 1", id="no-table"),
    ],
)
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

    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1] == "goes on"


def test_containers_that_do_not_run_are_told_with_the_runtime_they_ask_for(
    machine: Machine,
) -> None:
    up = container(1, 1, name="up")
    idle = [
        container(2, 0, name="idle", host={"Runtime": "n\u00e9t"}),
        container(3, 0, name="old", host={"Runtime": ""}),
    ]
    answers = Answers({**routes([up, *idle]), **routes([up])}, [up, *idle], "")
    answers.update({f"/containers/{item['Id']}/json": says(compact(item)) for item in idle})
    gone = compact([{"Id": f"{number:064x}"} for number in (1, 2, 3, 4)])
    answers["/containers/json?all=1"] = says(gone)

    with daemon(machine.socket, answers):
        seen = parse_observed(machine.output().rstrip("\n").split("\n"))

    assert [(item.name, item.running, item.runtime) for item in seen.users] == [
        ("up", True, "runc"),
        ("idle", False, "n\u00e9t"),
        ("old", False, ""),
    ]
    assert seen.idle_error is None


def test_a_deploy_does_not_ask_for_containers_that_do_not_run(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    up, idle = container(1, 1), container(2, 0, name="idle")
    answers = {**routes([up, idle]), **routes([up])}

    with daemon(machine.socket, answers) as asked:
        text = machine.output()

    assert "\nidle " not in text
    assert f"/containers/{idle['Id']}/json" not in asked


def test_a_flood_of_labels_hides_nothing_of_a_container(machine: Machine) -> None:
    document = container(1, 1)
    document["Config"]["Labels"] = {f"a{number}": '"\\\n' for number in range(70000)}
    document["HostConfig"]["Annotations"] = {f"a{number}": "" for number in range(70000)}
    document["HostConfig"]["Privileged"] = True

    seen = observed(machine, document).given[f"{1:064x}"]

    assert seen.privileged

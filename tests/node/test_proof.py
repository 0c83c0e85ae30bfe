"""The proof cannot be fooled, and leaves nothing behind."""

import json
import re
import time

import pytest

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.node.faults import kill
from tests.node.planted import ASIDE, plant, uproot
from tests.node.proving import OF_PARTS, REAL, impostor, prove, rows, whole_row
from tests.node.running import CURRENT, HOME, PROVEN, RELEASE, SENTRY, WITH_ROWS, Fleet
from tests.node.seeing import no_leftovers, processes
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

RECORD = "/var/lib/pyinfra-gvisor/proof.json"
# Without the flags that runc does not know.
AS_RUNC = """#!/bin/sh
for flag; do case "$flag" in --network=* | --overlay2=*) shift ;; esac; done
"""


FAILS = "/run/fails"  # how often more
BUSY = f"""#!/bin/sh
case "$*" in
    %s)
        more=$(cat {FAILS})
        if [ "$more" -gt 0 ]; then
            echo $((more - 1)) > {FAILS}
            echo "Error response from daemon: %s" >&2
            exit 1
        fi
        ;;
esac
exec {ASIDE}/docker "$@"
"""
AS_ON_A_BUSY_NODE = {
    "rm": (
        '"rm -f -v "*',
        "it did not receive an exit event",
        "could not be made: the probe ended too early: it did not receive an exit event",
    ),
    "exec": ('"exec "*"print 6 * 7"', "it did not answer in time", "not proven: reload"),
}
"""What of Docker fails for a while, what Docker says then, and what comes of the proof then."""


@pytest.mark.parametrize("name", ["docker-20"])
def test_a_converged_node_is_proven_and_nothing_else_is_touched(fleet: Fleet, name: str) -> None:
    node = fleet.nodes[name]
    before, daemon = processes(node), node.exec("cat", "/run/docker.pid").stdout

    outcome = prove(fleet, name, no_new_privileges=True)

    assert outcome.code == 0, outcome.text
    table = rows(outcome)
    assert list(table) == [check.id for check in asked_of(Runtime())]
    spared = {check for check, row in table.items() if row.endswith("  n/a")}
    assert spared - {"dns-external"} == OF_PARTS, "no part is declared"
    assert all(row.endswith("  ok") for check, row in table.items() if check not in spared)
    assert processes(node) == before
    assert node.exec("cat", "/run/docker.pid").stdout == daemon
    assert no_leftovers(node) == ""


@pytest.mark.parametrize("what", AS_ON_A_BUSY_NODE)
def test_what_docker_does_not_do_at_once_is_done_in_the_end(fleet: Fleet, what: str) -> None:
    node = fleet.nodes["plain"]
    command, said, outcome = AS_ON_A_BUSY_NODE[what]
    node.put(FAILS, b"999")
    plant(node, BUSY % (command, said), "docker")
    try:
        never = prove(fleet, "plain")
        node.put(FAILS, b"2")
        late = prove(fleet, "plain")
        more = node.exec("cat", FAILS).stdout.strip()
    finally:
        uproot(node, "docker")
        node.exec("rm", FAILS)

    assert never.code == 1
    in_a_cell = ".*".join(map(re.escape, said.split()))  # which may have several lines
    assert re.search(in_a_cell, never.stderr, re.DOTALL)
    assert f"probe on plain: {outcome}" in never.stderr
    assert (late.code, more, no_leftovers(node)) == (0, "0", "")


LATE = f"""
from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.proof import script
from pyinfra_gvisor.runtimes.profiles import Runtime

whole = script.program
script.program = lambda *names: whole(*names).replace("sub serve {{", "sub serve {{ sleep 2;", 1)
gvisor.proof({RELEASE!r}, profiles={{"runsc": Runtime()}}, when="always", rows=True)
"""


@pytest.mark.usefixtures("converged")
def test_a_process_that_begins_late_is_not_stopped_before(fleet: Fleet) -> None:
    deploy = fleet.directory / "late.py"
    deploy.write_text(LATE)

    outcome = fleet.deploy("plain", deploy=deploy, data={})

    assert rows(outcome)["stop"].split()[2:] == ["exited", "7", "exited", "7", "ok"]


def test_a_runtime_that_starts_runc_is_not_proven(fleet: Fleet) -> None:
    script = AS_RUNC + 'exec runc "$@"\n'
    with impostor(fleet.nodes["plain"], script):
        data = {**CURRENT, "gvisor_proof": "always"}
        outcome = fleet.run("plain", flags=WITH_ROWS, data=data)

    table = rows(outcome)
    assert outcome.code == 1
    assert "gvisor.proof: probe on plain: not proven: " in outcome.stderr
    assert "do not run untrusted code here" in outcome.stderr
    for check in (
        "kernel-inside",
        "kernel-release",
        "dmesg",
        "process-outside",
        "raw-socket",
        "packet-socket",
        "docker-socket",
        "release",
    ):
        assert table[check].endswith("NOT PROVEN"), table[check]
    assert table["exec"].endswith("ok")
    assert no_leftovers(fleet.nodes["plain"]) == ""


# The container's process gets the sandbox's name and the path of runsc, out of its own file system.
FORGER = r"""
bundle='' last=''
for word; do
    if [ "$last" = --bundle ]; then bundle=$word; fi
    last=$word
done
if [ -n "$bundle" ]; then
    root=$(perl -0777 -ne 'print $1 if /"root":\{"path":"([^"]*)"/' "$bundle/config.json")
    mkdir -p "$root@HOME@/gvisor-bin" "$root/usr/bin"
    cp "$(readlink -f /lib64/ld-linux-x86-64.so.2)" "$root@SENTRY@"
    ln -sf @SENTRY@ "$root/usr/bin/runsc-sandbox"
    perl -0777 -i -pe 's/"args":\["[^"]*"/"args":["runsc-sandbox"/' "$bundle/config.json"
fi
exec runc "$@"
"""


def test_a_container_with_the_name_and_the_path_of_a_sandbox_is_none(fleet: Fleet) -> None:
    forger = FORGER.replace("@HOME@", HOME).replace("@SENTRY@", SENTRY)
    with impostor(fleet.nodes["plain"], AS_RUNC + forger):
        outcome = prove(fleet, "plain")

    table = rows(outcome)
    assert outcome.code == 1
    assert "another file system" in whole_row(outcome, "process-outside")
    assert "isor_sentry" in table["release"]
    assert "(a file of the image)" in whole_row(outcome, "release")
    assert table["process-outside"].endswith("NOT PROVEN")
    assert table["release"].endswith("NOT PROVEN")
    assert table["exec"].endswith("ok")
    assert no_leftovers(fleet.nodes["plain"]) == ""


def test_a_runtime_that_does_not_start_is_not_proven_and_a_proof_is_due_again(fleet: Fleet) -> None:
    node = fleet.nodes["plain"]
    with impostor(node, "#!/bin/sh\nexit 1\n"):
        outcome = fleet.run("plain", data={**CURRENT, "gvisor_proof": "always"})
    failed = json.loads(node.exec("cat", RECORD).stdout)
    again = fleet.run("plain", flags=WITH_ROWS, data=PROVEN)
    proven = json.loads(node.exec("cat", RECORD).stdout)
    idle = fleet.run("plain", data=PROVEN)

    assert outcome.code == 1
    assert "runsc did not start: Error response from daemon: " in outcome.stderr
    assert "not proven: runsc does not start; do not run untrusted code here" in outcome.stderr
    assert rows(outcome) == {}, "one cause, one line"
    assert outcome.stderr.count("Error response from daemon: ") == 1
    assert no_leftovers(node) == ""
    assert failed["release"] == RELEASE
    assert "kernel-inside" in failed["failed"]
    assert "fingerprint" not in failed
    assert again.code == 0, again.text
    assert f"proven runsc {RELEASE} as runsc: " in again.stderr
    made = [row for row in rows(again).values() if not row.endswith("n/a")]
    assert (proven["failed"], proven["checks"]) == ([], len(made))
    assert proven["fingerprint"]
    assert idle.idle


NO_EXEC = """case " $* " in *" exec "*) exit 1 ;; esac
exec @REAL@ "$@"
"""


def test_a_runtime_in_which_nothing_can_be_started_says_so_in_dockers_words(fleet: Fleet) -> None:
    with impostor(fleet.nodes["plain"], f"#!/bin/sh\n{NO_EXEC.replace('@REAL@', REAL)}"):
        outcome = prove(fleet, "plain")

    assert outcome.code == 1
    said = whole_row(outcome, "exec")
    assert "docker exec: OCI runtime exec" in said
    assert "did not terminate successfully: exit status 1" in said
    assert rows(outcome)["exec"].endswith("NOT PROVEN")
    assert no_leftovers(fleet.nodes["plain"]) == ""


def test_a_control_that_does_not_start_is_no_verdict_on_the_node(fleet: Fleet) -> None:
    node = fleet.nodes["plain"]
    assert fleet.run("plain", data=PROVEN).code == 0
    earlier = node.exec("cat", RECORD).stdout

    assert node.exec("sh", "-c", "chmod a-x $(command -v runc)").code == 0
    try:
        unmade = prove(fleet, "plain")
    finally:
        node.exec("sh", "-c", "chmod a+x $(PATH=/usr/sbin:/usr/bin; readlink -f /usr/sbin/runc)")
    after = node.exec("cat", RECORD).stdout
    again = fleet.run("plain", data=PROVEN)

    assert unmade.code == 1
    assert "could not be made: containers under runc, the control, do not start: " in unmade.stderr
    assert "executable file not found in $PATH" in unmade.stderr, "the cause, at the end"
    assert rows(unmade) == {}
    assert after == earlier
    assert again.idle
    assert no_leftovers(node) == ""


def test_a_killed_proof_leaves_nothing_that_the_next_does_not_remove(fleet: Fleet) -> None:
    node = fleet.nodes["plain"]
    controller = fleet.start("plain", {**CURRENT, "gvisor_proof": "always"})
    _wait_for_probe(node)

    kill(controller)
    node.exec(
        "sh",
        "-c",
        "pkill -KILL -f 'timeout -k [0-9]+ [0-9]+ sh'; pkill -KILL -f 'label=pyinfra-gvisor.probe'",
    )
    fleet.deploy("plain", data={**CURRENT, "gvisor_proof": "always"})

    assert no_leftovers(node) == ""


def _wait_for_probe(node: LabNode) -> None:
    deadline = time.monotonic() + 30
    while not node.exec("docker", "ps", "-q", "--filter", "label=pyinfra-gvisor.probe").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)

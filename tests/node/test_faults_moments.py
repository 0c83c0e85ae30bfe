"""A change that is cut off at ten random moments, with everybody else at work all the while."""

import json
import random
import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle

import pytest

from tests.node.audits import sh
from tests.node.containers import must, remove_container, start_container
from tests.node.faults import FILE, PENDING, Faults, kill, live, reloading, restarting, wait_for
from tests.node.second_engine import another_engine
from tests.node.seeing import processes
from tests.node.unit_files import units
from tools.lab import LabNode

pytestmark = pytest.mark.slow

MOMENTS = 10
LONGEST_S = 3.2  # a change with a restart takes about that
PORT = 8087
KEY = "max-concurrent-uploads"
LAST, LOST, TOLD = "/root/writer.last", "/root/writer.lost", "/root/asker.told"
# As many tools do it: read, edit, write beside it, rename. Before that, it looks for its last key.
WRITER = f"""
value=3
while :; do
    sleep 1.$((value % 9))
    if [ -e {LAST} ] && ! grep -q "{KEY}.: $(cat {LAST})," {FILE}; then cat {FILE} >> {LOST}; fi
    value=$((value + 1))
    sed -e '/"{KEY}"/d' -e "0,/{{/s//{{\\n  \\"{KEY}\\": $value,/" {FILE} > {FILE}.writer
    mv {FILE}.writer {FILE}
    echo "$value" > {LAST}
done
"""
SERVER = """
use Socket;
socket(my $s, AF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
bind($s, sockaddr_in(80, INADDR_ANY)) && listen($s, 64) or die;
while (accept(my $c, $s)) { syswrite($c, "hello"); close $c }
"""
ASKER = """
use Socket;
my ($host, $port) = @ARGV;
my ($stop, %told) = (0, answered => 0, failed => 0);
$SIG{TERM} = sub { $stop = 1 };
while (!$stop) {
    local $SIG{ALRM} = sub { die };
    alarm 3;
    my $answer = "";
    eval {
        socket(my $s, AF_INET, SOCK_STREAM, 0);
        connect($s, sockaddr_in($port, inet_aton($host))) && sysread($s, $answer, 5);
    };
    alarm 0;
    last if $stop && $answer eq "";  # the signal to stop interrupts what waits
    $told{$answer eq "hello" ? "answered" : "failed"}++;
    select(undef, undef, undef, 0.1);
}
print "$told{answered} $told{failed}\\n";
"""


@contextmanager
def job(node: LabNode, name: str, *command: str, told: str = "/dev/null") -> Iterator[None]:
    """Have a command run on a node; it ends by a signal."""
    output = f"--property=StandardOutput=truncate:{told}"
    must(node, "systemd-run", "--quiet", "--collect", f"--unit={name}", output, *command)
    try:
        yield
    finally:
        node.exec("systemctl", "stop", name)


@contextmanager
def all_at_work(node: LabNode, outside: LabNode) -> Iterator[None]:
    """Have clients ask on the node and from outside, and others act as root, all the while."""
    peer = sh(node, "docker inspect --format '{{.State.Pid}}' peer").strip()
    ask = ("perl", "-e", ASKER, node.address, str(PORT))
    with ExitStack() as stack:
        stack.enter_context(another_engine(node))
        stack.enter_context(job(outside, "asker", *ask, told=TOLD))
        stack.enter_context(job(node, "asker", "nsenter", "-n", "-t", peer, *ask, told=TOLD))
        stack.enter_context(job(node, "writer", "sh", "-c", WRITER))
        yield


@pytest.fixture
def served(faults: Faults) -> Iterator[Faults]:
    """A node with a published port, a container on another network, and units with containers."""
    node = faults.node
    sh(node, f"docker network create other; rm -f {LAST} {LOST}")
    start_container(node, "peer", "--network=other")
    run = f"docker run -d --name server -p {PORT}:80 -v /usr:/usr:ro test:1 perl -e"
    sh(node, f"{run} {shlex.quote(SERVER)}")
    with units(node, required="Requires", bound="BindsTo", part="PartOf"):
        yield faults
    remove_container(node, "server")
    remove_container(node, "peer")
    sh(node, "docker network rm other")


def test_nothing_ends_and_nothing_is_lost_at_any_moment(served: Faults, plain: Faults) -> None:
    node, before = served.node, processes(served.node)
    moments = [random.uniform(0.2, LONGEST_S) for _ in range(MOMENTS)]  # noqa: S311 - no secret

    with all_at_work(node, plain.node):
        for change, moment in zip(cycle((restarting, reloading)), moments, strict=False):
            wanted = change(served.before)
            controller = served.start(wanted)
            time.sleep(moment)
            kill(controller)
        # A killed controller's change may begin after another one's has ended.
        wait_for(node, f"for _ in 1 2 3 4 5; do ! test -e {PENDING} && sleep 1 || exit 1; done")

    assert processes(node) == before, moments
    assert node.exec("cat", LOST).stdout == "", moments
    assert json.loads(sh(node, f"cat {FILE}"))[KEY] == int(sh(node, f"cat {LAST}"))
    # What the plan names: docker-proxy, which containers of other networks need, ends with dockerd.
    for where, named in ((plain.node, 0), (node, MOMENTS)):
        answered, failed = (int(number) for number in sh(where, f"cat {TOLD}").split())
        told = (where.name, answered, failed, moments)
        assert (answered > MOMENTS, failed <= named) == (True, True), told
    served.running, served.before = before, live(node)
    served.assert_sound(wanted)

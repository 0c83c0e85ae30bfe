"""A node full of containers across the very first restart of its dockerd."""

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import pytest

from tests.node.audits import sh
from tests.node.containers import remove_containers
from tests.node.faults import Faults, restarting
from tests.node.seeing import processes
from tools.lab import LabNode

pytestmark = pytest.mark.slow

HALF = 10
PORT = 18081
EVERY_S = 0.02

# Asks over the socket that systemd keeps open, and prints the longest time without an answer.
_PING = r"""
use strict;
sub now { open(my $f, "<", "/proc/uptime") or die; my ($up) = split(" ", <$f>); return $up }
my ($last, $longest) = (now(), 0);
until (-e "/run/enough") {
    eval {
        local $SIG{ALRM} = sub { die };
        alarm 10;
        socket(my $s, 1, 1, 0) or die; connect($s, pack("S a*", 1, "/var/run/docker.sock")) or die;
        syswrite($s, "GET /_ping HTTP/1.0\r\n\r\n"); sysread($s, my $answer, 100) or die;
        die unless $answer =~ / 200 /;
        my $now = now(); $longest = $now - $last if $now - $last > $longest; $last = $now;
    };
    select(undef, undef, undef, 0.02);
}
printf "%.3f\n", $longest;
"""
_SERVE = (
    "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 99, "
    "ReuseAddr => 1) or die; while (my $c = $s->accept) { print $c qq(ok\\n); close $c }"
)
_START = r"""
set -eu
docker run -d --name web -p "$2:80" -v /usr:/usr:ro shop:2 perl -e "$3" > /dev/null
for number in $(seq "$1"); do
    docker run -d --name "runc-$number" -v /usr:/usr:ro shop:2 sleep infinity > /dev/null
    docker run -d --name "runsc-$number" --runtime runsc -v /usr:/usr:ro shop:2 sleep infinity \
        > /dev/null
done
"""


@dataclass
class Requests:
    """Connections through a published port, and those that got no answer."""

    asked: int = 0
    failed: list[float] = field(default_factory=list)


@contextmanager
def asking(address: str) -> Iterator[Requests]:
    """Ask the port again and again, from outside of the node as a proxy would."""
    requests, enough = Requests(), Event()

    def ask() -> None:
        while not enough.wait(EVERY_S):
            requests.asked += 1
            try:
                with socket.create_connection((address, PORT), timeout=2) as connection:
                    connection.settimeout(2)
                    if connection.recv(3) != b"ok\n":
                        requests.failed.append(time.time())
            except OSError:
                requests.failed.append(time.time())

    thread = Thread(target=ask)
    thread.start()
    try:
        yield requests
    finally:
        enough.set()
        thread.join()


@contextmanager
def pinging(node: LabNode) -> Iterator[None]:
    """Ask Docker's API all the time; what came of it is in /root/gap."""
    node.put("/root/ping.pl", _PING.encode())
    node.exec("sh", "-c", "rm -f /run/enough; setsid perl /root/ping.pl > /root/gap 2>&1 &")
    try:
        yield
    finally:
        node.exec("sh", "-c", "touch /run/enough; sleep 0.5; rm -f /run/enough /root/ping.pl")


@pytest.fixture
def crowd(faults: Faults) -> Iterator[Faults]:
    """The lived-in node with twenty containers more, half of them sandboxes."""
    sh(faults.node, _START, str(HALF), str(PORT), _SERVE)
    faults.remember()
    yield faults
    remove_containers(faults.node, "^/(web$|runc-|runsc-)")


def test_twenty_containers_survive_the_first_restart_and_nobody_notices(
    crowd: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    node = crowd.node
    shown = node.exec("docker", "inspect", "--format", "{{json .NetworkSettings}}", "web")
    assert json.loads(shown.stdout)["Ports"]
    address = node.exec("hostname", "-i").stdout.split()[0]
    before = processes(node)

    with asking(address) as requests, pinging(node):
        time.sleep(1)
        outcome = crowd.run({**restarting(crowd.before), "userland-proxy": False})
        time.sleep(1)

    gap_s = float(node.exec("cat", "/root/gap").stdout)
    with capsys.disabled():  # a figure to read, and none to fail on
        sys.stdout.write(
            f"\ntwenty containers, first restart: Docker's API away for {gap_s:.2f} s; "
            f"{requests.asked} requests through a published port, {len(requests.failed)} failed\n"
        )
    assert outcome.code == 0, outcome.text
    assert len(before) == 2 * HALF + 3
    assert processes(node) == before
    for name in ("runc-1", "runsc-1", f"runsc-{HALF}", "old-sandbox"):
        assert node.exec("docker", "exec", name, "true").code == 0
    assert requests.asked > 50
    assert requests.failed == []

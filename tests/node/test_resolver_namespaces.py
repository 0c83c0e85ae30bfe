"""The resolver's program as it runs on a node, among real network namespaces of this machine."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.node.namespaces import Container, ground
from tests.node.netns import RESOLVER, Answering, inside, query, until
from tests.node.resolver_program import Program, pythons, write_program

ONE, TWO, THREE = (f"203.0.113.{number}" for number in (1, 2, 3))
MOST_KIB = 40 * 1024


@pytest.fixture(params=pythons(), ids=lambda path: "-".join(Path(path).resolve().parts[-3:]))
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    """It runs, and nobody is there yet but two networks."""
    with ground(tmp_path / "docker") as made:
        for number in (1, 2):
            made.bridge(number)
        with Program(request.param, made, tmp_path) as running:
            yield running


@contextlib.contextmanager
def meanwhile(asker: Container) -> Iterator[list[str | None]]:
    """Ask once, and see what it is told at the end."""
    said: list[str | None] = []
    asking = threading.Thread(target=lambda: said.append(asker.asks()))
    asking.start()
    time.sleep(0.3)
    yield said
    asking.join()


def test_each_is_answered_by_its_own_namespace(program: Program) -> None:
    one, two = (
        program.at.container("br1", 2, answers=ONE),
        program.at.container("br2", 2, answers=TWO),
    )

    said = [each.asks() for each in (one, two, one)]
    over_tcp = [each.asks_over_tcp() for each in (one, two, one)]

    assert said == over_tcp == [ONE, TWO, ONE]
    assert (one.seen, two.seen) == (4, 2)


def test_as_many_connections_wait_as_systemd_was_told(program: Program) -> None:
    ran = inside(
        program.at.path,
        partial(subprocess.run, ["ss", "-Hltn"], capture_output=True, text=True, check=True),
    )

    assert [line.split()[2:4] for line in ran.stdout.splitlines()] == [["1024", "169.254.53.53:53"]]


def test_many_ask_at_once(program: Program) -> None:
    asked = [program.at.container("br1", 10 + n, answers=f"203.0.113.{n}") for n in range(10)]
    with contextlib.ExitStack() as stack:
        said = [stack.enter_context(meanwhile(each)) for each in asked for _ in range(3)]

    assert said == [[f"203.0.113.{n}"] for n in range(10) for _ in range(3)]


def test_strangers_and_who_takes_another_address_hear_nothing(program: Program) -> None:
    one = program.at.container("br1", 2, answers=ONE)
    two = program.at.container("br2", 2, answers=TWO)
    unlisted = program.at.container("br1", 9, answers=THREE, listed=False)
    assert [one.asks(), two.asks()] == [ONE, TWO]
    before = (one.seen, two.seen)  # on a busy machine a question is asked again
    inside(
        two.path,
        lambda: subprocess.run(
            ["ip", "address", "add", f"{one.address}/32", "dev", "lo"], check=True
        ),
    )

    spoofed = two.asks(source=one.address, within_s=3)
    strange = unlisted.asks(within_s=3)
    strange_over_tcp = unlisted.asks_over_tcp()

    assert (spoofed, strange, strange_over_tcp) == (None, None, None)
    assert (one.seen, two.seen, unlisted.seen) == (*before, 0)
    assert one.asks() == ONE


def test_strangers_do_not_have_docker_asked_for_each_query(program: Program) -> None:
    unlisted = program.at.container("br1", 9, listed=False)
    before = program.at.docker.asked
    with unlisted.socket() as asking:
        asking.connect(RESOLVER)
        for _ in range(300):
            asking.send(query())
        time.sleep(3)

    assert program.at.docker.asked - before <= 2 * 8


def test_a_container_that_docker_does_not_list_yet_is_answered(program: Program) -> None:
    early = program.at.container("br1", 2, answers=ONE, listed=False)
    start_s = time.monotonic()
    with meanwhile(early) as said:
        program.at.docker.lists.append(early)
        program.at.docker.event()

    assert said == [ONE]
    assert time.monotonic() - start_s < 2.5
    assert early.seen == 1


@pytest.mark.parametrize("leaves", ["interface", "namespace"])
def test_an_address_that_moved_is_not_answered_for_the_old_one(
    program: Program, leaves: str
) -> None:
    old = program.at.container("br1", 2, answers=ONE)
    assert old.asks() == ONE
    if leaves == "interface":
        subprocess.run(["ip", "-n", old.path.name, "link", "del", "eth0"], check=True)
    else:
        program.at.remove(old)
    new = program.at.container("br1", 2, answers=TWO, listed=False, tail="n")

    with meanwhile(new) as said:  # Docker still lists the old one
        program.at.docker.lists.remove(old)
        program.at.docker.lists.append(new)
        program.at.docker.event()

    assert said == [TWO]
    assert (old.seen, new.seen) == (1, 1)


def test_a_neighbour_hears_that_an_address_has_come_to_somebody_else(program: Program) -> None:
    old = program.at.container("br1", 2, answers=ONE)
    peer = program.at.container("br1", 3, answers=TWO)
    assert [old.asks(), peer.asks()] == [ONE, TWO]
    arp = socket.htons(0x0806)  # linux/if_ether.h
    with inside(peer.path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, arp)) as heard:
        heard.settimeout(5)

        program.at.docker.lists.remove(old)
        program.at.remove(old)
        new = program.at.container("br1", 2, tail="n")
        frames = iter(partial(heard.recv, 100), b"")
        frame = next(frame for frame in frames if frame[22:28].hex(":") == new.mac != old.mac)

    assert frame[:6].hex(":") == peer.mac
    addresses = [socket.inet_ntoa(frame[at : at + 4]) for at in (28, 38)]
    assert addresses == [new.address, peer.address]


def test_a_namespace_that_goes_is_let_go_of(program: Program) -> None:
    gone, kept = (
        program.at.container("br1", 2, answers=ONE),
        program.at.container("br2", 2, answers=TWO),
    )
    assert [gone.asks(), gone.asks_over_tcp(), kept.asks()] == [ONE, ONE, TWO]
    assert program.at.has(gone)
    before = len(program.files)

    program.at.docker.lists.remove(gone)
    program.at.docker.event()
    program.at.remove(gone)

    assert until(lambda: not program.at.has(gone))
    assert not [name for name in program.files if name.startswith(("net:", "/run/netns"))]
    assert len(program.files) < before
    assert kept.asks() == TWO


def test_a_namespace_is_let_go_of_though_docker_says_nothing(program: Program) -> None:
    gone = program.at.container("br1", 2, answers=ONE)
    assert gone.asks() == ONE
    time.sleep(1)  # what is looked at once more behind an event

    program.at.remove(gone)

    assert until(lambda: not program.at.has(gone), 30)  # it may look at this very moment


def test_the_stream_of_events_is_taken_up_again(program: Program) -> None:
    gone = program.at.container("br1", 2, answers=ONE)
    assert gone.asks() == ONE

    program.at.docker.break_events()
    program.at.docker.lists.remove(gone)
    program.at.remove(gone)
    new = program.at.container("br1", 3, answers=TWO)
    said = new.asks()

    assert said == TWO
    assert until(lambda: not program.at.has(gone))
    program.at.docker.lists.remove(new)
    program.at.docker.event()
    assert until(lambda: new.asks(within_s=0.5) is None)


def test_dockers_resolver_comes_back_on_another_port(program: Program) -> None:
    one = program.at.container("br1", 2, answers="")
    one.answering = Answering(one.path, ONE, 5301)
    leads_to(one, 5301)
    before = [one.asks(), one.asks_over_tcp()]

    one.answering.stop()
    with meanwhile(one) as said:
        time.sleep(1)
        leads_to(one, 5302)
        one.answering = Answering(one.path, TWO, 5302)

    assert before == [ONE, ONE]
    assert said == [TWO]
    assert [one.asks(), one.asks_over_tcp()] == [TWO, TWO]


def leads_to(container: Container, port: int) -> None:
    """As dockerd has it in each namespace: moby/moby, daemon/libnetwork/resolver_unix.go."""
    rules = [["-t", "nat", "-F", "OUTPUT"]]
    for protocol in ("udp", "tcp"):
        which = ["-d", "127.0.0.11/32", "-p", protocol, "--dport", "53"]
        to = ["-j", "DNAT", "--to-destination", f"127.0.0.11:{port}"]
        rules.append(["-t", "nat", "-A", "OUTPUT", *which, *to])
    for rule in rules:
        inside(container.path, partial(subprocess.run, ["iptables", *rule], check=True))


def test_a_docker_that_cannot_be_asked_is_told_and_waited_for(program: Program) -> None:
    one = program.at.container("br1", 2, answers=ONE)
    assert one.asks() == ONE
    docker = program.at.docker
    listening = docker.path.rename(docker.path.with_name("away"))
    docker.break_events()

    known = one.asks()
    assert until(lambda: "docker: /events" in program.said)
    listening.rename(docker.path)
    two = program.at.container("br1", 3, answers=TWO)

    assert (known, two.asks()) == (ONE, TWO)


def test_it_stays_small(program: Program) -> None:
    asked = [program.at.container("br1", 10 + n, answers=ONE) for n in range(50)]
    answered = 0
    for each in asked:
        with each.socket() as asking:
            asking.connect(RESOLVER)
            for _ in range(40):
                for _ in range(10):
                    asking.send(query())
                for _ in range(10):
                    asking.recv(4096)
                    answered += 1

    assert answered == 20_000
    assert program.most_kib < MOST_KIB


@pytest.mark.parametrize("python", pythons())
def test_without_sockets_it_says_so(python: str, tmp_path: Path) -> None:
    write_program(tmp_path)
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("LISTEN_")}

    ran = subprocess.run(
        [python, "-I", "-B", str(tmp_path / "program")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert (ran.returncode, ran.stdout) == (64, "")
    assert ran.stderr == "no sockets were passed: start this program by its systemd socket unit\n"

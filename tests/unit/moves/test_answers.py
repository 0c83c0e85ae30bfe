"""What answers is asked of real sockets, and nothing that answers can keep a move waiting."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pyinfra_gvisor.moves.mover import answers as module
from pyinfra_gvisor.moves.mover.answers import Place, answer, answers, sites, worse
from tests.arguments import Patch
from tests.table import table
from tests.unit.moves.stand_in import told

HERE = "127.0.0.1"


def say(text: bytes) -> Callable[[socket.socket], None]:
    """Somebody who answers whatever is asked."""
    return lambda peer: (peer.recv(999), peer.sendall(text))[1]


def drip(peer: socket.socket) -> None:
    """Somebody who never ends a line."""
    for _ in range(40):
        peer.sendall(b"H")
        time.sleep(0.1)


@contextmanager
def serving(does: Callable[[socket.socket], object]) -> Iterator[int]:
    """Somebody who does this with each connection, on a port of this machine."""
    with socket.create_server((HERE, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer, suppress(OSError):
                    does(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            # The thread must not come back to a number that is another test's server by then.
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@table(
    "does, expected",
    closes=(id, "closed"),
    silent=(lambda peer: peer.recv(1), "open"),
    greets=(lambda peer: peer.sendall(b"220 ready"), "open"),
)
def test_a_port_is_open_if_somebody_listens(
    does: Callable[[socket.socket], object], expected: str
) -> None:
    with serving(does) as port:
        assert answer(Place("web", port, HERE)) == expected


def test_nobody_is_closed() -> None:
    with serving(say(b"")) as port:
        pass

    assert answer(Place("web", port, HERE)) == "closed"


@table(
    "text, expected",
    fine=(b"HTTP/1.1 200 OK\r\n\r\n", "200"),
    failed=(b"HTTP/1.0 503 \r\n", "503"),
    other=(b"SSH-2.0\r\n", "closed"),
    number=(b"HTTP/1.1 999 x\r\n", "closed"),
)
def test_a_site_has_a_status(text: bytes, expected: str) -> None:
    with serving(say(text)) as port:
        assert answer(Place("web", port, HERE, site="a.example.com")) == expected


def test_who_never_ends_an_answer_is_not_waited_for(monkeypatch: Patch) -> None:
    monkeypatch.setattr(module, "_LIMIT_S", 0.5)
    with serving(drip) as port:
        assert answer(Place("web", port, HERE, site="a.example.com")) == "closed"


def test_no_name_of_a_site_makes_a_second_request() -> None:
    asked = []
    with serving(lambda peer: asked.append(peer.recv(999))) as port:
        for site, path in (("a\r\nX: y", "/"), ("a", "/ HTTP/1.1\r\nX: y"), ("ä", "/")):
            assert answer(Place("web", port, HERE, site=site, path=path)) == "closed"

    assert all(not text for text in asked)


def test_what_failed_before_is_not_compared_and_another_status_of_the_kind_is_the_same() -> None:
    place = Place("web", 0, HERE, site="a")
    with serving(say(b"HTTP/1.1 500 x\r\n\r\n")) as port:
        assert answers([Place("web", port, HERE, site="a")]) == {}
    with serving(say(b"HTTP/1.1 204 x\r\n\r\n")) as port:
        now = Place("web", port, HERE, site="a")
        assert worse({now: "200"}) == ""
        assert worse({now: "301"}) == f"{place.told} answers 204, before 301"


@table(
    "labels, env, expected",
    traefik=(
        {"traefik.http.routers.w.rule": "Host(`a.io`) && PathPrefix(`/x`) || Host(`b.io`)"},
        [],
        {("a.io", "/x"), ("b.io", "/")},
    ),
    caddy=(
        {"caddy_0": "https://a.io, b.io:8080", "caddy.tls": "internal"},
        [],
        {("a.io", "/"), ("b.io", "/")},
    ),
    nginx=({}, ["VIRTUAL_HOST=a.io,*.b.io", "OTHER=c.io"], {("a.io", "/")}),
    nothing=({"traefik.http.routers.w.rule": "PathPrefix(`/`)"}, [], set()),
)
def test_sites_are_those_of_a_proxy_s_labels(
    labels: dict[str, str], env: list[str], expected: set[tuple[str, str]]
) -> None:
    found = [*sites(told(Config={"Labels": labels, "Env": env}))]

    assert {(place.site, place.path) for place in found} == expected
    assert {place.port for place in found} == ({80, 443} if expected else set())

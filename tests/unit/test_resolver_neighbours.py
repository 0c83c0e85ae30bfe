"""Whom the resolver tells that an address has come to another hardware address, and what."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pyinfra_gvisor.parts.resolver.forwarder import neighbours
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import Source
from pyinfra_gvisor.parts.resolver.forwarder.neighbours import Neighbours, request

DB, WEB, FAR = "172.18.0.2", "172.18.0.3", "172.19.0.3"
OLD, NEW, OTHER = "02:42:ac:12:00:02", "9a:1c:11:86:b6:48", "32:cd:be:b8:54:f4"


class Sent:
    """A packet socket that keeps what is sent, and is opened as often as there is something."""

    def __init__(self, wrong: Exception | None = None) -> None:
        self.wrong, self.opened = wrong, 0
        self.packets: list[tuple[bytes, tuple[Any, ...]]] = []

    def __call__(self) -> Any:
        self.opened += 1
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sendto(self, packet: bytes, where: tuple[Any, ...]) -> None:
        if self.wrong is not None:
            raise self.wrong
        self.packets.append((packet, where))


def listed(*items: tuple[str, str, str]) -> dict[str, Source]:
    """Containers by address, hardware address and bridge."""
    return {
        address: Source(address, f"c{address}", mac, bridge, leads_out=True)
        for address, mac, bridge in items
    }


def made(sent: Sent) -> Neighbours:
    return Neighbours(Diagnostics(), cast("Any", sent))


def test_a_peer_on_the_bridge_is_asked_for_itself_in_the_name_of_who_has_the_address() -> None:
    sent = Sent()
    kept = made(sent)
    others = ((WEB, OTHER, "br1"), (FAR, OTHER, "br2"), ("fd91::3", OTHER, "br1"))

    kept.update(listed((DB, OLD, "br1"), *others))
    kept.update(listed((DB, NEW, "br1"), *others))

    packet = bytes.fromhex(
        "0001 0800 06 04 0001"  # RFC 826
        "9a1c1186b648 ac120002"
        "000000000000 ac120003"
    )
    assert sent.packets == [(packet, ("br1", 0x0806, 0, 0, bytes.fromhex("32cdbeb854f4")))]


def test_an_address_that_nobody_had_for_a_while_is_remembered() -> None:
    sent = Sent()
    kept = made(sent)
    web = (WEB, OTHER, "br1")

    for items in ([(DB, OLD, "br1"), web], [web], [web], [(DB, NEW, "br1"), web]):
        kept.update(listed(*items))

    assert len(sent.packets) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([], [(DB, NEW, "br1"), (WEB, OTHER, "br1")], id="new"),
        pytest.param(
            [(DB, OLD, "br1"), (WEB, OTHER, "br1")],
            [(DB, OLD, "br1"), (WEB, OTHER, "br1")],
            id="the-same",
        ),
        pytest.param(
            [(DB, OLD, "br1"), (WEB, OTHER, "br1")],
            [(DB, NEW, "br2"), (WEB, OTHER, "br1")],
            id="on-another-bridge",
        ),
        pytest.param([(DB, OLD, "br1")], [(DB, NEW, "br1")], id="alone"),
        pytest.param(
            [("fd91::2", OLD, "br1"), (WEB, OTHER, "br1")],
            [("fd91::2", NEW, "br1"), (WEB, OTHER, "br1")],
            id="ipv6",
        ),
    ],
)
def test_nobody_is_told_what_is_not_news(before: Any, after: Any) -> None:
    sent = Sent()
    kept = made(sent)

    kept.update(listed(*before))
    kept.update(listed(*after))

    assert (sent.opened, sent.packets) == (0, [])


def test_what_is_remembered_is_bounded_and_who_was_seen_last_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "REMEMBERED", 2)
    sent = Sent()
    kept = made(sent)
    web = (WEB, OTHER, "br1")

    kept.update(listed((DB, OLD, "br1"), web))
    for last in range(10, 20):
        kept.update(listed((f"172.18.0.{last}", OLD, "br1"), web))
    kept.update(listed((DB, NEW, "br1"), web))
    forgotten = len(sent.packets)
    kept.update(listed((DB, OLD, "br1"), web))

    assert (forgotten, len(sent.packets)) == (0, 1)


@pytest.mark.parametrize(
    ("mac", "wrong"),
    [
        pytest.param(NEW, PermissionError("not permitted"), id="not-permitted"),
        pytest.param(NEW, BlockingIOError("full"), id="full"),
        pytest.param("no hardware address", None, id="odd-docker"),
    ],
)
def test_what_goes_wrong_is_told_and_no_more(
    capsys: pytest.CaptureFixture[str], mac: str, wrong: Exception | None
) -> None:
    kept = made(Sent(wrong))

    kept.update(listed((DB, OLD, "br1"), (WEB, OTHER, "br1")))
    kept.update(listed((DB, mac, "br1"), (WEB, OTHER, "br1")))

    assert capsys.readouterr().err.startswith(f"neighbours of {DB} of container c{DB[:11]}: ")


def test_a_request_is_as_long_as_one_is() -> None:
    source, peer = listed((DB, NEW, "br1"), (WEB, OTHER, "br1")).values()

    assert len(request(peer, source)) == 28

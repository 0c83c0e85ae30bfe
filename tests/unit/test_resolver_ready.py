"""``tell_systemd``: the resolver says when it answers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyinfra_gvisor.parts.resolver.forwarder.main import tell_systemd


@pytest.mark.parametrize(
    ("bound", "named"),
    [
        pytest.param("{}/notify", "{}/notify", id="path"),
        pytest.param("\0{}/notify", "@{}/notify", id="abstract"),
    ],
)
def test_systemd_is_told_where_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, named: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", named.format(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(bound.format(tmp_path))
        systemd.settimeout(10)

        tell_systemd()

        assert systemd.recv(100) == b"READY=1"


def test_nobody_is_told_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    tell_systemd()

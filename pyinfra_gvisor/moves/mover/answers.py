"""
What answers on this node: ports of containers, published ports, and sites by a proxy's routes.

Nothing is sent to a port unless its number says that it usually speaks HTTP: databases count
connections that say something else as errors.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyinfra_gvisor.moves.mover.engine import Inspected, name_of

CLOSED = "closed"
OPEN = "open"

_LIMIT_S = 3.0
_SILENCE_S = 0.3  # a userland proxy closes a connection to nobody sooner
_WEB = (80, 3000, 4000, 5000, 8000, 8080, 8081, 8888)
_PROXIES = ((80, False), (443, True))
_AT_A_TIME = 16
_MOST_PORTS = 10
_MOST_SITES = 5
_MOST_BYTES = 512
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) ")
_LISTENS = "0A"  # TCP_LISTEN: linux, include/net/tcp_states.h
_LOOPBACK = ("0100007F", "00000000000000000000000001000000")
_RULE = re.compile(
    r"Host\(\s*`([^`]+)`(?:\s*,\s*`[^`]+`)*\s*\)(?:\s*&&\s*PathPrefix\(\s*`([^`]+)`)?"
)
_CADDY = re.compile(r"caddy(_\d+)?")


@dataclass(frozen=True, order=True)
class Place:
    """
    Where something may answer.

    + port: a TCP port; ``address``: empty for this node's own
    + site: the name for which a proxy is asked; empty for the port itself
    + owner: the container that it belongs to, for messages
    """

    owner: str
    port: int
    address: str = ""
    site: str = ""
    path: str = "/"
    tls: bool = False

    @property
    def told(self) -> str:
        """Return it in a few words."""
        if self.site:
            return f"{'https' if self.tls else 'http'}://{self.site}{self.path}"
        return f"port {self.port} of {self.owner}" + ("" if self.address else ", published")


def answer(place: Place) -> str:
    """Return how a place answers: ``closed``, ``open``, or a status of HTTP such as ``200``."""
    address = (place.address or "127.0.0.1", place.port)
    if place.site or (place.port in _WEB):
        found = _http(place, address)
        if found or place.site:
            return found or CLOSED
    try:
        with socket.create_connection(address, _LIMIT_S) as connection:
            connection.settimeout(_SILENCE_S)
            return OPEN if connection.recv(1) else CLOSED
    except TimeoutError:
        return OPEN if _connects(address) else CLOSED
    except OSError:
        return CLOSED


def _connects(address: tuple[str, int]) -> bool:
    with suppress(OSError), socket.create_connection(address, _LIMIT_S):
        return True
    return False


def _http(place: Place, address: tuple[str, int]) -> str:
    """Return the status of an answer, which has to come in time as a whole; empty for none."""
    ends = time.monotonic() + _LIMIT_S
    said = b""
    try:
        with _connected(place, address) as connection:
            connection.sendall(_request(place))
            while b"\r\n" not in said and len(said) < _MOST_BYTES:
                connection.settimeout(max(0.001, ends - time.monotonic()))
                part = connection.recv(_MOST_BYTES)
                if not part:
                    break
                said += part
    except (OSError, ValueError):  # ValueError: no name of a host can be so
        return ""
    found = _STATUS.match(said)
    return found[1].decode("ascii") if found else ""


def _connected(place: Place, address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, _LIMIT_S)
    if not place.tls:
        return connection
    try:  # the name of the site, not the address, chooses what answers
        return _unverified().wrap_socket(connection, server_hostname=place.site)
    except (OSError, ValueError):
        connection.close()
        raise


def _request(place: Place) -> bytes:
    """Return a request. Raises ``ValueError`` for what would be more than one."""
    site, path = place.site or "localhost", place.path
    if not re.fullmatch(r"[!-~]+", site) or not re.fullmatch(r"/[!-~]*", path):
        raise ValueError(site)
    lines = f"GET {path} HTTP/1.1", f"Host: {site}", "User-Agent: pyinfra-gvisor"
    return "\r\n".join((*lines, "Connection: close", "", "")).encode("ascii")


def _unverified() -> ssl.SSLContext:
    """Return a context for this node's own proxy, which is asked by its address."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def answers(places: Iterable[Place]) -> dict[Place, str]:
    """Return what answers now, by place; without what does not answer, or fails itself."""
    found = _all(places)
    return {place: text for place, text in found.items() if text != CLOSED and text[0] != "5"}


def worse(before: Mapping[Place, str]) -> str:
    """Return what does not answer as before, in words; empty if all does."""
    for place, now in _all(before).items():
        if _class(now) != _class(before[place]):
            return f"{place.told} answers {now}, before {before[place]}"
    return ""


def _all(places: Iterable[Place]) -> dict[Place, str]:
    """Return how each place answers; several are asked at a time, as each may be silent."""
    every = [*dict.fromkeys(places)]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return dict(zip(every, pool.map(answer, every), strict=True))


def _class(text: str) -> str:
    return f"{text[0]}xx" if text.isdecimal() else text


def published(told: Inspected) -> Iterator[Place]:
    """Yield the TCP ports that a container publishes on this node."""
    name = name_of(told)
    seen = set()
    for port, given in sorted(((told.get("NetworkSettings") or {}).get("Ports") or {}).items()):
        for item in given or () if port.endswith("/tcp") else ():
            number = int(item["HostPort"])
            if number not in seen:
                seen.add(number)
                address = item.get("HostIp") or ""
                yield Place(name, number, "" if address in ("0.0.0.0", "::") else address)  # noqa: S104


def listening(told: Inspected) -> list[int]:
    """Return the TCP ports on which a container under runc listens for others: proc(5)."""
    process = told["State"].get("Pid")
    found = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError), Path(f"/proc/{process}/net/{name}").open("rb") as table:
            for line in table.read().decode("ascii").splitlines()[1:]:
                address, _, port = line.split()[1].rpartition(":")
                if line.split()[3] == _LISTENS and address not in _LOOPBACK:
                    found.add(int(port, 16))
    return sorted(found)[:_MOST_PORTS]


def own(told: Inspected, ports: Iterable[int]) -> Iterator[Place]:
    """Yield these ports at a container's own address, on the first network that has one."""
    networks = (told["NetworkSettings"].get("Networks") or {}).values()
    address = next((item["IPAddress"] for item in networks if item.get("IPAddress")), "")
    for port in ports if address else ():
        yield Place(name_of(told), port, address)


def sites(told: Inspected) -> Iterator[Place]:
    """Yield the sites that a proxy on this node has for a container, as its labels name them."""
    name = name_of(told)
    every = sorted(_sites(told["Config"].get("Labels") or {}, _given(told)))
    for site, path in every[:_MOST_SITES]:
        for port, tls in _PROXIES:
            yield Place(name, port, site=site, path=path, tls=tls)


def _given(told: Inspected) -> dict[str, str]:
    pairs = (item.partition("=") for item in told["Config"].get("Env") or ())
    return {key: value for key, _, value in pairs}


def _sites(labels: Mapping[str, str], env: Mapping[str, str]) -> set[tuple[str, str]]:
    found = set()
    for key, text in labels.items():
        if key.startswith("traefik.http.routers.") and key.endswith(".rule"):
            found |= {(site, path or "/") for site, path in _RULE.findall(text)}
        elif _CADDY.fullmatch(key):
            found |= {(_host(item), "/") for item in text.replace(",", " ").split()}
    found |= {(_host(item), "/") for item in env.get("VIRTUAL_HOST", "").split(",") if item}
    return {(site, path) for site, path in found if site and "*" not in site}


def _host(text: str) -> str:
    return re.sub(r"^https?://", "", text.strip()).partition("/")[0].partition(":")[0]

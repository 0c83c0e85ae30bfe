"""Read Docker's containers and networks over its socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

SOCKET = "/var/run/docker.sock"
TIMEOUT_S = 10.0
_MOST_EVENTS = 65536  # bytes of events read at a time
# Networks of this driver have a bridge on this machine, and Docker lists each container's address.
DRIVER = "bridge"
# https://docs.docker.com/engine/network/drivers/bridge/#options
BRIDGE_NAME = "com.docker.network.bridge.name"
# Events that can move an address to another container. Docker lists a container once it has
# started, which is after it joined its networks.
EVENTS = '{"type":["network","container"],"event":["connect","disconnect","destroy","start","die"]}'
SETTLE_S = 0.5  # some events come a moment before the lists change: ConnectToNetwork in moby


class EngineError(Exception):
    """Docker does not answer, or its answer is not understood."""


@dataclass(frozen=True)
class Source:
    """One address of a container, and what belongs to it."""

    address: str
    container: str
    mac: str
    bridge: str
    leads_out: bool  # whether this container is on a network that is not internal

    @property
    def who(self) -> str:
        """Return a description for log lines."""
        return f"{self.address} of container {self.container[:12]}"


@dataclass(frozen=True)
class Sandbox:
    """The path of a container's network namespace, and the resolvers of its ``--dns``."""

    namespace: str
    resolvers: tuple[str, ...]


class Engine:
    """A client of Docker's API over its socket. Every method raises ``EngineError``."""

    def __init__(self, path: str = SOCKET) -> None:
        self.path = path

    async def sources(self) -> dict[str, Source]:
        """Return all running containers, by each address that they have on a Docker bridge."""
        networks, containers = await asyncio.gather(
            self._get("/networks"), self._get("/containers/json")
        )
        return read_sources(networks, containers)

    async def sandbox(self, container: str) -> Sandbox:
        """Return the network namespace of a container."""
        return read_sandbox(await self._get(f"/containers/{container}/json"))

    async def changes(self) -> AsyncGenerator[None, None]:
        """
        Yield when containers have joined or left networks, and again after ``SETTLE_S``.

        Yield once at the start. Changes between two steps are one.
        """
        reader, writer = await self._ask(f"/events?filters={_quoted(EVENTS)}")
        wait_s: float | None = None
        try:
            yield
            while True:
                try:
                    if not await asyncio.wait_for(reader.read(_MOST_EVENTS), wait_s):
                        return
                    wait_s = SETTLE_S
                except asyncio.TimeoutError:
                    wait_s = None
                yield
        except OSError as error:
            raise EngineError(str(error)) from error
        finally:
            writer.close()

    async def _get(self, path: str) -> Any:
        try:
            reader, writer = await self._ask(path)
            try:
                body = await asyncio.wait_for(reader.read(), TIMEOUT_S)
            finally:
                writer.close()
            return json.loads(body)
        except (OSError, ValueError, RecursionError, asyncio.TimeoutError) as error:
            raise EngineError(f"{path}: {type(error).__name__} {error}") from error

    async def _ask(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """
        Return the connection after the head of the answer has been read.

        With HTTP/1.0 the body ends with the connection: RFC 9112, 6.3.
        """
        try:
            opening = asyncio.open_unix_connection(self.path)
            reader, writer = await asyncio.wait_for(opening, TIMEOUT_S)
        except (OSError, asyncio.TimeoutError) as error:
            raise EngineError(f"{path}: {type(error).__name__} {error}") from error
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            await _pass_head(reader, path)
        except BaseException:
            writer.close()
            raise
        return reader, writer


async def _pass_head(reader: asyncio.StreamReader, path: str) -> None:
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
    except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.TimeoutError) as error:
        raise EngineError(f"{path}: {type(error).__name__} {error}") from error
    if head.split(b" ", 2)[1:2] != [b"200"]:
        said = head.splitlines()[0].decode(errors="replace")
        raise EngineError(f"{path}: Docker answered {said}")


def read_sources(networks: Any, containers: Any) -> dict[str, Source]:
    """Parse the answers of ``/networks`` and ``/containers/json``. Raises ``EngineError``."""
    try:
        known = {item["Id"]: item for item in networks if item["Driver"] == DRIVER}
        return {
            source.address: source
            for item in containers
            for source in _of(item["Id"], item["NetworkSettings"]["Networks"] or {}, known)
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"Docker's list of containers is not understood: {error!r}") from error


def _of(container: str, joined: Mapping[str, Any], known: Mapping[str, Any]) -> list[Source]:
    on = [(known[end["NetworkID"]], end) for end in joined.values() if end["NetworkID"] in known]
    leads_out = any(not network["Internal"] for network, _ in on)
    return [
        Source(address, container, end["MacAddress"].lower(), _bridge(network), leads_out)
        for network, end in on
        for address in (end["IPAddress"], end["GlobalIPv6Address"])
        if address and end["MacAddress"]
    ]


def _bridge(network: Mapping[str, Any]) -> str:
    return str((network["Options"] or {}).get(BRIDGE_NAME) or f"br-{network['Id'][:12]}")


def read_sandbox(container: Any) -> Sandbox:
    """Parse the answer of ``/containers/<id>/json``. Raises ``EngineError``."""
    try:
        namespace = container["NetworkSettings"]["SandboxKey"]
        resolvers = tuple(map(str, container["HostConfig"]["Dns"] or ()))
    except (KeyError, TypeError) as error:
        raise EngineError(
            f"Docker's answer about a container is not understood: {error!r}"
        ) from error
    if not namespace:
        raise EngineError("the container has no network namespace of its own")
    return Sandbox(str(namespace), resolvers)


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())

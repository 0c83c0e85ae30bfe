"""A client of the stand-in API, and a clock that a test turns on by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.token import Token
from tests.coolify.api_server import TOKEN, ApiServer


@dataclass
class Clock:
    """Goes on only while somebody sleeps; ``slept`` are the naps so far, in seconds."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def time(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Go on by so much."""
        self.slept.append(seconds)
        self.now += seconds


@contextmanager
def serving() -> Iterator[tuple[ApiServer, Clock]]:
    """A stand-in on loopback, asked without a proxy, and the clock that its rate limit goes by."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            environment.delenv(name, raising=False)
        clock = Clock()
        with ApiServer(clock=clock.time) as server:
            yield server, clock


def client(server: ApiServer, clock: Clock, *, token: str = TOKEN, timeout_s: float = 5) -> Api:
    """A client that sleeps on the clock."""
    return Api(server.url, Token(token), timeout_s=timeout_s, sleep=clock.sleep, clock=clock.time)

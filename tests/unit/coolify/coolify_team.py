"""Somebody who sets the option on the apps of a stand-in Coolify."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyinfra_gvisor.coolify.apps import Choice, Outcome, Survey, carry_out, survey
from tests.coolify.api_client import Clock, client, serving
from tests.coolify.api_server import ApiServer
from tests.coolify.api_state import CoolifyState

NEVER = Choice("runsc", ("*",))
CHANGED = Choice("runsc", ("*",), redeploy="changed", redeploy_timeout_s=60)


class Killed(BaseException):
    """The end of the process."""


class Team:
    """
    Somebody with a stand-in Coolify and a clock.

    ``lines``: all that was told; ``redeploys``: what the control host has on record, ``writes`` all
    that was.
    """

    def __init__(self, server: ApiServer, clock: Clock) -> None:
        self.server = server
        self.clock = clock
        self.lines: list[str] = []
        self.redeploys: frozenset[str] = frozenset()
        self.writes: list[frozenset[str]] = []
        self.run = server.state.add_server("run-1")

    @property
    def state(self) -> CoolifyState:
        """What Coolify knows."""
        return self.server.state

    def apps(self, *names: str) -> list[str]:
        """Apps without the option, and their uuids."""
        return [self.state.add_app(name, self.run, "--init") for name in names]

    def refuse_from(self, method: str, uuid: str) -> None:
        """Have Coolify refuse everything from such a request about an app on."""

        def before(asked: str, path: str) -> None:
            if asked == method and uuid in path:
                self.server.refusal = (403, "API is disabled.")

        self.server.before = before

    def look(self, choice: Choice = NEVER) -> Survey:
        """What a survey finds."""
        return survey(client(self.server, self.clock), choice)

    def set(self, found: Survey | None = None, choice: Choice = NEVER) -> Outcome:
        """One run."""
        return carry_out(
            client(self.server, self.clock),
            found or self.look(choice),
            choice,
            redeploys=self.redeploys,
            keep_redeploys=self._keep,
            tell=self.lines.append,
            sleep=self.clock.sleep,
            clock=self.clock.time,
        )

    def _keep(self, uuids: frozenset[str]) -> None:
        self.redeploys = uuids
        self.writes.append(uuids)


@contextmanager
def team_at_work() -> Iterator[Team]:
    """A team whose Coolify answers."""
    with serving() as (server, clock):
        yield Team(server, clock)

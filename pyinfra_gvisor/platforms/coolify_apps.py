"""Coolify's apps as they were read through its API, and how to set them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.apps import Choice, Outcome, Survey, carry_out, plan_lines, survey
from pyinfra_gvisor.coolify.resources import Verdict


@dataclass(frozen=True)
class CoolifyApps:
    """The apps as they were read, and the API to set them. ``sleep`` and ``clock`` take seconds."""

    api: Api
    choice: Choice
    found: Survey
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @property
    def declared(self) -> tuple[Verdict, ...]:
        """Return each app's verdict: whether it asks for the declared runtime."""
        return self.found.verdicts

    @property
    def lines(self) -> list[str]:
        """Return what would be set app by app, and what an operator must set by hand."""
        return plan_lines(self.found, self.choice)

    def ask(
        self,
        redeploys: frozenset[str],
        keep_redeploys: Callable[[frozenset[str]], None],
        tell: Callable[[str], None],
    ) -> Outcome:
        """
        Have the apps ask for the declared runtime, and redeploy them if that is declared.

        + redeploys: uuids of apps that an earlier run should have redeployed but did not
        + keep_redeploys: records which apps are still to be redeployed
        + tell: prints a line for each step

        Raises what ``carry_out`` raises.
        """
        return carry_out(
            self.api,
            self.found,
            self.choice,
            redeploys=redeploys,
            keep_redeploys=keep_redeploys,
            tell=tell,
            sleep=self.sleep,
            clock=self.clock,
        )


def read_apps(api: Api, choice: Choice) -> CoolifyApps:
    """Return the apps of the chosen servers. Raises ``Problem`` if Coolify does not answer."""
    return CoolifyApps(api, choice, survey(api, choice))

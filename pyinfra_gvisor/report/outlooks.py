"""What will fail or differ in gVisor on each host: by rule, with a summary and the next step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, Self

from pydantic import Field

from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.report.host_result import HostResult

REFUSED: Final = "refused"
"""The rule of what Docker would refuse. A container that runs has not been refused yet."""

_NAMED = 12  # containers in one line, and lines of refused containers
_SHORT_NAMED = 4  # containers in the line of an audit
_EVIDENCE = 3  # things that were seen of one container
_SHORT = 12  # characters of the container's name, if the app's name follows it
_COUNTED = {
    "fails": "fail",
    "differs": "differ",
    "nothing known": "no known difference",
    "outside": "accepted for runc",
}
_OTHERS = {
    "nothing known": "no known difference, which is no promise",
    "outside": "stay under runc, accepted",
}


class AppDifference(Strict):
    """What is different for an app under gVisor."""

    rule: str
    outlook: Literal["fails", "differs"]
    seen: str = Field(description="What was seen of the app.")
    what: str = Field(description="What happens under gVisor.")
    todo: str


class AppOutlook(Strict):
    """
    A running container, and what is known of it under the runtime that is declared for it.

    ``nothing known`` is no promise: rules do not see everything.
    """

    name: str
    app: str = Field("", description="The name of its app in Coolify; empty if it has none.")
    image: str
    now: Literal["gVisor", "runc", "unknown"]
    runtime: str = Field(description="The runtime of `gvisor_runtimes` that it is compared with.")
    outlook: Literal["fails", "differs", "nothing known", "outside"] = Field(
        description="`outside`: it is accepted as infrastructure, so it runs under runc."
    )
    differences: tuple[AppDifference, ...] = ()
    cut: bool = Field(False, description="It has more processes than were looked at.")

    @property
    def title(self) -> str:
        """Return its name, and its app's if it has one: Coolify names containers at random."""
        if not self.app:
            return self.name
        short = self.name if len(self.name) <= _SHORT else f"{self.name[:_SHORT]}…"
        return f"{short} of {self.app}"


class _Rule(NamedTuple):
    """A rule as it is told: what happens and what to do."""

    outlook: str
    id: str
    what: str
    todo: str

    def title(self, *, is_now: bool) -> str:
        now = {"fails": "FAILS", "differs": "differs"}
        then = {"fails": "WOULD FAIL", "differs": "would differ"}
        return f"{(now if is_now else then)[self.outlook]} {self.id}: {self.what}. {self.todo}."


_Apps = list[tuple[AppOutlook, list[str]]]  # with what was seen of each


class AppOutlooks(HostResult):
    """The running containers of a host, by name."""

    apps: tuple[AppOutlook, ...]
    assumed: bool = Field(
        description="`gvisor_default` is `off`, and apps are judged as if it were `sandbox`."
    )
    switched: bool = Field(description="Docker already runs new containers by that default.")
    unknown: str = Field(
        "", description="Why it is not known what Docker would refuse; empty if it is known."
    )
    binds: tuple[str, ...] = Field(
        (),
        description="`binds` of `gvisor_seal` with the mounts that it lacks; empty if it has all. "
        "Never what opens the node, such as `/etc`.",
    )

    @property
    def lines(self) -> Iterator[str]:
        """Yield the result for people: what fails, what differs, then the other apps."""
        if not self.apps:
            yield "no container runs on this node"
            return
        inside = sum(app.now == "gVisor" for app in self.apps)
        judged = '; judged as with gvisor_default = "sandbox"' if self.assumed else ""
        yield f"{_containers(len(self.apps))}, {inside} in gVisor now{judged}"
        if self.unknown:
            yield f"UNKNOWN what Docker would refuse: {self.unknown}"
        for rule, apps in sorted(self._rules().items(), key=_by_weight):
            is_now = rule.id != REFUSED and all(app.now == "gVisor" for app, _ in apps)
            yield rule.title(is_now=is_now)
            yield from (f"    {line}" for line in _places(rule, apps, is_now=is_now))
        for outlook, text in _OTHERS.items():
            if names := [app.title for app in self._that(outlook)]:
                yield f"{text}: {some(names, _NAMED)}"
        if cut := [app.title for app in self.apps if app.cut]:
            yield f"not looked at wholly, too many processes: {some(cut, _NAMED)}"

    @property
    def differing(self) -> list[str]:
        """Return the containers that fail or differ, with their rules; not those refused alone."""
        named = []
        for app in self.apps:
            rules = sorted({item.rule for item in app.differences} - {REFUSED})
            if rules:
                named.append(f"{app.title} ({some(rules)})")
        return named

    def _that(self, outlook: str) -> list[AppOutlook]:
        return [app for app in self.apps if app.outlook == outlook]

    def _rules(self) -> dict[_Rule, _Apps]:
        found: dict[_Rule, _Apps] = {}
        for app in self.apps:
            of_app: dict[_Rule, list[str]] = {}
            for item in app.differences:
                rule = _Rule(item.outlook, item.rule, item.what, item.todo)
                of_app.setdefault(rule, []).append(item.seen)
            for rule, seen in of_app.items():
                found.setdefault(rule, []).append((app, seen))
        return found

    @property
    def left(self) -> list[str]:
        """Return the apps that the default of the node would move, but that nobody recreated."""
        moves = ("differs", "nothing known")
        return [app.title for app in self.apps if app.now == "runc" and app.outlook in moves]

    @classmethod
    def to_copy(cls, found: Sequence[Self]) -> str:
        """Return the seal that allows what is not declared, as Python."""
        binds = sorted({path for host in found for path in host.binds})
        return (
            f'gvisor_seal = {{"binds": {json.dumps(binds, ensure_ascii=False)}}}' if binds else ""
        )

    @classmethod
    def closing(cls, found: Sequence[Self]) -> Iterator[str]:
        """Yield the last lines about all hosts: a summary, and what to do next."""
        if not found:
            return
        hosts = f"{len(found)} host{'' if len(found) == 1 else 's'}"
        outlooks: list[str] = [app.outlook for host in found for app in host.apps]
        counted = ", ".join(f"{text} {outlooks.count(key)}" for key, text in _COUNTED.items())
        yield f"Summary: {_containers(len(outlooks))} on {hosts}. In gVisor: {counted}"
        yield from (f"next: {line}" for line in _next(found))


def differing_line(named: Sequence[str]) -> str:
    """
    Return how many containers fail or differ, and the first of them; empty if none does.

    + named: containers with their rules, as ``AppOutlooks.differing`` has them
    """
    if not named:
        return ""
    verb = "container fails or differs" if len(named) == 1 else "containers fail or differ"
    return f"{len(named)} {verb}: {some(named, _SHORT_NAMED)}"


def _containers(count: int) -> str:
    return f"{count} container{' runs' if count == 1 else 's run'}"


def _by_weight(item: tuple[_Rule, _Apps]) -> tuple[bool, bool, int, str]:
    rule, apps = item
    return rule.outlook != "fails", rule.id != REFUSED, -len(apps), rule.id


def _places(rule: _Rule, apps: _Apps, *, is_now: bool) -> Iterator[str]:
    """Yield the apps with what was seen of each; those refused for the same reasons on one line."""
    if rule.id == REFUSED:
        yield from _refused(apps)
        return
    named = []
    for app, seen in apps:
        already = "; in gVisor already" if app.now == "gVisor" and not is_now else ""
        named.append(f"{app.title} ({some(seen, _EVIDENCE)}{already})")
    yield some(named, _NAMED)


def _refused(apps: _Apps) -> Iterator[str]:
    alike: dict[str, list[str]] = {}
    for app, reasons in apps:
        alike.setdefault("; ".join(reasons), []).append(app.title)
    lines = [f"{some(names, _NAMED)}: {reasons}" for reasons, names in alike.items()]
    yield from lines[:_NAMED]
    if len(lines) > _NAMED:
        yield f"and {len(lines) - _NAMED} more: pyinfra-gvisor apps --json"


def _next(found: Sequence[AppOutlooks]) -> Iterator[str]:
    """Yield what to do: about apps that fail, else towards the default, else about what is left."""
    if any(host.binds for host in found):
        yield (
            "if every container may mount these, write the line gvisor_seal above into "
            "group_data/run.py"
        )
    if any(app.outlook == "fails" for host in found for app in host.apps):
        yield (
            "change the apps that fail; what is infrastructure: pyinfra-gvisor accept NAME. Then "
            "pyinfra-gvisor apps again"
        )
    elif any(host.assumed for host in found):
        yield 'set gvisor_default = "sandbox" in group_data/run.py, then pyinfra-gvisor plan'
    elif not all(host.switched for host in found):
        yield "pyinfra-gvisor plan"
    elif left := [name for host in found for name in host.left]:
        yield f"pyinfra-gvisor move HOST, for what still runs under runc: {some(left, _NAMED)}"
    else:
        yield "pyinfra-gvisor audit"

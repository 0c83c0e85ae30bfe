"""Generations: daemon.json as it was before each change of ours, and how to go back to one."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path, from_pointer
from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.daemon_json.merge import CANARY, GVISOR, Owned, merge
from pyinfra_gvisor.daemon_json.plan import Plan, Restart, current_text, plan_merged
from pyinfra_gvisor.daemon_json.records import owned_by_us
from pyinfra_gvisor.daemon_json.removed_runtimes import staying_entries
from pyinfra_gvisor.node import STATE_DIR, Node
from pyinfra_gvisor.node.records import Unusable, read_record
from pyinfra_gvisor.sandbox.verdict import release_of


class Generation(Reading):
    """
    daemon.json before a change, and which of its keys were ours. ``text`` is None for no file.

    ``unusable`` says why the record of our keys cannot be used; empty if it can. ``rollout``: the
    rollout that made this state; empty for none.
    """

    number: int
    made_s: int
    text: str | None = None
    owned: Owned = Owned()
    unusable: str = ""
    rollout: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the generation for ``pyinfra … fact``, without the secrets of daemon.json."""
        return dict(shown(self.model_dump(mode="json"), texts=("text", "original", "before")))

    @property
    def runtimes(self) -> dict[str, str]:
        """Return the runtimes that started wrappers of ours, and the release of each."""
        return {
            path[1]: release
            for path, value in self.values.items()
            if path[0] == "runtimes" and isinstance(value, dict)
            if (release := release_of(str(value.get("path"))))
        }

    @property
    def values(self) -> dict[Path, Json]:
        """Return the paths that were ours with their values, without temporary ones."""
        return {
            from_pointer(name): mine.wrote
            for name, mine in self.owned.paths.items()
            if mine.owners != (CANARY,)
        }

    @property
    def releases(self) -> tuple[str, ...]:
        """Return the releases that runtimes of ours started."""
        return tuple(sorted(set(self.runtimes.values())))

    @property
    def story(self) -> str:
        """Return until when the node had this generation, and which releases it had."""
        until = datetime.fromtimestamp(self.made_s, UTC).strftime("until %Y-%m-%d %H:%M UTC")
        had = ", ".join(self.releases) or "no gVisor"
        of = f", of rollout {self.rollout}" if self.rollout else ""
        return f"{until if self.made_s else 'the current state'}, {had}{of}"


def parse_generations(output: Sequence[str]) -> tuple[Generation, ...]:
    """
    Return the generations that ``daemon_json/generations.sh`` printed, oldest first.

    Raises ``ValueError`` if the answer is cut short or malformed.
    """
    if "end of generations" not in output:
        raise ValueError(f"the node's answer is incomplete: it ends after {len(output)} lines")
    try:
        return _generations(output)
    except (LookupError, RecursionError, ValueError) as error:
        raise ValueError(f"the node's answer is malformed: {error}") from error


def _generations(output: Sequence[str]) -> tuple[Generation, ...]:
    found: dict[int, dict[str, Any]] = {}
    for line in output:
        kind, *rest = line.split(" ")
        if kind == "generation":
            found[int(rest[0])] = {"number": rest[0], "made_s": rest[1]}
        elif reading := _FILES.get(kind):
            text = base64.b64decode(rest[1], validate=True).decode()
            found[int(rest[0])] |= reading(text)
    return tuple(Generation.model_validate(found[number]) for number in sorted(found))


def _owned(text: str) -> dict[str, Any]:
    record = read_record("owned", text)
    if isinstance(record, Unusable):
        return {"unusable": "from a newer pyinfra-gvisor" if record.newer else "damaged"}
    try:
        return {"owned": Owned.load(record)}
    except ValueError:
        return {"unusable": "damaged"}


def _applied(text: str) -> dict[str, Any]:
    record = read_record("applied", text)
    return {} if isinstance(record, Unusable) else {"rollout": str(record.get("rollout") or "")}


_FILES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "daemon": lambda text: {"text": text},
    "owned": _owned,
    "applied": _applied,
}


def choose(kept: Sequence[Generation], node: Node, number: int | None) -> Generation:
    """
    Return the generation to go back to.

    + number: the generation that the operator named. None for the one before the newest change; or
      the one that the node was rolled back to last, if nothing has changed since

    Raises ``Problem`` if there is no such generation.
    """
    applied = node.state.get("applied")
    back = applied.get("generation") if isinstance(applied, dict) else None
    wanted = number if number is not None else back
    for generation in kept[-1:] if wanted is None else kept:
        if wanted in (None, generation.number):
            return _usable(generation)
    if wanted is not None and wanted == back:  # not kept any more, but the current state
        owned = owned_by_us(node)
        return Generation(number=wanted, made_s=0, text=node.daemon_json.text, owned=owned)
    if not kept:
        what = "no generation is kept, because this package has changed nothing here"
        raise Problem(what, todo="a rollback is not necessary")
    listed = "; ".join(f"{generation.number} ({generation.story})" for generation in kept)
    todo = f"set gvisor_generation to one of {listed}"
    raise Problem("no such generation", got=wanted, todo=todo)


def choose_release(kept: Sequence[Generation], node: Node, release: str) -> Generation | str:
    """
    Return the newest generation whose runtimes all started a release; or why there is nothing to
    go back to.
    """
    wanted = (release,)
    if Generation(number=0, made_s=0, owned=owned_by_us(node)).releases == wanted:
        applied = node.state.get("applied")
        back = applied.get("generation") if isinstance(applied, dict) else None
        return f"it has release {release}" if back is None else choose(kept, node, back)
    for generation in reversed(kept):
        if generation.releases == wanted and not generation.unusable:
            return generation
    return f"no generation has release {release}, so it is left as it is"


def choose_before_rollout(kept: Sequence[Generation], node: Node, rollout: str) -> Generation | str:
    """
    Return the generation from before a rollout; or why there is nothing to go back to.

    + rollout: its id

    Raises ``Problem`` if that generation is not kept any more, or cannot be used.
    """
    applied = node.state.get("applied")
    now = str(applied.get("rollout") or "") if isinstance(applied, dict) else ""
    made_by = [*(generation.rollout for generation in kept), now]
    if rollout not in made_by:
        return f"rollout {rollout} changed no daemon.json here, so it is left as it is"
    first = made_by.index(rollout)
    if not first:
        what = "the state before this rollout is not kept any more"
        raise Problem(what, got=rollout, todo="see pyinfra-gvisor generations")
    return _usable(kept[first - 1])


def _usable(generation: Generation) -> Generation:
    if generation.unusable:
        file = f"{STATE_DIR}/generations/{generation.number}/owned.json"
        todo = "choose another generation, or use the pyinfra-gvisor that wrote this file"
        raise Problem(f"{file} is {generation.unusable}", todo=todo)
    return generation


def undone(before: Sequence[Generation], after: Sequence[Generation], number: int | None) -> bool:
    """
    Return True if an interrupted change was undone, and the node is now at generation ``number``.

    + before: the generations while the change was interrupted; the newest is the state before it
    + after: the generations after the change has ended
    """
    newest = before[-1].number if before else None
    left = {generation.number for generation in after}
    return newest is not None and newest not in left and number in (None, newest)


def plan_generation(
    node: Node,
    generation: Generation,
    *,
    restart: Restart = "auto",
    restart_units: Collection[str] = (),
    staying: Collection[str] = (),
) -> Plan:
    """
    Return the plan that gives every path of ours its value in a generation; other paths stay.

    + restart_units: as for ``plan_daemon_json``
    + staying: runtimes whose entries stay as they are, although the generation lacks them

    Raises ``Problem`` if dockerd could not work with the result.
    """
    before, owned = current_text(node), owned_by_us(node)
    entries = staying_entries(before, owned, staying)
    kept: dict[Path, Json] = {("runtimes", name): entry for name, entry in entries.items()}
    paths = {**kept, **generation.values}
    # As if one owner had all paths: a key that now belongs to another owner would be refused.
    merged = merge(before, _owned_by(owned, lambda _: (GVISOR,)), paths, owner=GVISOR)
    owners = {name: mine.owners for name, mine in {**owned.paths, **generation.owned.paths}.items()}
    of_then = _owned_by(merged.owned, lambda name: owners.get(name, (GVISOR,)))
    plan = plan_merged(
        node,
        merged.model_copy(update={"owned": of_then.marked(generation.owned.if_absent)}),
        paths,
        ours={*paths, *map(from_pointer, owned.paths)},
        restart=restart,
        restart_units=restart_units,
    )
    return replace(plan, generation=generation.number, restart_units=tuple(restart_units))


def _owned_by(owned: Owned, owners: Callable[[str], tuple[str, ...]]) -> Owned:
    paths = {
        name: mine.model_copy(update={"owners": owners(name)}) for name, mine in owned.paths.items()
    }
    return owned.model_copy(update={"paths": paths})

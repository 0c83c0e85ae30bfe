"""
Three-way merge of daemon.json: what we last wrote, what is there, what is wanted.

We own single paths, never the file. For every path we remember who wants it and what stood there
before, so that a path nobody wants any more goes back to that, and a file that is only ours goes
away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pyinfra_gvisor.daemon_json.keys import KEYS
from pyinfra_gvisor.daemon_json.text import EMPTY, Json, JsonText, Path, from_pointer, pointer
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.redaction import shown

GVISOR = "gvisor"  # the owner that this package's own deploys use
CANARY = "gvisor-canary"  # of runtimes under a temporary name, which the next change of ours ends


class OwnedPath(BaseModel):
    """
    A path of ours: the value we last wrote, who wants it, and the text that stood there before us.

    ``earlier`` is the value before that one, as long as it is not seen which of them the file has.
    """

    model_config = ConfigDict(frozen=True)

    wrote: Any
    owners: tuple[str, ...] = (GVISOR,)
    before: str | None = None
    earlier: tuple[Any, ...] = ()

    def has_written(self, value: Json) -> bool:
        """Whether ``value`` is ours, and nobody else's change."""
        return any(same(value, ours) for ours in (self.wrote, *self.earlier))


class Owned(BaseModel):
    """
    ``owned.json``: the paths of daemon.json that are ours, by JSON pointer.

    ``original`` is the file before us, ``written`` the sha256 of what we last wrote (or may have
    written), ``touched`` whether somebody else has written it since, so that the original is not to
    be restored whole. ``unfinished``: written before a change that was not seen to end.
    """

    model_config = ConfigDict(frozen=True)

    version: int = 2  # version 1 had no owners, and belonged to GVISOR
    original: str | None = None
    written: tuple[str, ...] = ()
    touched: bool = False
    unfinished: bool = False
    paths: dict[str, OwnedPath] = Field(default_factory=dict)
    parents: tuple[str, ...] = ()

    @classmethod
    def load(cls, record: Mapping[str, Any]) -> Owned:
        """Return a node's record in its form of today. Raises ``ValueError`` if it is none."""
        if "paths" not in record:
            raise ValueError("no paths")
        return cls.model_validate(record).model_copy(update={"version": 2})

    def without(self, owner: str) -> Owned:
        """The same, and nothing is wanted by ``owner`` any more."""
        paths = {
            name: mine.model_copy(
                update={"owners": tuple(other for other in mine.owners if other != owner)}
            )
            for name, mine in self.paths.items()
        }
        return self.model_copy(update={"paths": paths})

    def of(self, owner: str) -> list[Path]:
        """The paths that ``owner`` wants."""
        return [from_pointer(name) for name, mine in self.paths.items() if owner in mine.owners]


class Merge(BaseModel):
    """The text to have (None: no file), the new record, and the paths that others changed."""

    model_config = ConfigDict(frozen=True)

    text: str | None
    owned: Owned
    drifted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def flatten(wanted: Mapping[str, Json]) -> dict[Path, Json]:
    """
    ``wanted`` as the paths to own: one for each key, or for each entry of an object.

    So others keep their entries of ``log-opts`` or ``runtimes`` beside ours.
    """
    paths: dict[Path, Json] = {}
    for key, value in wanted.items():
        if isinstance(value, dict) and value:
            paths.update({(key, inner): item for inner, item in value.items()})
        else:
            paths[(key,)] = value
    return paths


def merge(
    text: str | None, owned: Owned, wanted: Mapping[Path, Json], *, owner: str = GVISOR
) -> Merge:
    """
    The file with ``wanted`` in it, and with what ``owner`` no longer wants as it was before.

    + text: the file as it is, None if there is none
    + owned: what is owned, by anybody, and was last written
    + owner: who wants this; the paths of others stay as they are

    Raises ``Problem`` if the file is not a JSON object, a path leads through what is none, or
    somebody else owns a path with another value.
    """
    original = owned.original if owned.paths else text
    kept = _kept(owned, wanted, owner)
    document = JsonText(EMPTY if text is None else text)
    document, parents, left = _give_back(document, owned, {*wanted, *map(from_pointer, kept)})
    document, taken, drifted = _take(document, owned, wanted, parents, owner)
    paths = {**kept, **taken}
    touched = owned.touched or bool(owned.paths and digest(text) not in owned.written)
    merged = _as_it_was(document, original, text=text, ours=bool(paths), touched=touched)
    unchanged = merged == text and bool(owned.paths)
    record = Owned(
        original=original,
        written=owned.written if unchanged and not owned.unfinished else (digest(merged),),
        touched=owned.touched if unchanged else touched,
        paths=paths,
        parents=tuple(dict.fromkeys(parents)),
    )
    return Merge(
        text=merged,
        owned=record if paths else Owned(),
        drifted=tuple(drifted),
        left=tuple(left),
    )


def _kept(owned: Owned, wanted: Mapping[Path, Json], owner: str) -> dict[str, OwnedPath]:
    """The paths that others than ``owner`` want, which no run of ``owner`` may change."""
    kept: dict[str, OwnedPath] = {}
    for name, mine in owned.paths.items():
        others = tuple(other for other in mine.owners if other != owner)
        if not others:
            continue
        kept[name] = mine.model_copy(update={"owners": others})
        theirs = from_pointer(name)
        for path, value in wanted.items():
            shorter = min(len(path), len(theirs))
            if path[:shorter] == theirs[:shorter] and not (
                path == theirs and same(value, mine.wrote)
            ):
                raise Problem(
                    f"{pointer(path)} belongs to {', '.join(others)}, with another value of {name}",
                    got=shown(value, path),
                    todo="agree on one value, or take the key out of one of the two deploys",
                )
    return kept


def _take(
    document: JsonText,
    owned: Owned,
    wanted: Mapping[Path, Json],
    parents: list[str],
    owner: str,
) -> tuple[JsonText, dict[str, OwnedPath], list[str]]:
    """What is wanted goes in; which paths are ours then, and which somebody had changed."""
    paths: dict[str, OwnedPath] = {}
    drifted: list[str] = []
    for path, value in wanted.items():
        name = pointer(path)
        mine, there = owned.paths.get(name), document.raw(path)
        owners = tuple(dict.fromkeys((*(mine.owners if mine else ()), owner)))
        paths[name] = OwnedPath(wrote=value, owners=owners, before=mine.before if mine else there)
        if there is not None and same(document.get(path), value):
            continue
        if mine and (there is None or not mine.has_written(document.get(path))):
            drifted.append(name)
        if len(path) > 1 and document.raw(path[:-1]) is None:
            parents.append(pointer(path[:-1]))
        document = document.set(path, value)
    return document, paths, drifted


def intent(old: Owned, new: Owned, *texts: str | None) -> Owned:
    """
    What may be ours from the moment the file is written until the change is seen to have ended.

    Both what was ours and what will be, so that a run that dies in between loses no claim.

    + texts: what the file may hold meanwhile, besides what it will hold in the end
    """
    paths = {**old.paths, **new.paths}
    for name in old.paths.keys() & new.paths.keys():
        mine = old.paths[name]
        paths[name] = new.paths[name].model_copy(update={"earlier": (mine.wrote, *mine.earlier)})
    return Owned(
        original=new.original if new.paths else old.original,
        written=(*new.written, *old.written, *(digest(text) for text in texts)),
        touched=new.touched or old.touched,
        unfinished=True,
        paths=paths,
        parents=tuple(dict.fromkeys((*old.parents, *new.parents))),
    )


def same(one: Json, other: Json) -> bool:
    """Equal as JSON: ``true`` is not ``1``, and the order of an object's keys does not matter."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _give_back(
    document: JsonText, owned: Owned, wanted: Collection[Path]
) -> tuple[JsonText, list[str], list[str]]:
    """What nobody wants any more goes back to what it was, unless somebody has changed it."""
    left: list[str] = []
    for name, mine in reversed(owned.paths.items()):
        path = from_pointer(name)
        if path in wanted or document.raw(path) is None:
            continue
        if not mine.has_written(document.get(path)) and not (
            owned.unfinished and _is_neutral(path, document)
        ):
            left.append(name)
        elif mine.before is not None:
            document = document.set(path, mine.wrote, raw=mine.before)
        else:
            document = document.remove(path)
    parents = []
    for name in owned.parents:
        path = from_pointer(name)
        if any(inner[: len(path)] == path for inner in wanted):
            parents.append(name)
        elif document.raw(path) is not None and document.get(path) == {}:
            document = document.remove(path)
    return document, parents, left


def _is_neutral(path: Path, document: JsonText) -> bool:
    """Return True if the value is one that a removal writes on its way, in any version."""
    key = KEYS.get(path[0])
    if key is None or len(path) > 1:
        return False
    values = [key.neutral, key.neutral_from[1] if key.neutral_from else None]
    return any(value is not None and same(document.get(path), value) for value in values)


def digest(text: str | None) -> str:
    """The sha256 of a file's text, ``absent`` for no file."""
    return "absent" if text is None else hashlib.sha256(text.encode()).hexdigest()


def _as_it_was(
    document: JsonText, original: str | None, *, text: str | None, ours: bool, touched: bool
) -> str | None:
    """The text to write: the original to the byte if nothing but ours was ever added to it."""
    if not ours and not document.value and (original is None or text is None):
        return None
    if original is None or touched:
        return document.text
    before = JsonText(original)
    if list(before.value) == list(document.value) and same(before.value, document.value):
        return original
    return document.text

"""
Three-way merge of daemon.json: what we last wrote, what is there, and what is declared.

We change only the paths that are declared. For each of them we record its owners and the value
before us. A path that no owner wants any more gets that value again, and a file that has only our
keys is removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import EMPTY, Json, JsonText, Path, from_pointer, pointer
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.daemon_json.keys import KEYS
from pyinfra_gvisor.daemon_json.shared_lists import with_others, without_ours

GVISOR = "gvisor"  # the owner that this package's own deploys use
CANARY = "gvisor-canary"  # owns runtimes with temporary names; our next change removes them


class OwnedPath(BaseModel):
    """
    A path of ours: the value that we last wrote, its owners, and the text that was there before us.

    ``earlier`` has values that we wrote before ``wrote``, while the file may have any of them.
    ``if_absent``: this package's own deploys set the key because the node's file lacked it.
    """

    model_config = ConfigDict(frozen=True)

    wrote: Any
    owners: tuple[str, ...] = (GVISOR,)
    before: str | None = None
    earlier: tuple[Any, ...] = ()
    if_absent: bool = False

    def has_written(self, value: Json) -> bool:
        """Return True if we wrote ``value``; otherwise somebody else has changed the path."""
        return any(same(value, ours) for ours in (self.wrote, *self.earlier))


class Owned(BaseModel):
    """
    The record ``owned.json``: the paths of daemon.json that are ours, by JSON pointer.

    ``original`` is the file before our first change. ``written`` are the sha256 of the texts that
    we last wrote, or may have written. ``touched``: somebody else has written the file since, so
    the original must not be restored whole. ``unfinished``: the record was written before a change
    that may not have ended. ``parents`` are the objects that we added for our paths.
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
        """Return a node's record in the current form. Raises ``ValueError`` if it is invalid."""
        if "paths" not in record:
            raise ValueError("no paths")
        return cls.model_validate(record).model_copy(update={"version": 2})

    def without(self, owner: str) -> Owned:
        """Return the record without ``owner``: its paths have only their other owners."""
        paths = {
            name: mine.model_copy(
                update={"owners": tuple(other for other in mine.owners if other != owner)}
            )
            for name, mine in self.paths.items()
        }
        return self.model_copy(update={"paths": paths})

    def marked(self, if_absent: Collection[str]) -> Owned:
        """Return the record with these keys of ``GVISOR``, and no others, as ``if_absent``."""
        paths = {
            name: mine.model_copy(
                update={"if_absent": GVISOR in mine.owners and from_pointer(name)[0] in if_absent}
            )
            for name, mine in self.paths.items()
        }
        return self.model_copy(update={"paths": paths})

    @property
    def if_absent(self) -> frozenset[str]:
        """Return the keys that ``GVISOR`` set because the node's file lacked them."""
        return frozenset(
            from_pointer(name)[0] for name, mine in self.paths.items() if mine.if_absent
        )

    def of(self, owner: str) -> list[Path]:
        """Return the paths of ``owner``."""
        return [from_pointer(name) for name, mine in self.paths.items() if owner in mine.owners]


class Merge(BaseModel):
    """
    The result of a merge: the new text (None: no file) and the new record.

    ``drifted`` are paths of ours that somebody else has changed and that we set again. ``left`` are
    paths that nobody wants any more, and that keep the value that somebody else has set.
    """

    model_config = ConfigDict(frozen=True)

    text: str | None
    owned: Owned
    drifted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def flatten(wanted: Mapping[str, Json]) -> dict[Path, Json]:
    """
    Return ``wanted`` as the paths to own: one for each key, or for each entry of an object.

    So other owners can have their own entries of ``log-opts`` or ``runtimes``.
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
    Return the file with ``wanted`` set, and with former paths of ``owner`` as they were before.

    + text: the current file, None if there is no file
    + owned: the record of all owners' paths
    + owner: the owner of ``wanted``; the paths of other owners stay as they are

    Raises ``Problem`` if the file is not a JSON object, if a value above a path is not an object,
    or if another owner has a path with another value.
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
    """Return the paths of other owners. Raises ``Problem`` if ``wanted`` would change one."""
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
                    f"{pointer(path)} has another owner, {', '.join(others)}, which declares "
                    f"another value of {name}",
                    got=shown(value, path),
                    todo="declare the same value in both deploys, or remove the key from one",
                )
    return kept


def _take(
    document: JsonText,
    owned: Owned,
    wanted: Mapping[Path, Json],
    parents: list[str],
    owner: str,
) -> tuple[JsonText, dict[str, OwnedPath], list[str]]:
    """Set what is wanted. Return the document, our paths, and those that others had changed."""
    paths: dict[str, OwnedPath] = {}
    drifted: list[str] = []
    for path, value in wanted.items():
        name = pointer(path)
        mine, there = owned.paths.get(name), document.raw(path)
        owners = tuple(dict.fromkeys((*(mine.owners if mine else ()), owner)))
        paths[name] = OwnedPath(wrote=value, owners=owners, before=mine.before if mine else there)
        if there is not None:
            value = with_others(path[0], value, document.get(path))  # noqa: PLW2901
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
    Return the record that holds from the write of the file until the change has ended.

    + texts: what the file may contain meanwhile, other than the final text

    The record has the paths of ``old`` and of ``new``, so that none is lost if the run dies.
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
    """Return True if equal as JSON: ``true`` is not ``1``, the order of keys does not matter."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _give_back(
    document: JsonText, owned: Owned, wanted: Collection[Path]
) -> tuple[JsonText, list[str], list[str]]:
    """Restore paths that no owner wants any more, unless somebody else has changed them."""
    left: list[str] = []
    for name, mine in reversed(owned.paths.items()):
        path = from_pointer(name)
        if path in wanted or document.raw(path) is None:
            continue
        others = without_ours(path[0], document.get(path))
        if others is not None:
            document = _with_others(document, path, mine.before, others)
        elif not mine.has_written(document.get(path)) and not (
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


def _with_others(document: JsonText, path: Path, before: str | None, others: Json) -> JsonText:
    """Return the document in which a shared list has only what is not ours."""
    if before is None:
        return document.set(path, others) if others else document.remove(path)
    is_same = same(JsonText(f'{{"was": {before}}}').value["was"], others)
    return document.set(path, others, raw=before) if is_same else document.set(path, others)


def _is_neutral(path: Path, document: JsonText) -> bool:
    """Return True if a removal of the key writes this value temporarily, in any version."""
    key = KEYS.get(path[0])
    if key is None or len(path) > 1:
        return False
    values = [key.neutral, key.neutral_from[1] if key.neutral_from else None]
    return any(value is not None and same(document.get(path), value) for value in values)


def digest(text: str | None) -> str:
    """Return the sha256 of a file's text, ``absent`` for no file."""
    return "absent" if text is None else hashlib.sha256(text.encode()).hexdigest()


def _as_it_was(
    document: JsonText, original: str | None, *, text: str | None, ours: bool, touched: bool
) -> str | None:
    """Return the text to write: the original bytes if only our keys were ever added to them."""
    if not ours and not document.value and (original is None or text is None):
        return None
    if original is None or touched:
        return document.text
    before = JsonText(original)
    if list(before.value) == list(document.value) and same(before.value, document.value):
        return original
    return document.text

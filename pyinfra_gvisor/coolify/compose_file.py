"""
Add our mounts to Coolify's docker-compose.custom.yml and remove them, as whole lines.

Every upgrade of Coolify passes this file to docker compose as the last of three, if it exists
(scripts/upgrade.sh in coollabsio/coolify); compose merges a service's ``volumes`` by their target.
Operators and other add-ons edit it too. So it is parsed only to find the place of our lines, and to
check that everything else means the same as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.compose_path import (
    PATH,
    chain_of,
    in_the_way,
    is_over,
    mounted_by,
    refuse_path,
    target_of,
)
from pyinfra_gvisor.coolify.yaml_nodes import BREAKS, Document, Node, read

MARK = "# pyinfra-gvisor"

_STEP = 2
_BY_HAND = "edit the file by hand"
_MOUNT = re.compile(r"/[A-Za-z0-9._/-]+:(/[A-Za-z0-9._/-]+)(?::[a-z,]+)?")
_OUR_ITEM = re.compile(rf" *- +[\"']?(?P<word>[^\s\"']+)[\"']? +{MARK}\s*")
_OUR_KEY = re.compile(rf"(?P<key> *(?P<word>\w+):) +{MARK}[ \t]*(?P<end>[{BREAKS}]*)")


def lines_to_add(mounts: Sequence[str]) -> str:
    """Return the lines that the file must contain, for an operator to add by hand."""
    return "\n".join(_rows(PATH, mounts, 0, _STEP))


def merged(text: str | None, mounts: Sequence[str]) -> str:
    """
    Return the file with our mounts, which replace those of an earlier version of this package.

    + text: the text of the file; None if there is no file
    + mounts: such as ``/host/a.sh:/etc/a.sh:ro``

    Mounts that somebody added by hand stay. Raises ``Problem`` with line, column and the lines to
    add by hand if they cannot be added without changing the meaning of other lines.
    """
    targets = _targets(mounts)
    try:
        file = _File(text or "")
        if text is not None and file.has(targets):
            return text
        base = file.bare()
        base.refuse_others(targets)
        return base.added(targets)
    except Problem as problem:
        end = f"the file must contain these lines:\n{lines_to_add(mounts)}"
        raise _by_hand(problem, end) from problem


def removed(text: str, mounts: Sequence[str] = ()) -> str | None:
    """
    Return the file without our lines; None if it contained nothing else.

    + mounts: what must no longer be mounted, also not by lines that somebody added by hand

    A key line of ours with lines of others below it stays, without our mark. Raises ``Problem``
    with line and column if our lines cannot be removed without changing the meaning of others.
    """
    if MARK not in text and not any(mount in text for mount in mounts):
        return text
    try:
        bare = _File(text).bare()
        bare.refuse_left(mounts)
        return bare.same(bare.unmarked()).text or None
    except Problem as problem:
        unwanted = [f"{MARK} at the end of a line", *(f"- {mount}" for mount in mounts)]
        end = "\n".join(["the file must not contain these:", *unwanted])
        raise _by_hand(problem, end) from problem


def has(text: str | None, mounts: Sequence[str]) -> bool:
    """
    Return True if docker compose finds these mounts in the file, and no others of ours.

    They must be in short syntax; who wrote them does not matter. False if the file cannot be read.
    """
    targets = _targets(mounts)
    try:
        return text is not None and _File(text).has(targets)
    except Problem:
        return False


class _File:
    """The file as text and as YAML nodes."""

    def __init__(self, text: str) -> None:
        self.document: Document = read(text)
        self.text = text
        self.lines = text.splitlines(keepends=True)
        self.chain = chain_of(self.document.root)
        self.mounted = mounted_by(self.document.root)
        self.ours = self._ours()
        self.our_lines = self._our_lines()

    def has(self, targets: Mapping[str, str]) -> bool:
        """Return True if each mount is there once, in our line or another's, and no further one."""
        ours = [item.text or "" for item in self.ours]
        theirs = {item.text for item in self.mounted if item not in self.ours}
        if sorted(ours) != sorted(set(targets) - theirs):
            return False
        return not any(in_the_way(item, targets) for item in self.mounted)

    def bare(self) -> _File:
        """Return the file without our lines. A key line with lines of others below it stays."""
        kept = [line for number, line in enumerate(self.lines) if number not in self.our_lines]
        ended = not self.lines or self.lines[-1][-1] in BREAKS
        if kept and not ended and len(self.lines) - 1 in self.our_lines:
            kept[-1] = kept[-1].splitlines()[0]  # Its newline was added together with our lines.
        return self.same("".join(kept))

    def unmarked(self) -> str:
        """Return the text without our mark on key lines."""
        lines = list(self.lines)
        for key, _ in self.chain:
            if match := _OUR_KEY.fullmatch(lines[key.line]):
                lines[key.line] = match["key"] + match["end"]
        return "".join(lines)

    def same(self, text: str) -> _File:
        """Return the file with another ``text``. Raises ``Problem`` if others' lines change."""
        try:
            other = _File(text)
        except Problem:
            other = None
        if other and other.document.shape(other.our_lines) == self.document.shape(self.our_lines):
            return other
        where = self.chain[-1][0].place if self.chain else f"line {self.document.end + 1} column 1"
        what = f"{where}: changing our lines would change the meaning of other lines"
        raise Problem(what, todo=_BY_HAND)

    def refuse_others(self, targets: Mapping[str, str]) -> None:
        """Refuse mounts that compose would merge with ours, or that cover the target of ours."""
        for item in self.mounted:
            if why := in_the_way(item, targets):
                todo = "remove or change that mount"
                raise Problem(f"{item.place}: {why}", got=item.tag or target_of(item), todo=todo)
            if any(map(is_over(item), targets.values())):
                todo = "mount single files there, not the whole directory"
                what = f"{item.place}: this mount covers a directory into which ours go"
                raise Problem(what, got=target_of(item), todo=todo)

    def refuse_left(self, mounts: Sequence[str]) -> None:
        """Refuse our mounts in lines that are not ours."""
        for item in self.mounted:
            if item.text in mounts:
                what = f"{item.place}: still mounted, by a line that does not end in {MARK}"
                raise Problem(what, got=item.text, todo="remove the line by hand")

    def added(self, targets: Mapping[str, str]) -> str:
        """Return the text with lines for the missing mounts."""
        there = {item.text for item in self.mounted}
        missing = [mount for mount in targets if mount not in there]
        if not missing:
            return self.text
        refuse_path(self.document.root, self.chain, self.text)
        root = self.document.root
        after, column = self.document.end, root.column if root and root.is_mapping else 0
        if self.chain:
            key, value = self.chain[-1]
            after = key.line + 1
            column = key.column + self._step() if value.is_empty else value.column
        rows = list(_rows(PATH[len(self.chain) :], missing, column, self._step()))
        other = self.same(_inserted(self.lines, after, rows))
        if other.bare().text != self.text or not other.has(targets):
            what = f"line {after + 1} column 1: our lines cannot be added here"
            raise Problem(what, todo=_BY_HAND)
        return other.text

    def _step(self) -> int:
        """Return the number of columns by which the file indents."""
        pairs = [*reversed(self.chain), *(self.document.root.pairs if self.document.root else [])]
        steps = [v.column - key.column for key, v in pairs if v.is_mapping and not v.is_flow]
        return next((step for step in steps if step > 0), _STEP)

    def _ours(self) -> list[Node]:
        if len(self.chain) < len(PATH):
            return []
        return [item for item in self.chain[-1][1].children if self._is(item, _OUR_ITEM)]

    def _our_lines(self) -> set[int]:
        """Return the numbers, from 0, of our lines that have no lines of others below them."""
        found = {item.line for item in self.ours}
        for key, value in reversed(self.chain):
            beneath = value.children[::2] if value.is_mapping else value.children
            emptied = value.is_empty or (beneath and all(node.line in found for node in beneath))
            if not emptied or not self._is(key, _OUR_KEY):
                break
            found.add(key.line)
        return found

    def _is(self, node: Node, pattern: re.Pattern[str]) -> bool:
        match = pattern.fullmatch(self.lines[node.line])
        return bool(match and match["word"] == node.text)


def _targets(mounts: Sequence[str]) -> dict[str, str]:
    """Return our mounts and their targets."""
    found = {mount: match[1] for mount in mounts if (match := _MOUNT.fullmatch(mount))}
    if not mounts or len(set(found.values())) < len(mounts):
        todo = "write each as /source:/target:ro, with different targets"
        raise Problem("not a list of bind mounts", got=list(mounts), todo=todo)
    return found


def _rows(keys: Sequence[str], mounts: Sequence[str], column: int, step: int) -> Iterator[str]:
    for key in keys:
        yield f"{' ' * column}{key}:  {MARK}"
        column += step
    for mount in mounts:
        yield f"{' ' * column}- {mount}  {MARK}"


def _inserted(lines: Sequence[str], at: int, rows: Sequence[str]) -> str:
    """
    Return the text with ``rows`` before line ``at``.

    If the last line had no newline, our last line gets none either. By that ``bare`` knows later
    that the newline before our lines is ours.
    """
    before, after = list(lines[:at]), lines[at:]
    ended = next((line for line in reversed(before) if line[-1] in BREAKS), "")
    end = "\r\n" if ended.endswith("\r\n") else "\n"
    if before and before[-1][-1] not in BREAKS:
        return "".join(before) + end + end.join(rows)
    return "".join([*before, *(row + end for row in rows), *after])


def _by_hand(problem: Problem, end: str) -> Problem:
    return Problem(problem.what, got=problem.got, todo=f"{problem.todo}; {end}")

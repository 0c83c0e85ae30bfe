"""
Parse a YAML file into nodes that keep their place and how they were written.

No value is resolved: anchors, tags and styles stay. So two files can be compared by everything that
a reader could see, and tags of docker compose (``!reset``) need no special treatment.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

import yaml

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.json_text import position_of

MAX_DEPTH = 100  # compose's own keys need less than 10; comparing nodes is recursive
MERGE = "<<"
BREAKS = "\r\n\x85\u2028\u2029"  # YAML 1.1, 5.4; ``splitlines`` also splits at others, not in YAML
_KEY = re.compile(r"[\s\"'-]*[A-Za-z_][A-Za-z0-9_.-]*[\"']?\s*:(?=\s|$)")
_BY_HAND = "repair the file by hand"

Shape = tuple[object, ...]


class Node:
    """
    One value.

    ``line`` and ``column`` are where it starts, from 0; ``end`` is the index of the character after
    it in the file; ``original`` is the node that an alias stands for.
    """

    def __init__(self, event: yaml.NodeEvent, original: Node | None = None) -> None:
        self.event = event
        self.original = original
        self.children: list[Node] = []  # key, value, key, value of a mapping
        self.line, self.column = _start(event)
        self.end: int = event.end_mark.index if event.end_mark else 0

    @property
    def place(self) -> str:
        """Return the place as an editor shows it: ``line 3 column 5``."""
        return _place(self.line, self.column)

    @property
    def tag(self) -> str | None:
        """Return the tag as written; None if there is none."""
        return getattr(self.event, "tag", None)

    @property
    def text(self) -> str | None:
        """Return a scalar's text, whatever its type; None for other nodes."""
        return self.event.value if isinstance(self.event, yaml.ScalarEvent) else None

    @property
    def is_alias(self) -> bool:
        """Return True if the node is an alias of another one."""
        return self.original is not None

    @property
    def is_flow(self) -> bool:
        """Return True if the node is written between brackets or braces."""
        return bool(getattr(self.event, "flow_style", False))

    @property
    def is_mapping(self) -> bool:
        """Return True if the node is a mapping."""
        return isinstance(self.event, yaml.MappingStartEvent)

    @property
    def is_list(self) -> bool:
        """Return True if the node is a list."""
        return isinstance(self.event, yaml.SequenceStartEvent)

    @property
    def is_empty(self) -> bool:
        """Return True if nothing is written: a null without a sign, anchor or tag."""
        return _own_shape(self.event) == _NULL

    @property
    def pairs(self) -> list[tuple[Node, Node]]:
        """Return a mapping's keys and values; empty for other nodes."""
        if not self.is_mapping:
            return []
        return list(zip(self.children[::2], self.children[1::2], strict=True))

    def resolved(self) -> Node:
        """Return the node that an alias stands for; other nodes return themselves."""
        return self.original or self


@dataclass(frozen=True)
class Document:
    """
    The only document of a file.

    ``end`` is the line, from 0, before which a key can be added at the end; ``head`` is everything
    about the document except its ``root``.
    """

    root: Node | None
    end: int
    head: Shape

    def shape(self, without: Collection[int] = ()) -> Shape:
        """
        Return everything that a reader of the file sees, for comparison; comments are left out.

        + without: lines, from 0, whose keys and items are left out; an emptied value is null
        """
        return (self.head, _shape(self.root, without) if self.root else (_NULL,))


def read(text: str) -> Document:
    """
    Parse the one document of ``text``.

    Raises ``Problem`` with line and column if it is not YAML, or if docker compose refuses it or
    its meaning is unclear: two equal keys, several documents, an alias without an anchor.
    """
    try:
        events = list(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.reader.ReaderError as error:
        what = f"{position_of(text, error.position)}: unprintable character"
        raise Problem(what, got=f"U+{ord(text[error.position]):04X}", todo=_BY_HAND) from error
    except yaml.MarkedYAMLError as error:
        raise _no_yaml(text, error) from error
    except (ValueError, OverflowError) as error:  # for example \UFFFFFFFF
        raise Problem("not YAML: an escape is not a character", todo=_BY_HAND) from error
    end = len(text.splitlines())
    head: Shape = (False, None, None, False)
    if starts := [event for event in events if isinstance(event, yaml.DocumentStartEvent)]:
        if len(starts) > 1:
            where = _place(*_start(starts[1]))
            raise Problem(f"{where}: a second document", got="---", todo="keep one document")
        last = next(event for event in events if isinstance(event, yaml.DocumentEndEvent))
        end = _start(last)[0] if last.explicit else end
        tags = tuple(sorted((starts[0].tags or {}).items()))
        head = (starts[0].explicit, starts[0].version, tags or None, last.explicit)
    return Document(_tree(events), end, head)


def lookup(node: Node | None, key: str) -> Node | None:
    """Return the value of a mapping's key, also from merge keys; skip mappings with a tag."""
    waiting = [node] if node else []
    seen: set[int] = set()  # a mapping may be merged into itself
    while waiting:
        node = waiting.pop().resolved()
        if id(node) in seen or node.tag is not None:
            continue
        seen.add(id(node))
        for name, value in node.pairs:
            if name.text == key:
                return value.resolved()
        for name, value in node.pairs:
            if name.text == MERGE:
                merged = value.resolved()
                waiting += reversed(merged.children) if merged.is_list else [merged]
    return None


def _tree(events: list[yaml.Event]) -> Node | None:
    """Build the nodes without recursion, because a file may open any number of brackets."""
    root: Node | None = None
    opened: list[Node] = []
    anchors: dict[str, Node] = {}
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            _refuse_keys(opened.pop())
        if not isinstance(event, yaml.NodeEvent):
            continue
        node = _node(event, anchors)
        if opened:
            opened[-1].children.append(node)
        root = root or node
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append(node)
            if len(opened) > MAX_DEPTH:
                raise Problem(f"{node.place}: nested too deeply", todo=_BY_HAND)
    return root


def _node(event: yaml.NodeEvent, anchors: dict[str, Node]) -> Node:
    if not isinstance(event, yaml.AliasEvent):
        node = Node(event)
        if event.anchor is not None:
            anchors[event.anchor] = node
        return node
    node = Node(event, anchors.get(event.anchor or ""))
    if not node.is_alias:
        what = f"{node.place}: an alias without an anchor"
        raise Problem(what, got=f"*{event.anchor}", todo=_BY_HAND)
    return node


def _refuse_keys(node: Node) -> None:
    """Refuse keys that docker compose refuses: those that are not texts, and duplicates."""
    seen: set[str] = set()
    for key, _ in node.pairs:
        if key.text is None:
            raise Problem(f"{key.place}: a key that is not a text", todo="write the key as a text")
        if key.text in seen:
            todo = "keep one of them: docker compose refuses the file"
            raise Problem(f"{key.place}: the key {cut(key.text)} is there twice", todo=todo)
        seen.add(key.text)


def _no_yaml(text: str, error: yaml.MarkedYAMLError) -> Problem:
    """Return the error; of the line it shows only the key, because the value may be a password."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem("not YAML", got=error.problem, todo=_BY_HAND)
    line = next(islice(text.splitlines(), mark.line, None), "")
    key = _KEY.match(line)
    what = f"{_place(mark.line, mark.column)}: not YAML: {cut(error.problem or '')}"
    return Problem(what, got=key[0].strip() if key else None, todo=_BY_HAND)


def _start(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line, mark.column) if mark else (0, 0)  # The parser's own events have a mark.


def _place(line: int, column: int) -> str:
    return f"line {line + 1} column {column + 1}"


def _own_shape(event: yaml.Event) -> Shape:
    """Return an event without its place."""
    said = vars(event).items()
    return (type(event).__name__, *((name, value) for name, value in said if "mark" not in name))


_NULL = _own_shape(yaml.ScalarEvent(None, None, (True, False), ""))


def _shape(node: Node, without: Collection[int]) -> Shape:
    inner: list[object]
    if node.is_mapping:
        kept = [pair for pair in node.pairs if pair[0].line not in without]
        inner = [(_shape(key, without), _shape(value, without)) for key, value in kept]
    else:
        inner = [_shape(item, without) for item in node.children if item.line not in without]
    if node.children and not inner:
        return (_NULL,)
    return (_own_shape(node.event), *inner)

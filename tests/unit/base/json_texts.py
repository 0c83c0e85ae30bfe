"""Hypothesis: daemon.json files as people and tools write them, and what we may want in them."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from pyinfra_gvisor.base.json_text import Json
from tests.arguments import Data

# Numbers that Python reads as something that it would write in another way.
NUMBERS = st.sampled_from(["0", "-0", "1.50", "1e3", "2.0E-2", "42", "0.1", "12345678901234567890"])
STRINGS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\/{}[],:\n\t\u2028'), max_size=6
)
NAMES = st.sampled_from(["runsc", "net", "kata", "gr\u00fc\u00df", "a/b~c", ""])
FOREIGN_KEYS = st.sampled_from(["dns", "bip", "hosts", "x", "a/b", "~0", "\u00e4\u00f6", "", "{"])

Draw = Callable[..., Any]
Written = str | list[Any] | dict[str, Any]


def written_values(depth: int) -> st.SearchStrategy[Written]:
    """A value whose leaves are already JSON text, so that a number keeps its odd form."""
    leaf = st.one_of(
        NUMBERS,
        st.sampled_from(["true", "false", "null"]),
        st.tuples(STRINGS, st.booleans()).map(
            lambda drawn: json.dumps(drawn[0], ensure_ascii=drawn[1])
        ),
    )
    if not depth:
        return leaf
    inner = written_values(depth - 1)
    return st.one_of(
        leaf, st.lists(inner, max_size=3), st.dictionaries(FOREIGN_KEYS, inner, max_size=3)
    )


def _objects(key: str) -> st.SearchStrategy[Data]:
    inner: st.SearchStrategy[Any] = written_values(0)
    if key == "runtimes":
        inner = st.fixed_dictionaries(
            {"path": st.just('"/x"')}, optional={"runtimeArgs": st.just([])}
        )
    return st.dictionaries(NAMES, inner, max_size=3)


OWNABLE = {
    "live-restore": st.sampled_from(["true", "false"]),
    "userland-proxy": st.sampled_from(["true", "false"]),
    "labels": st.lists(STRINGS.map(json.dumps), max_size=2),
    "runtimes": _objects("runtimes"),
    "log-opts": _objects("log-opts"),
}


@st.composite
def documents(draw: Draw) -> str:
    """A JSON object as text: any order, indentation, line ends and white space, no key twice."""
    members = draw(st.dictionaries(FOREIGN_KEYS, written_values(2), max_size=4))
    members |= draw(st.fixed_dictionaries({}, optional=OWNABLE))
    keys: list[str] = draw(st.permutations(list(members)))
    value = {key: members[key] for key in keys}
    before, behind = draw(st.sampled_from([("", ""), ("", "\n"), (" \n", "\r\n\t"), ("\t", " ")]))
    return f"{before}{draw(_styles())(value)}{behind}"


@st.composite
def _styles(draw: Draw) -> Callable[[Written], str]:
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    unit = draw(st.sampled_from(["  ", "    ", "\t", " ", ""]))
    inline = draw(st.sampled_from(["all", "inner", "none"]))
    gaps = draw(
        st.none() | st.lists(st.sampled_from(["", " ", "\n", "\t", "\r\n", "  "]), min_size=3)
    )
    style = Style(newline, unit, inline, gaps)
    return lambda value: style.write(value, 0)


class Style:
    """One way of writing JSON: tidy, in one line, or with white space anywhere."""

    def __init__(self, newline: str, unit: str, inline: str, gaps: Sequence[str] | None) -> None:
        self.newline = newline
        self.unit = unit
        self.inline = inline
        self.gaps = gaps
        self.used = 0

    def write(self, value: Written, depth: int) -> str:
        """``value`` as text."""
        if isinstance(value, str):
            return value
        items = (
            [
                f"{json.dumps(key, ensure_ascii=False)}{self._gap('')}:{self._gap(' ')}"
                f"{self.write(item, depth + 1)}"
                for key, item in value.items()
            ]
            if isinstance(value, dict)
            else [self.write(item, depth + 1) for item in value]
        )
        brackets = "{}" if isinstance(value, dict) else "[]"
        return brackets[0] + self._joined(items, depth) + brackets[1]

    def _joined(self, items: list[str], depth: int) -> str:
        if not items:
            return self._gap("")
        if self.gaps is not None:
            padded = [self._gap("") + item + self._gap("") for item in items]
            return ",".join(padded)
        if self.inline == "all" or (self.inline == "inner" and depth):
            return ", ".join(items)
        lead = self.newline + self.unit * (depth + 1)
        return lead + ("," + lead).join(items) + self.newline + self.unit * depth

    def _gap(self, usual: str) -> str:
        if self.gaps is None:
            return usual
        self.used += 1
        return self.gaps[self.used % len(self.gaps)]


VALUES: st.SearchStrategy[Json] = st.one_of(
    st.booleans(), st.integers(-3, 3), STRINGS, st.lists(STRINGS, max_size=2)
)


def wishes() -> st.SearchStrategy[dict[str, Json]]:
    """Keys that an operator may want to own, with their values, in any order."""
    known: dict[str, st.SearchStrategy[Json]] = {
        "live-restore": st.booleans(),
        "userland-proxy": st.booleans(),
        "labels": st.lists(STRINGS, max_size=2).map(list),
        "gr\u00fc\u00df": VALUES,
        "runtimes": st.dictionaries(
            NAMES,
            st.sampled_from(["/x", "/y"]).map(lambda path: {"path": path}),
            min_size=1,
            max_size=2,
        ).map(dict),
        "log-opts": st.dictionaries(NAMES, STRINGS, min_size=1, max_size=2).map(dict),
    }
    return st.fixed_dictionaries({}, optional=known).flatmap(
        lambda drawn: st.permutations(list(drawn)).map(
            lambda keys: {key: drawn[key] for key in keys}
        )
    )

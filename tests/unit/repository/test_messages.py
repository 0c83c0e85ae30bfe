"""What messages said before, and what they say instead: no old wording comes back."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.packaging.checkout import ROOT, packaged

LEAST = 50  # messages
TABLE = Path(__file__).with_name("messages.tsv")
HEADER, *ROWS = [tuple(line.split("\t")) for line in TABLE.read_text().splitlines()]


def test_messages_say_what_the_table_has() -> None:
    said = "\n".join(text for path in packaged().values() for text in _texts(ROOT / path))

    assert HEADER == ("before", "after", "what was wrong")
    assert len({before for before, _, _ in ROWS}) >= LEAST
    assert list(_wrong(ROWS, said)) == []


def test_a_wrong_row_is_found() -> None:
    assert list(_wrong([("old", "new", "")], "it is old")) == ["gone: new", "still there: old"]


def _wrong(rows: list[tuple[str, ...]], said: str) -> Iterator[str]:
    for before, after, _ in rows:
        if after not in said:
            yield f"gone: {after}"
        if before in said:
            yield f"still there: {before}"


def _texts(path: Path) -> Iterator[str]:
    """Yield the strings of a program, docstrings left out."""
    nodes = list(ast.walk(ast.parse(path.read_text()))) if path.suffix == ".py" else []
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    strings = (node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docs)
    yield from (node.value for node in strings if isinstance(node.value, str))

"""Texts that people read are in plain English: known words and short sentences."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.checkout import ROOT, files

SUFFIXES = {".py", ".sh", ".pl", ".php", ".md", ".j2", ".toml", ".yml", ".json", ""}
NOT_OURS = {"LICENSE"}
MAX_WORDS = 25  # of a sentence in a message

WORDS = {
    "anew": "again",
    "behind": "after",
    "mend": "repair",
    "owed": "required",
    "strangers": "untrusted",
}
"""Words that a reader stumbles over, and the field's word for each."""

RIDDLES = (
    "a door that this node has not",
    "a name is no identity",
    "and no infrastructure",
    "and its process is none",
    "are created anew",
    "are in front of",
    "are waited for too",
    "as we know it",
    "beside no other",
    "cannot be judged",
    "colon and no value",
    "do not come to the policy",
    "does nothing new",
    "has to run in a sandbox",
    "have modules kept out",
    "held against a node",
    "install … beside",
    "it may have been the last",
    "its place back",
    "its second copy counts",
    "keeper of what is",
    "keys are owned",
    "mounts that services see",
    "nobody answers where",
    "not as its image",
    "not the address that who",
    "nothing of ours is there",
    "of network host is",
    "runc itself is at its place",
    "see that the host has room",
    "seen to be live",
    "slip of the pen",
    "so that nobody can tell",
    "stays owed",
    "stopped is stopped",
    "take it back",
    "taken for an interface",
    "tell the environment of",
    "the mildest",
    "the probe broke off",
    "they still declare",
    "until they are started anew",
    "were taken back",
    "what a proof of the node as it is",
    "whatever answers there",
    "without being judged",
)
"""Phrases that could hardly be understood."""


def _paths() -> list[Path]:
    return [
        path
        for path in files()
        if path.suffix in SUFFIXES
        and path.name not in NOT_OURS
        and not str(path.relative_to(ROOT) if path.is_absolute() else path).startswith("tests/")
    ]


@pytest.mark.parametrize("path", _paths(), ids=str)
def test_texts_use_the_words_of_the_field(path: Path) -> None:
    found = [
        f"{path}:{line}: {word!r}: {' '.join(text.split())[:160]}"
        for line, text in _texts(path)
        for word in _stumbled_over(text)
    ]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", [path for path in _paths() if path.suffix == ".py"], ids=str)
def test_sentences_of_messages_are_short(path: Path) -> None:
    found = [
        f"{path}:{line}: {len(sentence.split())} words: {sentence[:200]}"
        for line, text in _messages(ast.parse((ROOT / path).read_text()))
        for sentence in _sentences(text)
        if len(sentence.split()) > MAX_WORDS
    ]

    assert not found, "\n".join(found)


def test_a_riddle_is_found() -> None:
    assert list(_stumbled_over("a restart of dockerd stays  owed")) == ["owed", "stays owed"]
    assert list(_stumbled_over("`is_owed` and behindhand")) == []
    [(_, text)] = _messages(ast.parse('f"one {two} three" + x'))
    assert text == "one … three"
    assert list(_sentences("One two. Three: four\nfive")) == ["One two", "Three: four", "five"]


def _stumbled_over(text: str) -> Iterator[str]:
    flat = " ".join(text.lower().split())
    # No part of a rule's id: restart-owed stays what waivers call it.
    yield from (word for word in WORDS if re.search(rf"(?<![\w-]){word}\b", flat))
    yield from (riddle for riddle in RIDDLES if riddle in flat)


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    text = (ROOT / path).read_text()
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    tree = ast.parse(text)
    yield from _messages(tree)
    yield from _docstrings(tree)
    for number, line in enumerate(text.splitlines(), 1):
        if "# " in line:
            yield number, line.partition("# ")[2]


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, str(node.value.value)


def _messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every string of a program that is no docstring, placeholders as ``…``."""
    inner = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in inner or id(node) in docs:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                ),
            )


def _sentences(text: str) -> Iterator[str]:
    yield from (part.strip() for part in re.split(r"[.?!](?:\s|$)|\n", text) if part.strip())

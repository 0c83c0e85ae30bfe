"""What the docs tell a reader to type and to write, so that tests can do the same."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
START = DOCS / "getting-started.md"
HOW_TO = (
    *("first-node", "cloud-init", "canary", "upgrade", "roll-back", "air-gapped"),
    *("firewall", "sandbox-by-default", "ci", "coolify"),
)
"""The pages, in the order in which a reader with one fleet can follow them."""

COMPOSE = DOCS / "how-to" / "compose.md"
"""A page for nodes of its own, with twelve apps."""

PAGES = (START, *(DOCS / "how-to" / f"{name}.md" for name in HOW_TO))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDS = re.compile(r"# ends with (\d)\b")
_FILE = re.compile(r"# (\S+\.py)\n")
_HEADING = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, its line there, the heading above, its language and its text."""

    page: Path
    line: int
    heading: str
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file of the fleet that it is about, if its first line names one."""
        named = _FILE.match(self.text) if self.language == "python" else None
        return named[1] if named else None


@dataclass(frozen=True)
class Command:
    """One line that a reader types, and the exit code that the page promises."""

    block: Block
    line: int
    text: str
    code: int

    @property
    def place(self) -> str:
        """Where it stands, for messages and as a test's id."""
        return f"{self.block.page.relative_to(DOCS.parent)}:{self.line}"

    def words(self) -> Iterator[list[str]]:
        """Yield the words of each program that it starts, without redirections."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars="&|;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for token in lexer:
            if token in {">", "<"}:
                next(lexer)
            elif set(token) <= set("&|;"):
                yield words
                words = []
            else:
                words.append(token)
        yield words


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        above = [heading[1] for heading in _HEADING.finditer(text, 0, found.start())]
        line = text.count("\n", 0, found.start()) + 2
        yield Block(page, line, above[-1] if above else "", found[1], found[2])


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a ``shell`` block: a line each, without comments."""
    if block.language != "shell":
        return
    for number, line in enumerate(block.text.splitlines(), block.line):
        text = line.partition("  # ")[0].strip()
        if text and not text.startswith("#"):
            ends = _ENDS.search(line)
            yield Command(block, number, text, int(ends[1]) if ends else 0)


def all_commands(page: Path) -> list[Command]:
    """Return the commands of a page, in order."""
    return [command for block in blocks(page) for command in commands(block)]

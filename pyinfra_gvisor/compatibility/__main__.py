"""The repository's records from the command line: add those of a run, write the table of all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pyinfra_gvisor.compatibility.files import DOCS, add_records, kept_records
from pyinfra_gvisor.compatibility.table import table
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.schema import with_table

FINE, REFUSED = 0, 1
PAGE = "compatibility.md"
MARK = "records"
EXIT_CODES = """exit codes:
  0  fine
  1  a file is not a record, is older than the one kept, or cannot be written; nothing was changed
  2  wrong command line
"""


def main(argv: Sequence[str] | None = None, *, docs: Path = DOCS) -> int:
    """
    Run one command and tell how it went.

    + argv: the command line, of this process if None
    + docs: where the page and the records are

    Return the exit code; argparse raises ``SystemExit(2)`` itself.
    """
    args = _parser().parse_args(argv)
    try:
        page = _page(docs)
        lines = _add(args, docs) if args.command == "add" else _table(docs, page)
    except Problem as problem:
        sys.stderr.write(f"compatibility.{args.command}: {problem}\n")
        return REFUSED
    for line in lines:
        sys.stdout.write(line + "\n")
    return FINE


def page_with(page: str, docs: Path = DOCS) -> str:
    """Return the page's text with the table of the records that are kept."""
    return with_table(page, MARK, table(kept_records(docs / "compatibility")))


def _add(args: argparse.Namespace, docs: Path) -> list[str]:
    kept = docs / "compatibility"
    written = add_records(args.files, docker=args.docker_lab_build, kept=kept)
    then = "write the table: python -m pyinfra_gvisor.compatibility table"
    return [*(f"written: {path}" for path in written), then]


def _page(docs: Path) -> str:
    path = docs / PAGE
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        todo = "run this in a clone of the repository"
        raise Problem(f"{path}: cannot be read: {error.strerror}", todo=todo) from None


def _table(docs: Path, page: str) -> list[str]:
    path = docs / PAGE
    fresh = page_with(page, docs)
    if fresh == page:
        return [f"{path} is as the records say"]
    path.write_text(fresh, encoding="utf-8")
    return [f"written: {path}"]


def _parser() -> argparse.ArgumentParser:
    parser = _described(argparse.ArgumentParser(prog="python -m pyinfra_gvisor.compatibility"))
    parser.description = __doc__
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    what = "copy records of runs into docs/compatibility, in the place of older ones"
    add = _described(commands.add_parser("add", help=what, description=what))
    add.add_argument("files", metavar="FILE", type=Path, nargs="+", help="what a run wrote")
    add.add_argument(
        "--docker-lab-build",
        metavar="MODULE@VERSION",
        help="what dockerd was built from, if the lab built it: docker itself does not tell",
    )
    what = "write the table of all records into docs/compatibility.md"
    _described(commands.add_parser("table", help=what, description=what))
    return parser


def _described(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.allow_abbrev = False
    return parser


if __name__ == "__main__":
    sys.exit(main())

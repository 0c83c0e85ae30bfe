"""The lock of gVisor releases from the command line: see it, check it, add to it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.commands import Disagreement, added, checked, listed, warning
from pyinfra_gvisor.releases.lockfile import PACKAGED, BadLock, read_lock
from pyinfra_gvisor.releases.origins import (
    BUCKET_URL,
    GITHUB_URL,
    TAGS_URL,
    TIMEOUT_S,
    NoAnswer,
    Origins,
)

FINE, DISAGREE, USAGE, NO_ANSWER = range(4)
EXIT_CODES = """exit codes:
  0  fine
  1  the origins, or the lock and an origin, disagree; or the lock is wrong
  2  wrong command line or release name; or a lock that cannot be read or written
  3  an origin cannot be reached, answers not 200, or answers something else than checksums
"""


def main(argv: Sequence[str] | None = None, *, timeout_s: float = TIMEOUT_S) -> int:
    """
    Run one command and tell how it went.

    + argv: the command line, of this process if None
    + timeout_s: seconds that each request may take

    Returns the exit code; argparse raises ``SystemExit(2)`` itself.
    """
    args = _parser().parse_args(argv)
    try:
        _run(args, timeout_s)
    except Problem as error:
        for line in str(error).splitlines():
            _tell(line if line.startswith(" ") else f"releases.{args.command}: {line}")
        return _code(error)
    return FINE


def _run(args: argparse.Namespace, timeout_s: float) -> None:
    if args.command == "list":
        _say(listed(read_lock(args.lock), as_json=args.json))
        return
    if args.command == "check":
        origins = Origins(args.bucket, args.github, args.tags, timeout_s=timeout_s)
        _say(checked(args.lock, origins if args.online else None))
        return
    origins = Origins(args.bucket, args.github, timeout_s=timeout_s)
    release = parse_release(args.release)
    for line in added(release, args.lock, origins, dry_run=args.dry_run):
        _say(line)
    if text := warning(release):
        _tell(f"releases.add: {text}")


def _code(error: Problem) -> int:
    if isinstance(error, NoAnswer):
        return NO_ANSWER
    return DISAGREE if isinstance(error, BadLock | Disagreement) else USAGE


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = _described(argparse.ArgumentParser(prog="python -m pyinfra_gvisor.releases"))
    parser.description = __doc__
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = _command(commands, "list", "the releases in the lock, as a table")
    listing.add_argument("--json", action="store_true", help="as JSON")
    check = _command(commands, "check", "whether the lock is whole, without network")
    check.add_argument(
        "--online",
        action="store_true",
        help="also compare every entry with both origins, and look for newer releases",
    )
    check.add_argument(
        "--tags",
        metavar="URL",
        default=TAGS_URL,
        help="what names all releases, in the form of GitHub's API (default: %(default)s)",
    )
    add = _command(commands, "add", "write what both origins name, if they agree")
    add.add_argument("release", metavar="RELEASE", help="its date and number, such as 20260928.0")
    add.add_argument("--dry-run", action="store_true", help="compare, print, and write nothing")
    for command in (check, add):
        command.add_argument(
            "--bucket",
            metavar="URL",
            default=BUCKET_URL,
            help="what stands before /RELEASE/ARCH/FILE.sha512 (default: %(default)s)",
        )
        command.add_argument(
            "--github",
            metavar="URL",
            default=GITHUB_URL,
            help="what stands before /release-RELEASE/SHA512SUMS (default: %(default)s)",
        )
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help_: str
) -> argparse.ArgumentParser:
    command = _described(commands.add_parser(name, help=help_, description=help_))
    command.add_argument(
        "--lock",
        metavar="FILE",
        type=Path,
        default=PACKAGED,
        help="the lock (default: the one of this package)",
    )
    return command


def _described(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.allow_abbrev = False
    return parser


if __name__ == "__main__":
    sys.exit(main())

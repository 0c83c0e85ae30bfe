"""Whether a fleet is as declared: a dry run of pyinfra, with an exit code to rely on."""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn, TextIO

from pyinfra_gvisor.drift.printed import as_details, as_json, as_table
from pyinfra_gvisor.drift.record import DEFAULT_CONFIG
from pyinfra_gvisor.drift.run import TIMEOUT_S, Request, dry_run
from pyinfra_gvisor.drift.verdict import ERROR, judge
from pyinfra_gvisor.errors import Problem

EXIT_CODES = """exit codes:
  0  in sync: every host was reached, and no operation would change it
  1  error: a host that was not reached or failed, nothing to look at, output that is not
     understood, a wrong command line; also when changes are pending elsewhere
  2  pending: every host was reached, and operations would change at least one

What stands behind -- is given to pyinfra as it is: ... -- --ssh-user deploy --parallel 5
"""

MAX_TIMEOUT_S = 86400.0

# Options that are this program's to give; -y would make pyinfra look for nothing.
OURS = (
    *("--dry", "--json", "-y", "--yes", "--diff", "--limit", "--data", "--group-data"),
    *("--config", "--debug-facts", "--debug-operations"),
)

REPEATABLE = (
    ("--limit", "PATTERN", "hosts or groups"),
    ("--data", "KEY=VALUE", "data for all hosts"),
    ("--group-data", "PATH", "a directory with more group data"),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with 1: argparse's own 2 would read as "changes are pending"."""
        self.print_usage(sys.stderr)
        self.exit(ERROR, f"drift: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """
    Look at a fleet and tell how it is.

    + argv: the command line, of this process if None

    Returns the exit code; a wrong command line raises ``SystemExit(1)``.
    """
    request, as_document = _request(sys.argv[1:] if argv is None else argv)
    # As on Ctrl-C: without it pyinfra would stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        drift = judge(request, dry_run(request))
    except KeyboardInterrupt:
        return _tell("drift: interrupted")
    except (Problem, OSError) as error:
        return _tell(f"drift: {error}")
    if request.diff and not as_document:
        _write(sys.stderr, as_details(drift))
    _write(sys.stdout, [as_json(drift)] if as_document else as_table(drift))
    return drift.code


def _request(argv: Sequence[str]) -> tuple[Request, bool]:
    own, passed = list(argv), []
    if "--" in own:
        position = own.index("--")
        own, passed = own[:position], own[position + 1 :]
    parser = _parser()
    args = parser.parse_args(own)
    for option in passed:
        if option.partition("=")[0] in OURS:
            parser.error(f"{option.partition('=')[0]} cannot be passed on behind --")
    for deploy in args.deploys:
        if not deploy.endswith(".py"):
            parser.error(f"not a deploy file, got {deploy}")
    for pair in args.data:
        if "=" not in pair:
            parser.error("--data needs KEY=VALUE")  # not shown: it may be a secret
    request = Request(
        inventory=args.inventory,
        deploys=tuple(args.deploys),
        limits=tuple(args.limit),
        data=tuple(args.data),
        group_data=tuple(args.group_data),
        config=args.config,
        diff=args.diff,
        passed=tuple(passed),
        timeout_s=args.timeout_s,
    )
    return request, args.json


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pyinfra-gvisor-drift",
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("inventory", metavar="INVENTORY", help="as for pyinfra: a file, or hosts")
    add("deploys", metavar="DEPLOY", nargs="+", help="deploy files")
    add("--json", action="store_true", help="the plan by host as JSON, instead of a table")
    add("--diff", action="store_true", help="all that is said about hosts too, with file diffs")
    for option, what, text in REPEATABLE:
        add(option, metavar=what, action="append", default=[], help=f"{text} (repeatable)")
    add("--config", metavar="FILE", default=DEFAULT_CONFIG, help="default: %(default)s")
    seconds = f"for the whole run (default: {TIMEOUT_S:g})"
    add("--timeout-s", metavar="SECONDS", type=_seconds, default=TIMEOUT_S, help=seconds)
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= MAX_TIMEOUT_S:
        raise ValueError
    return seconds


def _tell(line: str) -> int:
    _write(sys.stderr, [line])
    return ERROR


def _write(stream: TextIO, lines: Sequence[str]) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # an ASCII terminal is no reason to end
    stream.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())

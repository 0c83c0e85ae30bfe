"""The command line ``pyinfra-gvisor``, as tests type it."""

from collections.abc import Sequence
from pathlib import Path

from pyinfra_gvisor.command.__main__ import main
from tools.__main__ import main as tools


def releases(argv: Sequence[str], *, timeout_s: float | None = None) -> int:
    """``pyinfra-gvisor releases …``; its exit code."""
    waiting = [] if timeout_s is None else [f"--timeout-s={timeout_s}"]
    return main(["releases", *argv, *waiting])


def compatibility(argv: Sequence[str], *, docs: Path) -> int:
    """``python -m tools compatibility …`` in a clone with these docs; its exit code."""
    action, *rest = argv
    return tools(["compatibility", action, f"--docs={docs}", *rest])

"""
Scripts that run on nodes, and how a program is put together from several of them.

The first lines of a script name the variables that must be set, and the scripts that it needs
before it ("Comes after …") or that need it ("Comes before …") in the same program.
"""

from __future__ import annotations

import base64
import shlex
from importlib.resources import files


def script(*names: str, **variables: str | int) -> str:
    """
    Return a shell program: assignments of ``variables``, then the scripts ``names`` in this order.

    + names: files without ``.sh``, in this directory, or with a path such as ``parts/egress/state``
    + variables: shell variables; their values are quoted
    """
    assignments = "".join(f"{key}={shlex.quote(str(value))}\n" for key, value in variables.items())
    paths = (f"{name if '/' in name else f'scripts/{name}'}.sh" for name in names)
    return assignments + program(*paths)


def program(*paths: str) -> str:
    """
    Return the text of a program: the files ``paths``, concatenated in this order.

    + paths: relative to this package, such as ``scripts/watch.pl``
    """
    package = files("pyinfra_gvisor")
    return "".join(package.joinpath(path).read_text(encoding="utf-8") for path in paths)


def encoded(text: str | None) -> str:
    """Return ``text`` in base64, for a variable of a script; ``-`` for None."""
    return "-" if text is None else base64.b64encode(text.encode()).decode()

"""The scripts that run on nodes, POSIX sh, and how one is put together."""

from __future__ import annotations

import base64
import shlex
from importlib.resources import files


def script(*names: str, **variables: str | int) -> str:
    """
    The parts called ``names`` behind each other, with ``variables`` set in front, quoted.

    + names: of files without ``.sh``: beside this one, or such as ``parts/egress/state``
    """
    assignments = "".join(f"{key}={shlex.quote(str(value))}\n" for key, value in variables.items())
    paths = (f"{name if '/' in name else f'scripts/{name}'}.sh" for name in names)
    return assignments + program(*paths)


def program(*paths: str) -> str:
    """
    The files of a program behind each other.

    + paths: below this package, such as ``scripts/watch.pl``
    """
    package = files("pyinfra_gvisor")
    return "".join(package.joinpath(path).read_text(encoding="utf-8") for path in paths)


def encoded(text: str | None) -> str:
    """``text`` in base64 for a script's variable, ``-`` for None."""
    return "-" if text is None else base64.b64encode(text.encode()).decode()

"""The scripts that look at containers before a move, and that move one, on a node."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any, Final

from pyinfra_gvisor.base.python_program import modules_of, python_program
from pyinfra_gvisor.base.scripts import SOCKET, packed, program, script
from pyinfra_gvisor.node import STATE_DIR
from pyinfra_gvisor.proof.script import VERDICTS

END: Final = "end of moves"
RECORD: Final = f"{STATE_DIR}/moves.json"
"""Which app is where: the file on the node by which a killed move is ended."""
_PACKAGE = "pyinfra_gvisor.moves.mover"
_ABOUT = "# Recreates containers so that they run in gVisor. Written by pyinfra-gvisor."


def mover_program() -> str:
    """Return the program of Python that does so, for Python 3.10 or later."""
    texts = {name: program(f"moves/mover/{name}.py") for name in modules_of(_PACKAGE)}
    return python_program(_PACKAGE, texts, _ABOUT, "main(sys.argv[1:])")


def mover_script(*words: str, watch_s: int = 0, leave: bool = False) -> str:
    """
    Return the shell script that runs a command of ``mover.main``.

    + words: the command, such as ``move`` and the id of a container
    + watch_s: seconds for which a new container is watched
    + leave: whether what an app wrote into its own layer may be lost
    """
    given = {
        "socket": SOCKET,
        "record": RECORD,
        "lock": f"{STATE_DIR}/lock",
        "verdict": program(*VERDICTS),
        "watch_s": watch_s,
        "leave": leave,
    }
    return script(
        "moves/run",
        end=END,
        mover=packed(mover_program()),
        given=packed(json.dumps(given)),
        words=shlex.join(words),
    )


def told(output: Sequence[str]) -> list[dict[str, Any]]:
    """
    Return what the program printed.

    Raises ``ValueError`` if the output is cut short or malformed.
    """
    if END not in output:
        last = " ".join(output[-1:])[:100]
        raise ValueError(f"the node's answer is incomplete: it ends with: {last}")
    return [json.loads(line) for line in output[: output.index(END)]]

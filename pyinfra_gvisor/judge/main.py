"""
The program.

``serve`` answers wrappers and dockerd at systemd's sockets. ``ask`` answers one question and ends.
``permit`` runs a command of docker with a permit. ``links`` says whether links in volumes may be
followed by containers only.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from pyinfra_gvisor.judge.questions import answer

LIMIT_S = 60


def main() -> int:
    """Return the code of the answer: 0 for a decision, 3 for a refusal."""
    if sys.argv[1:] == ["serve"]:
        # Nothing else needs asyncio, which takes longer to load than an answer.
        from pyinfra_gvisor.judge.resident import serve  # noqa: PLC0415

        serve(Path(sys.argv[0]).name)
        return 0
    if sys.argv[1:2] == ["permit"]:
        from pyinfra_gvisor.judge.permitted_run import permitted_run  # noqa: PLC0415

        return permitted_run(sys.argv[2:])
    if sys.argv[1:2] == ["links"]:
        from pyinfra_gvisor.judge.links import wish  # noqa: PLC0415

        sys.stdout.write(f"{wish(sys.argv[2])}\n")
        return 0
    # For a file that cannot be read, such as one on a network file system that does not answer. The
    # signal ends the program, wherever it waits.
    signal.alarm(int(sys.argv[2]) if sys.argv[2:] else LIMIT_S)
    code, _, text = answer(sys.stdin.buffer.read(), "").partition(b"\n")
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
    return int(code or b"2")

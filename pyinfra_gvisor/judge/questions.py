"""
Questions to the judge, as wrappers, facts and the watch ask them.

A question is words that end with a zero byte each: ``MAGIC``, the checksum of the program that is
asked, the kind, and what belongs to it. An answer is a code, a line break, and a text.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.calls import Call, answer_call
from pyinfra_gvisor.judge.docker_api import ask_docker
from pyinfra_gvisor.judge.preview import preview_lines

MAGIC = "pyinfra-gvisor asks"  # dockerd can be made to write logs to any socket
_ANY = "-"  # who asks does not care which judge answers


def answer(question: bytes, own: str, paths: NodePaths = NodePaths()) -> bytes:  # noqa: B008
    """
    Return the answer; empty if another program is asked, or if the question is not complete.

    + own: the name of this program, with its checksum at the end; empty answers every question
    """
    words = question.decode("utf-8", "surrogateescape").split("\0")
    if len(words) < 4 or words.pop() != "":  # noqa: PLR2004 - who asks was cut off
        return b""
    magic, asked, kind, *more = words
    if magic != MAGIC or (own and asked not in (_ANY, own.rpartition("-")[2])):
        return b""
    code, text = _answered(kind, more, paths)
    return f"{code}\n{text}\n".encode("utf-8", "surrogateescape")


def _answered(kind: str, words: Sequence[str], paths: NodePaths) -> tuple[int, str]:
    if kind == "call" and len(words) > 5:  # noqa: PLR2004
        wrapper, command, log, state, directory, *call = words
        return answer_call(Call(wrapper, command, log, state, directory, call), paths)
    if kind == "preview" and len(words) == 2:  # noqa: PLR2004
        address, declared = words
        return 0, "\n".join(preview_lines(declared, lambda path: ask_docker(path, address)))
    return 2, f"not a question: {kind}"

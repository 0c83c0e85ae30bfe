"""Put together the parts of a wrapper that act when Docker creates a container."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from functools import cache
from typing import Any

from pyinfra_gvisor.base.python_program import modules_of, python_program
from pyinfra_gvisor.base.scripts import PATH, checksum_in_name, part, program
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.judge.main import LIMIT_S
from pyinfra_gvisor.judge.rules import FORMAT
from pyinfra_gvisor.judge.rules import MARK as MARK_OF_RULES

# All are root's alone, and empty after every boot.
MARKS = "/run/pyinfra-gvisor/runtimes"  # links to the chosen runtimes, by container id
PERMITS = "/run/pyinfra-gvisor/permits"  # where containers of ours run, by container id
MOUNTS = "/run/pyinfra-gvisor/mounts"  # what must be mounted when they start, by container id
BUILDS = "/run/pyinfra-gvisor/builds"  # where runsc keeps the state of build steps

# How the name of runc ends while a program of ours has its place, and the program's second line.
ASIDE = ".pyinfra-gvisor"
MARK = "# pyinfra-gvisor has the place of runc."

# For the programs that a wrapper itself runs. runc is looked for as dockerd would.
FIXED_PATH = f"dockers_path=$PATH PATH={PATH}\n"

JUDGE_SOCKET = "/run/pyinfra-gvisor/judge.sock"
"""Where the judge is resident, if it is."""

_PACKAGE = "pyinfra_gvisor.judge"
_ABOUT = """\
# Decides where containers run. Written by pyinfra-gvisor, and never changed: its name has its
# checksum."""

_RESIDENT = {"permitted_run", "plugin", "processes", "resident"}
_FOR_DOCKER = {"api_keys", "docker_request", "door"}


@cache
def judge_program(*, resident: bool = True) -> str:
    """
    Return the program that decides when Docker creates a container: one file of Python.

    + resident: with what only the resident one needs, which answers dockerd, too. Without it the
      program is small enough for an argument: docstrings and comments are left out
    """
    names = (
        name for name in modules_of(_PACKAGE) if resident or name not in _RESIDENT | _FOR_DOCKER
    )
    texts = {name: program(f"judge/{name}.py") for name in names}
    if not resident:
        texts = {name: _without_comments(text) for name, text in texts.items()}
    return python_program(_PACKAGE, texts, _ABOUT, "main()")


def _without_comments(text: str) -> str:
    lines = text.splitlines(keepends=True)
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for item in ast.walk(ast.parse(text)):
        if isinstance(item, kinds) and len(item.body) > 1 and ast.get_docstring(item) is not None:
            at = item.body[0]
            lines[at.lineno - 1 : at.end_lineno] = [""] * ((at.end_lineno or 0) - at.lineno + 1)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
            lines[token.start[0] - 1] = ""
    return "".join(lines)


def judge_checksum() -> str:
    """Return how its file's name ends: the program that answers must be this one."""
    return checksum_in_name(judge_program())


def asking_program() -> str:
    """Return the program that asks the resident judge."""
    return program("dispatch/ask.pl", "dispatch/ask_main.pl")


def seal_text(judge: str) -> str:
    """
    Return the shell code of a runtime with a seal, before the line that starts runsc.

    + judge: path of the judge's program
    """
    return part("dispatch/call", "dispatch/judge", "dispatch/seal", mounts=MOUNTS, **_asking(judge))


def dispatch_text(sandbox: str, judge: str) -> str:
    """
    Return the same shell code of the default runtime.

    + sandbox: path of the wrapper that starts sandboxes
    """
    given = {"marks": MARKS, "sandbox": sandbox, "builds": BUILDS, "aside": ASIDE}
    names = ("dispatch/call", "dispatch/judge", "dispatch/dispatch")
    return FIXED_PATH + part(*names, **given, **_asking(judge))


def _asking(judge: str) -> dict[str, str | int]:
    given: dict[str, str | int] = {"judge": judge, "judge_socket": JUDGE_SOCKET, "limit_s": LIMIT_S}
    return {**given, "asking": asking_program()}


def rules_text(seal: Seal | None, dispatch: Dispatch | None = None) -> str:
    """Return the line after the one that starts runsc: what the judge goes by."""
    rules: dict[str, Any] = {
        "format": FORMAT,
        "policy": None if dispatch is None else dispatch.rules(),
        "seal": None if seal is None else seal.rules(),
    }
    if dispatch is not None and dispatch.door != "off":
        rules |= {"door": dispatch.door, "takes_runc": dispatch.takes_runc}
    return f"{MARK_OF_RULES}{json.dumps(rules, separators=(',', ':'))}\n"


def runc_text(places: str, dispatcher: str, *, retired: bool) -> str:
    """
    Return the program that has the place of runc.

    + places: a file with the paths of runc, in the order in which dockerd finds them
    + dispatcher: path of the default runtime's wrapper
    + retired: nothing new goes into a sandbox
    """
    text = part(
        "dispatch/call",
        "dispatch/runc",
        places=places,
        aside=ASIDE,
        dispatcher=dispatcher,
        retired="yes" if retired else "",
    )
    return f"#!/bin/sh\n{MARK}\n{FIXED_PATH}{text}"

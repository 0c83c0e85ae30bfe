"""Put together the parts of a wrapper that act when Docker creates a container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyinfra_gvisor.base.scripts import PATH, part, program
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.dispatch.seal import Seal

# All are root's alone, and empty after every boot.
MARKS = "/run/pyinfra-gvisor/runtimes"  # links to the chosen runtimes, by container id
PERMITS = "/run/pyinfra-gvisor/permits"  # where containers of ours run, by container id
MOUNTS = "/run/pyinfra-gvisor/mounts"  # what must be mounted when they start, by container id
BUILDS = "/run/pyinfra-gvisor/builds"  # where runsc keeps the state of build steps

# How long the judge may take. A hundred containers that start at once after a boot take turns.
LIMIT_S = 60

# How the name of runc ends while a program of ours has its place, and the program's second line.
ASIDE = ".pyinfra-gvisor"
MARK = "# pyinfra-gvisor has the place of runc."

# For the programs that a wrapper itself runs. runc is looked for as dockerd would.
FIXED_PATH = f"dockers_path=$PATH PATH={PATH}\n"

_JUDGE = (
    "base/json.pl",
    *(
        f"dispatch/{name}.pl"
        for name in ("places", "container", "journal", "seal", "build", "choose", "create")
    ),
)


def judge_program() -> str:
    """Return the perl program that wrappers run when Docker creates a container."""
    return program(*_JUDGE)


def seal_text() -> str:
    """Return the shell code of a runtime with a seal, before the line that starts runsc."""
    return part("dispatch/call", "dispatch/seal", limit_s=LIMIT_S, mounts=MOUNTS)


def seal_given(seal: Seal, judge: str) -> str:
    """
    Return the perl code that comes after that line, and says what the judge refuses.

    + judge: path of the judge's program
    """
    return _given(judge, seal=seal.to_perl())


def dispatch_text(sandbox: str) -> str:
    """
    Return the same shell code of the default runtime.

    + sandbox: path of the wrapper that starts sandboxes
    """
    given = {"marks": MARKS, "sandbox": sandbox, "builds": BUILDS, "aside": ASIDE}
    return FIXED_PATH + part("dispatch/call", "dispatch/dispatch", limit_s=LIMIT_S, **given)


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


def dispatch_given(dispatch: Dispatch, seal: Seal | None, judge: str) -> str:
    """
    Return the same perl code of the default runtime: the policy by which the judge decides.

    + seal: the seal of the runtime of its sandboxes
    """
    known = {} if seal is None else {"seal": seal.to_perl()}
    return _given(judge, policy=dispatch.to_perl(), marks=MARKS, **known)


def _given(judge: str, **values: Any) -> str:
    given = "".join(f"our ${name} = {literal(value)};\n" for name, value in values.items())
    directories = f"our $permits = {literal(PERMITS)};\nour $mounts = {literal(MOUNTS)};\n"
    end = f"{directories}require {literal(judge)};\n"
    return f"#!/usr/bin/perl\n{given}{end}"


def literal(value: Any) -> str:
    """Return a JSON value as an expression of perl: text in single quotes, see perlop(1)."""
    if value is None:
        return "undef"
    if isinstance(value, bool | int | float):
        return str(int(value) if isinstance(value, bool) else value)
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{literal(k)},{literal(v)}" for k, v in value.items()) + "}"
    return "[" + ",".join(map(literal, value)) + "]"

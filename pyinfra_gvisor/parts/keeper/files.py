"""The keeper's files on a node: its program, the files that it compares, the units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyinfra_gvisor.base.node_files import ROOT, NodeFile, unit_text
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts_common.timed import timer_text

DIRECTORY = "/opt/gvisor/keeper"
PROGRAM = f"{DIRECTORY}/check"
TELLS = f"{DIRECTORY}/isolation"
POLICY = f"{DIRECTORY}/policy"
NAME = "pyinfra-gvisor-keeper"
SERVICE = f"/etc/systemd/system/{NAME}.service"
TIMER = f"/etc/systemd/system/{NAME}.timer"
METRICS = "pyinfra_gvisor_keeper.prom"

INTERVAL_S = 60
TIMEOUT_S = 120  # a check takes less than a second, but restarts of units may be slow
CHANGING_MIN = 15  # for so long after a step of a run, other files than declared are no finding


def program_text(names: Sequence[str], scripts: Sequence[str], given: Mapping[str, str]) -> str:
    """
    Return the program.

    + names: what it checks, in order; each has a function ``<name>_wrong``
    + scripts: the shell files with these functions
    + given: the variables of these files
    """
    keeper = {"keeper_unit": NAME, "keeper_policy": POLICY, "changing_min": str(CHANGING_MIN)}
    once = tuple(dict.fromkeys(("parts/keeper/begin", *scripts, "parts/keeper/check")))
    return "#!/bin/sh\n" + script(*once, **keeper, kept=" ".join(names), **given)


def policy_text(files: Mapping[str, Sequence[NodeFile]], textfile: str | None) -> str:
    """
    Return what the program compares: a file a line, with type and mode as ``stat`` prints them.

    + files: the declared files, by what is checked
    + textfile: the path of the metrics file; None writes no metrics
    """
    lines = [f"textfile {textfile}"] if textfile else []
    lines += [
        f"file {name} {0o100000 | int(item.mode, 8):x}:{ROOT} {item.sha256} {item.path}"
        for name, items in files.items()
        for item in items
    ]
    return "".join(f"{line}\n" for line in lines)


def service_text() -> str:
    """Return the unit that checks once, and fails if anything is not in force."""
    return unit_text(
        "[Unit]",
        "Description=Check that what pyinfra-gvisor has applied is in force, and restore it",
        "StartLimitIntervalSec=0",
        "[Service]",
        "Type=oneshot",
        f"ExecStart=/bin/sh {PROGRAM}",
        f"SyslogIdentifier={NAME}",
        "SyslogLevel=notice",  # of lines without a level of their own, such as errors of the shell
        "LogLevelMax=notice",  # without systemd's lines about each start
        f"TimeoutStartSec={TIMEOUT_S}",
        "UMask=0022",
    )


def keeper_files(program: str, tells: str, policy: str) -> tuple[NodeFile, ...]:
    """Return all files of the keeper: its program, the one that prints what it found, and so on."""
    timer = timer_text(INTERVAL_S, "that what pyinfra-gvisor has applied is in force")
    return (
        NodeFile(PROGRAM, "755", program),
        NodeFile(TELLS, "755", tells),
        NodeFile(POLICY, "644", policy),
        NodeFile(SERVICE, "644", service_text()),
        NodeFile(TIMER, "644", timer),
    )

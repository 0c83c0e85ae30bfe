"""Run a command of docker with a permit of one use."""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.docker_files import Undecided, read_object
from pyinfra_gvisor.judge.permits import HEADER, open_permit
from pyinfra_gvisor.judge.rules import in_force

VALID_S = 3600
SHORTEST_REASON = 10  # characters, as for entries of gvisor_infrastructure
_FAILED = 1
_NOTHING = 'this node refuses no requests: an exception needs gvisor_door = "refuse"'


def permitted_run(words: Sequence[str]) -> int:
    """
    Run ``--reason TEXT -- docker …`` and return its code.

    One request of it may do what is refused otherwise. A container that this request makes may be
    started for an hour.
    """
    given = _parsed(words)
    paths = NodePaths()
    try:
        rules, _ = in_force(paths.daemon_json)
        if rules.policy is not None and rules.door == "refuse":
            return _run(given.command, given.reason, paths.run)
        error: Exception = Undecided(_NOTHING)
    except (Undecided, OSError, TypeError, subprocess.SubprocessError) as found:
        error = found
    sys.stderr.write(f"pyinfra-gvisor: {error}\n")
    return _FAILED


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("permit", allow_abbrev=False)
    parser.add_argument("--reason", required=True)
    parser.add_argument("command", nargs="+", metavar="docker …")
    given = parser.parse_args(words)
    if len(given.reason.strip()) < SHORTEST_REASON:
        parser.error(f"--reason: write {SHORTEST_REASON} characters or more")
    if not given.reason.isprintable():
        parser.error("--reason: write one line")
    program, *more = given.command
    if Path(program).name != "docker" or not more or more[0].startswith("-"):
        shown = " ".join(given.command[:2])
        parser.error(f"got {shown}; write the command after --, such as docker run")
    return given


def _run(command: Sequence[str], reason: str, run: str) -> int:
    secret = secrets.token_hex(32)
    words = takewhile(lambda word: re.fullmatch("[a-z]+", word), command)
    shown = " ".join(words)  # no options and no image: they may have secrets
    by = os.environ.get("SUDO_USER") or "root"
    about = {"reason": reason, "by": by, "command": shown}
    with tempfile.TemporaryDirectory(prefix="docker-", dir=run) as client:
        _configure(Path(client), secret)
        _log(f"exception for {by}: {reason}: {shown}")
        permit = open_permit(secret, about, VALID_S, run)
        try:
            code = _ended(command, {**_on_this_node(), "DOCKER_CONFIG": client})
        finally:
            is_open = permit.exists()
            permit.unlink(missing_ok=True)
    if is_open:
        sys.stderr.write("pyinfra-gvisor: no request used the exception\n")
    return code if code >= 0 else 128 - code


def _on_this_node() -> dict[str, str]:
    """Return the environment without what leads docker elsewhere, or replaces its headers."""
    others = {"DOCKER_CONTEXT", "DOCKER_CUSTOM_HEADERS"}
    if not os.environ.get("DOCKER_HOST", "").startswith("unix://"):
        others.add("DOCKER_HOST")
    return {name: value for name, value in os.environ.items() if name not in others}


def _ended(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return the code of a command, which gets the signals that would end this program."""
    running: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _frame: object) -> None:
        for process in running:
            process.send_signal(number)
        if not running:
            early.append(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    for number in (signal.SIGINT, signal.SIGQUIT):  # a terminal sends them to the command, too
        signal.signal(number, lambda *_: None)
    with subprocess.Popen(command, env=environment) as process:
        running.append(process)
        for received in early:
            process.send_signal(received)
        return process.wait()


def _configure(client: Path, secret: str) -> None:
    """
    Make settings of docker that send the secret to this node.

    They are otherwise those of the user. Raises ``Undecided`` if these cannot be read.
    """
    usual = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    settings: dict[str, Any] = {}
    for path in usual.iterdir() if usual.is_dir() else ():
        if path.name == "config.json":
            settings = read_object(str(path))
        else:
            (client / path.name).symlink_to(path.absolute())
    settings.pop("currentContext", None)
    headers = {**(settings.get("HttpHeaders") or {}), HEADER: secret}
    file = client / "config.json"
    file.touch(0o600)
    file.write_text(json.dumps({**settings, "HttpHeaders": headers}), encoding="utf-8")


def _log(text: str) -> None:
    subprocess.run(["logger", "-t", "pyinfra-gvisor", "--", text], check=True)

"""Run a command of docker with a permit of one use."""

from __future__ import annotations

import argparse
import json
import os
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
_NOTHING = 'nothing is refused here: a permit needs gvisor_door = "refuse"'


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
    except (Undecided, OSError, ValueError) as found:
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
    if Path(given.command[0]).name != "docker":
        parser.error(f"got {given.command[0]}; write the command after --, such as docker run")
    return given


def _run(command: Sequence[str], reason: str, run: str) -> int:
    secret = secrets.token_hex(32)
    # Without options: they may have secrets.
    shown = " ".join(takewhile(lambda word: not word.startswith("-"), command))
    by = os.environ.get("SUDO_USER") or "root"
    _log(f"permit for {by}: {reason}: {shown}")
    with tempfile.TemporaryDirectory(prefix="permit-", dir=run) as client:
        _configure(Path(client), secret)
        permit = open_permit(secret, {"reason": reason, "by": by, "command": shown}, VALID_S, run)
        try:
            code = _ended(command, {**_on_this_node(), "DOCKER_CONFIG": client})
        finally:
            is_open = permit.exists()
            permit.unlink(missing_ok=True)
    if is_open:
        sys.stderr.write("pyinfra-gvisor: nothing of it was refused: the permit was not used\n")
    return code if code >= 0 else 128 - code


def _on_this_node() -> dict[str, str]:
    """Return the environment without another node to which docker would send the secret."""
    others = {"DOCKER_CONTEXT"}
    if not os.environ.get("DOCKER_HOST", "").startswith("unix://"):
        others.add("DOCKER_HOST")
    return {name: value for name, value in os.environ.items() if name not in others}


def _ended(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return the code of a command, which gets the signals that would end this program."""
    with subprocess.Popen(command, env=environment) as process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the command, too
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda given, _: process.send_signal(given))
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
    subprocess.run(["logger", "-t", "pyinfra-gvisor", "--", text], check=False)

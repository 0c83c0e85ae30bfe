"""
A fleet's own known_hosts: the host keys that this user knows, with the names in plain.

A hashed name (``HashKnownHosts`` of ssh_config(5), usual on Debian and Ubuntu) can only be found
by a hash of each line: for 400 hosts that is a third of a run.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

HASHED: Final = "|1|"  # of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"

TOP: Final = """\
# The nodes' host keys: ssh_known_hosts_file in group_data/all.py. Keep it with the inventory.
# If a node has a new key, check it, then: ssh-keygen -R NAME -f known_hosts
"""
_NAME = re.compile(r"[\w.:%-]+|\[[\w.:%-]+\]:[0-9]+")
_LINE = re.compile(r"^# Host .* found: line ([0-9]+)")
_KEY = re.compile(r"(?:(?P<marker>@\S+) )?\S+ (?P<kind>\S+) (?P<data>\S+).*")
_TIMEOUT_S = 10


class HostKeys(NamedTuple):
    """
    What is known of hosts.

    + text: of the file
    + unknown: hosts of which this user knows no key
    """

    text: str
    unknown: tuple[str, ...]


def host_keys(hosts: Sequence[tuple[str, Mapping[str, object]]]) -> HostKeys:
    """
    Return what ssh's own files say of hosts.

    + hosts: each with its data, of which ``ssh_hostname`` and ``ssh_port`` are read
    """
    text, unknown = TOP, []
    for name, data in hosts:
        lines = [*_known(str(data.get("ssh_hostname", name)), data.get("ssh_port"))]
        text += "".join(lines)
        if not lines:
            unknown.append(name)
    return HostKeys(text, tuple(unknown))


def hashed_lines(path: Path) -> int:
    """Return how many lines of a known_hosts file have a hashed name; 0 if it cannot be read."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return 0
    return sum(line.startswith(HASHED) for line in lines)


def _known(address: str, port: object) -> Iterator[str]:
    """Yield each key of a host once, after a comment that says where it is from."""
    config = _config(address, port)
    if config is None:
        return
    host, number = config["hostname"], config["port"]
    name = host if number == "22" else f"[{host}]:{number}"
    if not _NAME.fullmatch(name):
        return
    files = f"{config.get('userknownhostsfile', '')} {config.get('globalknownhostsfile', '')}"
    found = [(file, *line) for file in files.split() for line in _found(name, Path(file))]
    seen = {key for _, _, marker, key in found if marker == "@revoked"}
    for file, number, marker, key in found:
        if not marker and key not in seen:
            seen.add(key)
            yield f"# from {file}:{number}\n{name} {key}\n"


def _config(address: str, port: object) -> Mapping[str, str] | None:
    """Return how ssh would connect; None if it cannot be asked."""
    given = () if port is None else ("-p", str(port))
    said = _said("ssh", "-G", *given, "--", address)
    pairs = (line.partition(" ") for line in said.splitlines())
    config = {key: value for key, _, value in pairs}
    return config if {"hostname", "port"} <= {*config} else None


def _found(name: str, path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield of each line for a host its number, its marker, and the key with its kind."""
    number = ""
    for line in _said("ssh-keygen", "-F", name, "-f", str(path)).splitlines():
        if said := _LINE.search(line):
            number = said[1]
        elif key := _KEY.fullmatch(line):
            yield number, key["marker"] or "", f"{key['kind']} {key['data']}"


def _said(*command: str) -> str:
    try:
        ran = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout

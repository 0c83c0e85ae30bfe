"""The list of changes on a node: who made each of them, from where, with which settings."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import socket
from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import ValidationError

from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.redaction import shown

DIGEST_CHARACTERS = 12


class Change(Reading):
    """
    One change of a node: when, what, and who.

    + at: time in UTC
    + controller: host name of the machine that ran pyinfra
    + user: the user there
    + package: the version of this package
    + settings: ``settings_digest`` of the host's settings
    """

    at: str
    what: str
    controller: str = ""
    user: str = ""
    package: str = ""
    settings: str = ""

    @property
    def line(self) -> str:
        """Return the change as a line for people."""
        who = f"{self.user}@{self.controller}, pyinfra-gvisor {self.package}"
        return cut(f"{_minutes(self.at)} by {who}, settings {self.settings}: {self.what}", 240)


def _minutes(at: str) -> str:
    try:
        return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return at


def parse_changes(lines: Iterable[str]) -> tuple[Change, ...]:
    """Return the changes in lines of JSON, oldest first. A damaged line is left out."""
    found = []
    for line in lines:
        try:
            found.append(Change.model_validate_json(line))
        except ValidationError:
            continue
    return tuple(found)


def package_version() -> str:
    """Return the version of this package."""
    try:
        return version("pyinfra-gvisor")
    except PackageNotFoundError:
        return "from a checkout"


def author(settings: str) -> dict[str, str]:
    """
    Return who runs pyinfra on this machine.

    + settings: ``settings_digest`` of the host's settings
    """
    user = _user()
    if sudo := os.environ.get("SUDO_USER"):
        user = f"{user} (sudo by {sudo})"
    return {
        "controller": socket.gethostname(),
        "user": user,
        "package": package_version(),
        "settings": settings,
    }


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def members(given: dict[str, str]) -> str:
    """Return a dict as the inside of a JSON object, in ASCII, for a variable of a script."""
    return json.dumps(given)[1:-1]


def settings_digest(settings: dict[str, Any]) -> str:
    """
    Return a short digest of settings: equal settings have equal digests.

    Secrets do not enter: nobody can guess one from the digest.
    """
    text = json.dumps(shown(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]

"""
How a program that runs on nodes is put together from several scripts.

The first lines of a script name the variables that must be set, and the scripts that it needs
before it ("Comes after …") or that need it ("Comes before …") in the same program.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import shlex
from importlib.resources import files

SOCKET = "/var/run/docker.sock"
"""The one socket on which Docker is asked: by facts, changes, proof, watch, audit, and Coolify."""

DOCKER_ANSWERS = ("base/json.pl", "base/docker_api.pl", "base/docker_answers.pl")
"""What a program of perl begins with that prints parts of Docker's answers."""

# Containers may have written into /usr/local, by way of a volume there, so it cannot replace
# what the system has. It is not left out: runc and Docker's static programs may be there only.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"

# What may send Docker's client elsewhere. DOCKER_HOST goes before any context, and nobody can make
# a configuration below /proc: docker/cli, cli/command/cli.go, resolveContextName().
_NO_CONFIG = "/proc/no-docker-config"
_UNSET = (
    *("DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"),
    *("DOCKER_API_VERSION", "DOCKER_CUSTOM_HEADERS", "DOCKER_DEFAULT_PLATFORM"),
    "DOCKER_CONTENT_TRUST",
)
ENVIRONMENT = (
    f"PATH={PATH}\n"
    f"docker_socket={SOCKET}\n"
    "DOCKER_HOST=unix://$docker_socket\n"
    f"DOCKER_CONFIG={_NO_CONFIG}\n"
    "LC_ALL=C\n"  # a locale that is not installed: perl warns at every start, into its answers
    "export PATH DOCKER_HOST DOCKER_CONFIG LC_ALL\n"
    f"unset {' '.join(_UNSET)}\n"
)
"""The first lines of a shell program of ours, which root's own environment cannot change."""


def script(*names: str, **variables: str | int) -> str:
    """Return a whole shell program: ``ENVIRONMENT``, then what ``part`` returns."""
    return ENVIRONMENT + part(*names, **variables)


def part(*names: str, **variables: str | int) -> str:
    """
    Return a part of one: assignments of ``variables``, then the scripts ``names`` in this order.

    + names: files without ``.sh``, relative to the package, such as ``parts/egress/state``
    + variables: shell variables; their values are quoted
    """
    assignments = "".join(f"{key}={shlex.quote(str(value))}\n" for key, value in variables.items())
    return assignments + program(*(f"{name}.sh" for name in names))


def program(*paths: str) -> str:
    """
    Return the text of a program: the files ``paths``, concatenated in this order.

    + paths: relative to this package, such as ``parts/watch/watch.pl``
    """
    package = files("pyinfra_gvisor")
    return "".join(package.joinpath(path).read_text(encoding="utf-8") for path in paths)


def checksum_in_name(text: str) -> str:
    """Return what the name of a program ends with, so that another text has another name."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def packed(text: str) -> str:
    """
    Return ``text`` compressed with gzip, in base64, for an argument of a script.

    All arguments of a command of pyinfra's are one argument of a shell: 128 KiB at most, execve(2).
    """
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def encoded(text: str | None) -> str:
    """Return ``text`` in base64, for a variable of a script; ``-`` for None."""
    return "-" if text is None else base64.b64encode(text.encode()).decode()

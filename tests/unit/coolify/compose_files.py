"""Compose files for tests: what they were before, and with our lines in them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pyinfra_gvisor.coolify.compose_file import MARK

ENTRY = "/own/entry.sh:/etc/entrypoint.d/50-own.sh:ro"
PATCH = "/own/patch.php:/opt/own/patch.php:ro"
MOUNTS = (ENTRY, PATCH)

WHOLE = f"""\
services:  {MARK}
  coolify:  {MARK}
    volumes:  {MARK}
      - {ENTRY}  {MARK}
      - {PATCH}  {MARK}
"""


def case(name: str, *lines: str) -> Any:
    """
    A file and what becomes of it; lines that begin with ``+`` are those that come in, the mounts
    by their names ENTRY and PATCH.
    """
    before = "".join(f"{line}\n" for line in lines if not line.startswith("+"))
    after = "".join(f"{ours(line) if line.startswith('+') else line}\n" for line in lines)
    return pytest.param(before, after, id=name)


def ours(line: str) -> str:
    """A line of a case as we write it."""
    return f"{line[1:].replace('ENTRY', ENTRY).replace('PATCH', PATCH)}  {MARK}"


def read(text: str) -> Any:
    """What any YAML reader makes of it: types do not matter, aliases are followed."""
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 (it makes nothing but texts)


def with_mounts(text: str, mounts: tuple[str, ...] = MOUNTS) -> Any:
    """What is to be read from the file when it has the mounts."""
    data = read(text) or {}
    services = data["services"] = data.get("services") or {}
    coolify = services["coolify"] = services.get("coolify") or {}
    coolify["volumes"] = [*mounts, *(coolify.get("volumes") or [])]
    return data

"""Compose files for tests: what they were before, and with our lines in them."""

from typing import Any

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

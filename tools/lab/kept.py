"""Detect damage in directories that the lab built: each has a record of its files' checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = "part.json"


def write_record(home: Path, about: Mapping[str, Any]) -> None:
    """Write a record of ``about`` and the sha256 of every file below ``home``."""
    files = {
        str(path.relative_to(home)): sha256(path)
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }
    text = json.dumps({**about, "files": files}, indent=1)
    (home / RECORD).write_text(text, encoding="utf-8")


def damage_of(home: Path) -> str | None:
    """Return what is wrong with a directory, or None if every file has its recorded checksum."""
    try:
        sums: dict[str, str] = json.loads((home / RECORD).read_text(encoding="utf-8"))["files"]
        for name, expected in sums.items():
            if (found := sha256(home / name)) != expected:
                return f"sha256 of {name} is {found[:12]}…, expected {expected[:12]}…"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        return f"{RECORD} cannot be read: {error}"
    return None


def sha256(path: Path) -> str:
    """Return a file's checksum in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

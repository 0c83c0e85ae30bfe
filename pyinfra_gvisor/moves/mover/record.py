"""Which app is where: one file on the node, by which a killed move is ended later."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

BEGUN = "begun"
MOVED = "moved"
BACK = "back"
LEFT = "left"
_MOST = 1000


class Record:
    """
    The moves of this node, by the id of the old container.

    + path: of the file. Only ids, names and times are in it

    Raises ``ValueError`` if the file is damaged.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self.moves: dict[str, dict[str, Any]] = {}
        with suppress(FileNotFoundError):
            self.moves = json.loads(self._path.read_text(encoding="utf-8"))["moves"]

    def note(self, identity: str, **keys: Any) -> None:
        """Note what is known of a move, on the disk, before what comes next is done."""
        known = self.moves.pop(identity, {})
        self.moves[identity] = {**known, **keys, "at": int(time.time())}
        unfinished = [key for key, item in self.moves.items() if item["where"] == BEGUN]
        for key in [key for key in self.moves if key not in unfinished][:-_MOST]:
            del self.moves[key]
        self._write()

    def unfinished(self) -> dict[str, dict[str, Any]]:
        """Return the moves that were begun and not ended."""
        return {key: item for key, item in self.moves.items() if item["where"] == BEGUN}

    def _write(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_name(f"{self._path.name}.new")
        new.touch(0o600)
        with new.open("w", encoding="utf-8") as file:
            json.dump({"format": 1, "moves": self.moves}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

"""What a host's report is called, whatever pyinfra calls the host."""

from __future__ import annotations

import hashlib
import string

# No upper case: a controller's file system may not tell it from lower case.
_PLAIN = frozenset((string.ascii_lowercase + string.digits + "._-").encode())
_NAME_LIMIT_BYTES = 180  # a file's name has at most 255, and some are needed beside this


def host_path(host: str) -> str:
    """Where a host's report is, below the directory; no two hosts have the same."""
    return f"hosts/{file_name(host)}.json"


def file_name(host: str) -> str:
    """
    ``host`` as a file's name: ``%`` and two digits for what is no lower case letter, digit, ``.``,
    ``_`` or ``-``, and for a dot in front. A very long one ends in ``~`` and its sha256.
    """
    coded = host.encode()
    plain = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in coded)
    if plain.startswith("."):
        plain = "%2E" + plain[1:]
    if len(plain) > _NAME_LIMIT_BYTES:
        plain = f"{plain[:100]}~{hashlib.sha256(coded).hexdigest()}"
    return plain

"""File names of hosts' reports, safe for every name that pyinfra may give a host."""

from __future__ import annotations

import hashlib
import string

HOSTS_DIR = "hosts"  # below gvisor_report_dir
# No upper case: some file systems do not distinguish it from lower case.
_PLAIN = frozenset((string.ascii_lowercase + string.digits + "._-").encode())
_NAME_LIMIT_BYTES = 180  # file names have at most 255 bytes; suffixes need some of them


def host_path(host: str) -> str:
    """Return the path of a host's report below the directory, unique for each host."""
    return f"{HOSTS_DIR}/{file_name(host)}.json"


def file_name(host: str) -> str:
    """
    Return ``host`` as a file name.

    Lower case letters, digits, ``.``, ``_`` and ``-`` stay. Other bytes and a leading dot become
    ``%`` and two hexadecimal digits. A very long name is cut and ends with ``~`` and its sha256.
    """
    coded = host.encode()
    plain = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in coded)
    if plain.startswith("."):
        plain = "%2E" + plain[1:]
    if len(plain) > _NAME_LIMIT_BYTES:
        plain = f"{plain[:100]}~{hashlib.sha256(coded).hexdigest()}"
    return plain

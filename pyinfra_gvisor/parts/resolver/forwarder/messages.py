"""As much of DNS messages as a forwarder has to know: RFC 1035, section 4."""

from __future__ import annotations

import ipaddress
import struct

HEADER_BYTES = 12
MOST_BYTES = 65535
MOST_QUERY_BYTES = 1232  # one has a name of 255 bytes at most, and padding: RFC 8467, 4.1

NOERROR, SERVFAIL, REFUSED = 0, 2, 5

_ANSWER, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0100, 0x0080
_OPCODE = 0x7800
_A, _PTR = 1, 12
_POINTER = 0xC0


def is_query(message: bytes) -> bool:
    """Whether this is a question, not a change, that can be matched with its answer."""
    if not HEADER_BYTES < len(message) <= MOST_QUERY_BYTES:
        return False
    _, flags, questions = struct.unpack_from(">3H", message)
    return not flags & (_ANSWER | _OPCODE) and questions == 1 and question(message) is not None


def is_answer_to(query: bytes, message: bytes) -> bool:
    """Whether this answers that question; the letters' case is the asker's to check."""
    if len(message) < HEADER_BYTES or message[:2] != query[:2]:
        return False
    _, flags, questions = struct.unpack_from(">3H", message)
    if not flags & _ANSWER:
        return False
    if questions == 0:  # some leave it out when they refuse
        return code(message) != NOERROR
    asked, given = question(query), question(message)
    return asked is not None and given is not None and asked.lower() == given.lower()


def identity(message: bytes) -> int:
    """The number by which who asked knows the answer."""
    return int.from_bytes(message[:2], "big")


def with_identity(message: bytes, number: int) -> bytes:
    """The same message by another number."""
    return number.to_bytes(2, "big") + message[2:]


def code(message: bytes) -> int:
    """What came of it, such as ``SERVFAIL``; the extended ones of EDNS aside."""
    return message[3] & 0x0F


def is_failure(message: bytes) -> bool:
    """Whether this says that another one might know."""
    return code(message) in (SERVFAIL, REFUSED)


def has_records(message: bytes) -> bool:
    """Whether this answer tells more than that there is nothing."""
    return any(message[6:8])


def question(message: bytes) -> bytes | None:
    """The first question as it stands there: name, type and class; None if it is not whole."""
    end = HEADER_BYTES
    while end < len(message) and message[end]:
        if message[end] & _POINTER:  # nothing stands before it that it could point at
            return None
        end += 1 + message[end]
    end += 5
    return message[HEADER_BYTES:end] if end <= len(message) else None


def question_for(name: str, kind: int = _A) -> bytes:
    """The question what there is of a name."""
    parts = name.split(".")
    labels = b"".join(len(part).to_bytes(1, "big") + part.encode() for part in parts)
    head = struct.pack(">6H", 0, _RECURSION_DESIRED, 1, 0, 0, 0)
    return head + labels + struct.pack(">B2H", 0, kind, 1)


def reverse(address: str) -> bytes:
    """The question whose address this is."""
    return question_for(ipaddress.ip_address(address).reverse_pointer, _PTR)


def failure(query: bytes, rcode: int) -> bytes:
    """The answer that there is none."""
    kept = int.from_bytes(query[2:4], "big") & (_OPCODE | _RECURSION_DESIRED)
    asked = question(query)
    header = struct.pack(
        ">6H",
        identity(query),
        _ANSWER | kept | _RECURSION_AVAILABLE | rcode,
        0 if asked is None else 1,
        0,
        0,
        0,
    )
    return header + (asked or b"")

"""The parts of DNS messages that a forwarder needs: RFC 1035, section 4."""

from __future__ import annotations

import ipaddress
import struct

HEADER_BYTES = 12
MOST_BYTES = 65535
MOST_QUERY_BYTES = 1232  # a name of at most 255 bytes, and padding: RFC 8467, 4.1

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

_ANSWER, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0100, 0x0080
_OPCODE = 0x7800
_A, _PTR = 1, 12
_POINTER = 0xC0


def is_query(message: bytes) -> bool:
    """Return True if the message is a query with one question."""
    if not HEADER_BYTES < len(message) <= MOST_QUERY_BYTES:
        return False
    _, flags, questions = struct.unpack_from(">3H", message)
    return not flags & (_ANSWER | _OPCODE) and questions == 1 and question(message) is not None


def is_answer_to(query: bytes, message: bytes) -> bool:
    """Return True if the message answers the query. Upper and lower case are not compared."""
    if len(message) < HEADER_BYTES or message[:2] != query[:2]:
        return False
    _, flags, questions = struct.unpack_from(">3H", message)
    if not flags & _ANSWER:
        return False
    if questions == 0:  # Some resolvers leave the question out of an error.
        return code(message) != NOERROR
    asked, given = question(query), question(message)
    return asked is not None and given is not None and asked.lower() == given.lower()


def identity(message: bytes) -> int:
    """Return the message id, by which a client matches the answer."""
    return int.from_bytes(message[:2], "big")


def with_identity(message: bytes, number: int) -> bytes:
    """Return the message with another message id."""
    return number.to_bytes(2, "big") + message[2:]


def code(message: bytes) -> int:
    """Return the response code, such as ``SERVFAIL``, without the extension of EDNS."""
    return message[3] & 0x0F


def is_failure(message: bytes) -> bool:
    """Return True for SERVFAIL and REFUSED: another resolver may know the name."""
    return code(message) in (SERVFAIL, REFUSED)


def is_without_name(message: bytes) -> bool:
    """Return True if the answer says that there is no such name, or that this is not known."""
    return code(message) == NXDOMAIN or is_failure(message)


def has_records(message: bytes) -> bool:
    """Return True if the answer contains at least one record."""
    return any(message[6:8])


def question(message: bytes) -> bytes | None:
    """Return the bytes of the first question: name, type, class; None if it is incomplete."""
    end = HEADER_BYTES
    while end < len(message) and message[end]:
        if message[end] & _POINTER:  # A pointer in the first name has nothing to point at.
            return None
        end += 1 + message[end]
    end += 5
    return message[HEADER_BYTES:end] if end <= len(message) else None


def question_for(name: str, kind: int = _A) -> bytes:
    """Return a query for a name's records of a type."""
    parts = name.split(".")
    labels = b"".join(len(part).to_bytes(1, "big") + part.encode() for part in parts)
    head = struct.pack(">6H", 0, _RECURSION_DESIRED, 1, 0, 0, 0)
    return head + labels + struct.pack(">B2H", 0, kind, 1)


def reverse(address: str) -> bytes:
    """Return a query for the name of an address."""
    return question_for(ipaddress.ip_address(address).reverse_pointer, _PTR)


def failure(query: bytes, rcode: int) -> bytes:
    """Return the answer to a query with an error code such as ``SERVFAIL``."""
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

"""The smallest program that says something, so that a test has a runsc that a kernel starts."""

import platform
import struct

_BASE = 0x400000
_HEADERS = 64 + 56  # an ELF header and one program header


def program(text: str, machine: str = platform.machine()) -> bytes:
    """An ELF program for ``machine`` that prints ``text`` and ends."""
    message = text.encode()
    code = {"x86_64": _x86_64, "aarch64": _aarch64}[machine](message)
    body = code + message
    number = {"x86_64": 62, "aarch64": 183}[machine]  # e_machine, from elf.h
    size = _HEADERS + len(body)
    entry = _BASE + _HEADERS
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        *(2, number, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return header + segment + body


def _x86_64(message: bytes) -> bytes:
    """``write(1, message, length); exit(0)``, with the message right behind."""
    length = struct.pack("<I", len(message))
    end = b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05"
    write = b"\xba" + length + b"\xb8\x01\x00\x00\x00\x0f\x05"
    behind = struct.pack("<i", len(write) + len(end))
    return b"\xbf\x01\x00\x00\x00" + b"\x48\x8d\x35" + behind + write + end


def _aarch64(message: bytes) -> bytes:
    """The same in instructions of four bytes."""
    move = 0xD2800000  # movz xN, #value
    adr = 0x10000001 | (7 * 4 >> 2) << 5  # adr x1, 28 bytes on
    words = (
        move | 1 << 5,
        adr,
        move | len(message) << 5 | 2,
        move | 64 << 5 | 8,
        0xD4000001,
        move,
        move | 93 << 5 | 8,
        0xD4000001,
    )
    return struct.pack(f"<{len(words)}I", *words)

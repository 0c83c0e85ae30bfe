"""Open sockets in the network namespaces of containers, from a process outside of them."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

CLONE_NEWNET = 0x40000000  # linux/sched.h
SIOCGIFNAME, SIOCGIFHWADDR = 0x8910, 0x8927  # linux/sockios.h

Result = TypeVar("Result")


class Gone(Exception):
    """The namespace no longer exists, or the container has left the network."""


@dataclass(frozen=True)
class Interface:
    """A network interface of a container. It is removed before its address can be given again."""

    index: int
    mac: str


@dataclass(frozen=True)
class Namespace:
    """A network namespace by device and inode, because another one may get its path later."""

    path: str
    device: int
    inode: int
    interfaces: tuple[Interface, ...]

    def opened(self, kind: socket.SocketKind) -> socket.socket:
        """Open a socket that stays in this namespace. Raises ``Gone`` or ``OSError``."""
        flags = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        return inside(self, lambda: socket.socket(socket.AF_INET, kind | flags))

    def is_there(self) -> bool:
        """Return True if the path still leads to this namespace."""
        try:
            found = Path(self.path).stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.inode)

    def has(self, mac: str, opened: socket.socket) -> bool:
        """Return True if the interface still exists. ``opened``: a socket inside the namespace."""
        found = next((item for item in self.interfaces if item.mac == mac), None)
        return found is not None and _mac(opened, _name(opened, found.index)) == mac


def look(path: str) -> Namespace:
    """Read the namespace at a path. Raises ``Gone``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Gone(path) from error
    try:
        found = os.fstat(descriptor)
        interfaces = _inside(descriptor, _interfaces)
    finally:
        os.close(descriptor)
    return Namespace(path, found.st_dev, found.st_ino, interfaces)


def inside(namespace: Namespace, job: Callable[[], Result]) -> Result:
    """Run a job in a namespace and return its result. Raises ``Gone``, and what the job raises."""
    try:
        descriptor = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Gone(namespace.path) from error
    try:
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) != (namespace.device, namespace.inode):
            raise Gone(namespace.path)
        return _inside(descriptor, job)
    finally:
        os.close(descriptor)


def _inside(descriptor: int, job: Callable[[], Result]) -> Result:
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            _enter(descriptor)
        except OSError as error:
            raise Gone(str(error)) from error
        try:
            return job()
        finally:
            _return(own)
    finally:
        os.close(own)


def _enter(descriptor: int) -> None:
    if sys.version_info >= (3, 12):
        os.setns(descriptor, CLONE_NEWNET)
        return
    import ctypes  # noqa: PLC0415  # python3-minimal lacks it, and 3.12 does not need it

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _return(own: int) -> None:
    try:
        _enter(own)
    except OSError:
        os._exit(70)  # Never go on in a container's namespace; systemd restarts the program.


def _interfaces() -> tuple[Interface, ...]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        known = ((index, _mac(asking, name)) for index, name in socket.if_nameindex())
        return tuple(Interface(index, mac) for index, mac in known if mac)


def _name(asking: socket.socket, index: int) -> str:
    """Return the name of an interface in the socket's namespace; empty if there is none."""
    request = struct.pack("16si20x", b"", index)
    try:
        said = fcntl.ioctl(asking, SIOCGIFNAME, request)
    except OSError:
        return ""
    return said[:16].rstrip(b"\0").decode()


def _mac(asking: socket.socket, name: str) -> str:
    """Return an interface's hardware address in the socket's namespace; empty if it has none."""
    if not name:
        return ""
    try:
        said = fcntl.ioctl(asking, SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))
    except OSError:
        return ""
    return said[18:24].hex(":")

"""Undo everything: daemon.json to the byte, releases, records."""

from pyinfra_gvisor import remove

remove()

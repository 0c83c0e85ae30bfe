"""List what the firewall of each node blocked, or would block."""

from pyinfra_gvisor import list_attempts

list_attempts()

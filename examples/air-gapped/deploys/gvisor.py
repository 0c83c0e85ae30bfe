"""Bring each node to what is declared, and prove the isolation."""

from pyinfra_gvisor import run_node

run_node()

"""Recreate containers in gVisor, one at a time, each with a way back."""

from pyinfra_gvisor import move_containers

move_containers()

"""Decide whether a container runs in gVisor, and read what that depends on."""

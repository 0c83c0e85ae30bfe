"""Recreate running containers so that they run in gVisor, one at a time, with a way back."""

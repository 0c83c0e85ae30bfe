"""Runtimes as an operator declares them, and the wrapper scripts that daemon.json names."""

"""Runtimes as an operator asks for them, and the wrapper scripts that daemon.json points at."""

"""The command ``pyinfra-gvisor``: begin a fleet, and run pyinfra with the fleet's own files."""

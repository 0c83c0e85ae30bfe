"""What only a clone of the source needs: see ``python -m tools --help``."""

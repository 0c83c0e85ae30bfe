"""Facts: they read the state of a node."""

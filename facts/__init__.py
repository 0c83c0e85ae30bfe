"""Facts: what a node is."""

"""What a part of a node is made of: its state, its plan, its timer, its tables."""

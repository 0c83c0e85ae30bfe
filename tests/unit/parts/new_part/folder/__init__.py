"""A sentence of the operator's, in a file on the node."""

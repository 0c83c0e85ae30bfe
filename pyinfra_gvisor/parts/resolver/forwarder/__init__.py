"""
The program on a node that answers names for sandboxes with a network stack of their own.

Runs on the node's Python, 3.10 or later, by the standard library alone, and imports nothing from
outside of this package.
"""

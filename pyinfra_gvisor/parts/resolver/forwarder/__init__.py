"""
The resolver's program on a node: answers DNS queries of sandboxes with gVisor's network stack.

It runs on the node's Python, 3.10 or later, uses only the standard library, and imports nothing
from outside this package.
"""

"""What a sandbox costs on a node: the same work under runc and under each declared runtime."""

"""Whether a container is in a sandbox, and what is looked at to know it."""

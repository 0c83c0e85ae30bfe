"""This machine, as a run node: for a new server's own cloud-init."""

run = ["@local"]

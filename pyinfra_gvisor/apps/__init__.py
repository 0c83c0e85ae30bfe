"""What will be different for a container under gVisor: rules, and the one look at a node."""

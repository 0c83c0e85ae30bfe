"""Docker's names for sandboxes with gVisor's own network stack."""

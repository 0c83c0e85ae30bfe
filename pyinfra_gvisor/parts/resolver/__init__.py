"""The resolver: Docker's DNS for sandboxes with gVisor's own network stack."""

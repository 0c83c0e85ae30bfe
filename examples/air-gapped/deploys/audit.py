"""Check whether every container that must run in gVisor does."""

from pyinfra_gvisor import audit_node

audit_node()

"""The kernel: modules that no run node needs are blocked, and sysctls are set."""

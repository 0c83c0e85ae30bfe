"""Settings of the nodes in the list `build`."""

gvisor_runtimes = {}  # builds do not run in gVisor

"""Settings of the nodes in the list `build`."""

gvisor_runtimes = {}  # builds run in no sandbox

"""
Data of nodes that build images and run no apps: no gVisor; dockerd is hardened as on run nodes.

Builds run directly on the host kernel: BuildKit runs each RUN step of a Dockerfile with runc,
whatever the default runtime is. On a node with apps, a hole in that kernel would give one
untrusted Dockerfile all containers and their data. On a build node it reaches other builds, their
secrets and the registry's password: nothing else should trust these.
"""

gvisor_runtimes = {}

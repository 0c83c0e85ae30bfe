"""
For nodes that build images and run nobody's app: no gVisor, and dockerd hardened as on run nodes.

A build is in no sandbox: BuildKit runs each RUN step of a Dockerfile with runc, on the node's own
kernel, whatever the default runtime is. Built beside apps, one stranger's Dockerfile would be a
hole in that kernel away from everybody's containers and their data. Here it meets other builds,
what they are given and the registry's password: let nothing else trust them.
"""

gvisor_runtimes = {}
